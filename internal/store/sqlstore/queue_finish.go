package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/store"
)

// FinishQueue implements store.Queue.
func (s *Store) FinishQueue(ctx context.Context, f store.Finish) error {
	if len(f.Attempts) == 0 {
		return nil
	}
	return s.main.write(ctx, func(t *tx) error {
		if err := finishQueue(t, &f); err != nil {
			return err
		}
		return mapFailpoint(s.fail.Hit("store.queue.finish"))
	})
}

// finishQueue records outcomes within a transaction: FinishQueue's own, or the
// accept of the DSN that tells of them.
func finishQueue(t *tx, f *store.Finish) error {
	if len(f.Attempts) > maxClaim {
		return wrap(store.ErrInvalid, "%d outcomes; a claim has %d at most", len(f.Attempts), maxClaim)
	}
	held, err := heldEntries(t, f.Attempts)
	if err != nil {
		return err
	}
	finished := map[int64]int64{} // of each group
	for i := range f.Attempts {
		a := &f.Attempts[i]
		e := held[a.Entry]
		if len(a.Event.Body) > 0 {
			if err := insertEvent(t, e.accept, a.Event); err != nil {
				return err
			}
		}
		switch a.State {
		case store.Done, store.Failed:
			if _, err := t.exec("DELETE FROM queue_entry WHERE id = $1", a.Entry); err != nil {
				return err
			}
			finished[e.grp]++
		case store.Ready, store.Held:
			_, err := t.exec(`UPDATE queue_entry SET state = $1, due = $2, leased = 0, node = '', sending = 0, attempts = attempts + 1,
				delayed = CASE WHEN $3 = 1 THEN 1 ELSE delayed END, last = $4, last_at = $5 WHERE id = $6`,
				a.State, max(micros(a.Due), t.now()), a.Delayed, clean(a.Reply), t.now(), a.Entry)
			if err != nil {
				return err
			}
		default:
			return wrap(store.ErrInvalid, "an outcome with state %d", a.State)
		}
	}
	t.wake(0)
	return shrinkGroups(t, finished)
}

// heldEntry is what finishing needs to know of an entry.
type heldEntry struct {
	id, grp, fence int64
	leased         bool
	accept         mail.ID
}

// heldEntries reads the entries and checks that each attempt holds its lease.
func heldEntries(t *tx, attempts []store.Attempt) (map[int64]heldEntry, error) {
	ids := make([]int64, len(attempts))
	for i, a := range attempts {
		ids[i] = a.Entry
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) {
		return nil, wrap(store.ErrInvalid, "two outcomes for one entry")
	}
	in, arg := t.in(1, ids)
	found, err := collect(t, func(r *rows, e *heldEntry) error { return r.scan(&e.id, &e.grp, &e.fence, &e.leased, &e.accept) },
		"SELECT q.id, q.grp, q.fence, q.leased, g.accept FROM queue_entry q JOIN queue_group g ON g.id = q.grp WHERE q.id IN "+in+" ORDER BY q.id"+t.lock(), arg)
	if err != nil {
		return nil, err
	}
	held := make(map[int64]heldEntry, len(found))
	for _, e := range found {
		held[e.id] = e
	}
	for _, a := range attempts {
		if e, ok := held[a.Entry]; !ok || !e.leased || e.fence != a.Fence {
			return nil, wrap(store.ErrFenced, "queue entry %d with fence %d", a.Entry, a.Fence)
		}
	}
	return held, nil
}

// shrinkGroups takes finished recipients from their messages; a message goes with
// its last one. Groups are locked in ascending order.
func shrinkGroups(t *tx, finished map[int64]int64) error {
	groups := make([]int64, 0, len(finished))
	for g := range finished {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, cmp.Compare)
	for _, g := range groups {
		var waiting int64
		var b blob.ID
		if err := t.row("UPDATE queue_group SET waiting = waiting - $1 WHERE id = $2 RETURNING waiting, blob", finished[g], g).scan(&waiting, &b); err != nil {
			return wrap(err, "queue group %d", g)
		}
		if waiting > 0 {
			continue
		}
		if _, err := t.exec("DELETE FROM queue_group WHERE id = $1", g); err != nil {
			return err
		}
		if err := loosen(t, b); err != nil {
			return err
		}
	}
	return nil
}

// clean makes a reply of a stranger fit to be kept as text: PostgreSQL takes
// UTF-8 without NUL only.
func clean(s string) string {
	const most = 2000
	out := make([]rune, 0, min(len(s), most))
	for _, r := range s { // what is no UTF-8 comes as U+FFFD
		if len(out) == most {
			break
		}
		if r == 0 {
			r = '\uFFFD'
		}
		out = append(out, r)
	}
	return string(out)
}

// insertEvent adds a line to the trace of an accept.
func insertEvent(t *tx, id mail.ID, e store.TraceEvent) error {
	n, err := t.id(seqEvent)
	if err != nil {
		return err
	}
	if len(e.Body) > maxEventBytes {
		return wrap(store.ErrInvalid, "a trace event of %d octets", len(e.Body))
	}
	_, err = t.exec("INSERT INTO trace_event (accept, id, at, body) VALUES ($1, $2, $3, $4)", id, n, e.At, e.Body)
	if err != nil {
		return fmt.Errorf("trace event of %s: %w", id, err)
	}
	return nil
}
