package sqlstore

import (
	"context"
	"errors"
	"time"

	"posta/internal/mail"
	"posta/internal/store"
)

// The rows of trace_progress: the highest accept that was projected, and that the
// store was closed with nothing waiting.
// Nodes that share their tables note the last time that one of them looked.
const (
	progressAccepted = "accepted"
	progressClean    = "clean"
	progressLooked   = "looked"
)

// reconcileEvery is how often one of many nodes looks for what another has
// accepted and died before it was projected.
const reconcileEvery = time.Hour

// resume finds out what has to be read again: nothing after a clean close,
// otherwise what was accepted since the last batch, and everything when the file
// is new. Ids are made at MAIL, so a batch may have missed ids lower than its
// highest by the length of a session.
func (w *trail) resume(ctx context.Context) error {
	var at mail.ID
	clean := true
	err := w.side.write(ctx, func(t *tx) error {
		at = mail.ID{}
		if err := readProgress(t, progressAccepted, &at); err != nil {
			return err
		}
		n, err := t.exec("DELETE FROM trace_progress WHERE name = $1", progressClean)
		clean = n > 0
		return err
	})
	if err != nil || clean {
		return err
	}
	w.behind = true
	if !at.IsZero() {
		w.reread = firstID(at.Time().Add(-longestSession))
	}
	return nil
}

// reconcile projects again what was accepted since a node last did so. Two nodes
// that do it at the same time do the same.
func (w *trail) reconcile(ctx context.Context) error {
	var looked mail.ID
	var now int64
	err := w.side.read(ctx, func(t *tx) error {
		looked, now = mail.ID{}, t.now()
		return readProgress(t, progressLooked, &looked)
	})
	if err != nil {
		return err
	}
	from := mail.ID{}
	if !looked.IsZero() {
		if moment(now).Sub(looked.Time()) < reconcileEvery {
			return nil
		}
		from = firstID(looked.Time().Add(-longestSession))
	}
	if err := w.again(ctx, from); err != nil {
		return err
	}
	return w.side.write(ctx, func(t *tx) error { return setProgress(t, progressLooked, firstID(moment(now))) })
}

// leaveClean says that nothing waits; it is the last write.
func (w *trail) leaveClean() error {
	w.mu.Lock()
	clean := !w.behind && w.waiting.count == 0
	w.mu.Unlock()
	if !clean {
		return nil
	}
	return w.side.write(context.Background(), func(t *tx) error { return setProgress(t, progressClean, mail.ID{}) })
}

// readProgress leaves id as it is when there is no row.
func readProgress(t *tx, name string, id *mail.ID) error {
	err := t.row("SELECT accept FROM trace_progress WHERE name = $1", name).scan(id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// setProgress never goes back.
func setProgress(t *tx, name string, id mail.ID) error {
	_, err := t.exec(`INSERT INTO trace_progress (name, accept) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET accept = excluded.accept WHERE trace_progress.accept < excluded.accept`, name, id)
	return err
}

// again projects accepted from an id on, in pages.
func (w *trail) again(ctx context.Context, from mail.ID) error {
	for {
		var found []store.TraceRecord
		err := w.main.read(ctx, func(t *tx) (err error) {
			found, err = collect(t, func(r *rows, v *store.TraceRecord) error {
				var terms string
				err := r.scan(&v.ID, &terms)
				v.Keys = unpackTerms(terms)
				return err
			}, "SELECT id, terms FROM accepted WHERE id >= $1 ORDER BY id LIMIT $2", from, maxPage)
			return err
		})
		if err != nil {
			return err
		}
		var b trailBatch
		for _, r := range found {
			b.add(r.ID, r.Keys, 0)
			b.last = r.ID
		}
		if err := w.project(ctx, b); err != nil || len(found) < maxPage {
			return err
		}
		from = nextID(b.last)
	}
}

// nextID is the lowest id above id.
func nextID(id mail.ID) mail.ID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]++
		if id[i] != 0 {
			break
		}
	}
	return id
}
