package record

import (
	"context"
	"errors"
	"fmt"

	"posta/internal/blob"
)

// Bounds of one step of Rewrite.
const (
	stepRecords = 256
	stepBytes   = 4 << 20
)

// Rewrite moves the live records of a unit to wherever s puts them, in steps: ask live, Put, tell moved.
// scan visits the unit. When Rewrite returns nil the unit holds nothing alive and may be removed; it is
// ErrCorrupt if parts of the unit could not be read.
func Rewrite(ctx context.Context, s blob.Store, scan func(visit func(blob.Entry) error) ([]blob.Damage, error), live blob.Live, moved blob.Moved) error {
	m := mover{s: s, live: live, moved: moved}
	damage, err := scan(func(e blob.Entry) error { return m.add(ctx, e) })
	if err == nil {
		err = m.step(ctx)
	}
	if err != nil {
		return err
	}
	errs := make([]error, 0, len(damage)+len(m.bad))
	for _, d := range damage {
		errs = append(errs, fmt.Errorf("%v", d))
	}
	errs = append(errs, m.bad...)
	if len(errs) > 0 {
		return fmt.Errorf("%w: the unit is kept: %w", blob.ErrCorrupt, errors.Join(errs...))
	}
	return nil
}

type mover struct {
	s       blob.Store
	live    blob.Live
	moved   blob.Moved
	entries []blob.Entry
	bytes   int64
	bad     []error
}

func (m *mover) add(ctx context.Context, e blob.Entry) error {
	if len(m.entries) > 0 && (len(m.entries) == stepRecords || m.bytes+e.Location.Length > stepBytes) {
		if err := m.step(ctx); err != nil {
			return err
		}
	}
	m.entries = append(m.entries, e)
	m.bytes += e.Location.Length
	return nil
}

// step moves what has been gathered.
func (m *mover) step(ctx context.Context) error {
	entries := m.entries
	m.entries, m.bytes = nil, 0
	if len(entries) == 0 {
		return nil
	}
	alive, err := m.live(ctx, entries)
	if err != nil {
		return err
	}
	if len(alive) != len(entries) {
		return fmt.Errorf("%w: %d answers for %d entries", blob.ErrInvalid, len(alive), len(entries))
	}
	var recs []blob.Record
	var moves []blob.Move
	for i, e := range entries {
		if !alive[i] {
			continue
		}
		r, err := m.s.Open(ctx, e.ID, e.Location)
		if errors.Is(err, blob.ErrCorrupt) || errors.Is(err, errors.ErrUnsupported) {
			m.bad = append(m.bad, err)
			continue
		}
		if err != nil {
			return err
		}
		defer r.Close()
		recs = append(recs, blob.Record{ID: e.ID, SHA256: e.SHA256, Accept: e.Accept, Body: bodyOf(r)})
		moves = append(moves, blob.Move{ID: e.ID, From: e.Location})
	}
	if len(recs) == 0 {
		return nil
	}
	places, err := m.s.Put(ctx, recs)
	if err != nil {
		return err
	}
	for i := range moves {
		moves[i].To = places[i]
	}
	return m.moved(ctx, moves)
}

// bodyOf hands on what lies in memory as such.
func bodyOf(r blob.Reader) blob.Body {
	if whole, ok := r.(*Reader); ok && whole.payload != nil {
		return blob.Bytes(whole.payload)
	}
	return blob.From(r, r.Size())
}
