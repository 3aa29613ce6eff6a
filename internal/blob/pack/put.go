package pack

import (
	"context"

	"posta/internal/blob"
	"posta/internal/blob/gather"
)

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, recs []blob.Record) ([]blob.Location, error) {
	return s.puts.Put(ctx, recs, s.putSolo)
}

// putSolo writes a record as a pack of its own.
func (s *Store) putSolo(rec *blob.Record) (blob.Location, error) {
	w, err := s.create()
	if err != nil {
		return blob.Location{}, err
	}
	loc, err := w.add(rec)
	if err == nil {
		err = w.sync()
	}
	if err != nil {
		w.discard()
		return blob.Location{}, err
	}
	_ = w.seal() // the record is durable; the next Open seals again
	return loc, nil
}

// discard removes a pack of which no record was acknowledged.
func (w *packWriter) discard() {
	w.s.mu.Lock()
	delete(w.s.units, w.u.name)
	w.s.mu.Unlock()
	// If the file cannot go, the next Open finds a pack that nobody refers to.
	_ = w.f.Close()
	_ = w.s.fs.Remove(w.s.file(w.u.name, true))
}

// write is the goroutine that owns the shared pack.
func (s *Store) write() {
	var w *packWriter
	defer func() {
		if w != nil {
			_ = w.seal()
		}
	}()
	for batch := s.puts.Next(); batch != nil; batch = s.puts.Next() {
		w = s.commit(w, batch)
	}
}

// commit writes a batch to w, syncs once and answers every Put in it. It returns the pack to go on with,
// nil for a new one.
func (s *Store) commit(w *packWriter, batch []*gather.Put) *packWriter {
	var err error
	if w == nil {
		w, err = s.create()
	}
	if err == nil {
		for _, p := range batch {
			if !p.Take() {
				continue
			}
			if p.Err = w.addAll(p); w.err != nil {
				break
			}
		}
		err = w.sync()
	}
	gather.Answer(batch, err)
	switch {
	case w == nil:
	case err != nil:
		s.abandon(w)
		return nil
	case w.synced >= s.cfg.PackBytes:
		_ = w.seal() // its records are durable; the next Open seals again
		return nil
	}
	return w
}

// maxBatch: one Put of more bytes is synced on the way, so that IntoBatch cannot overflow.
const maxBatch = 256 << 20

// addAll adds the records of one Put; if one has a fault of its own, none stays that is not synced yet.
func (w *packWriter) addAll(p *gather.Put) error {
	start, pending := w.pos(), w.pending
	for _, i := range p.Small {
		if w.pos()-w.synced > maxBatch {
			if err := w.sync(); err != nil {
				return err
			}
			start, pending = w.pos(), 0
		}
		loc, err := w.add(&p.Recs[i])
		if err != nil {
			if w.err == nil {
				w.rewind(start)
				w.pending = pending
			}
			return err
		}
		p.Locs[i] = loc
	}
	return nil
}

// abandon ends a pack whose write or sync failed. What was synced before is checked by reading it,
// beside the next Puts.
func (s *Store) abandon(w *packWriter) {
	if w.records == 0 {
		w.discard()
		return
	}
	_ = w.seal()
	s.puts.Go(func() { s.check(w.u, w.records) })
}
