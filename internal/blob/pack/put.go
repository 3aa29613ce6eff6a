package pack

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"posta/internal/blob"
	"posta/internal/blob/record"
)

// put is one call of Put on its way through the writer.
type put struct {
	recs  []blob.Record
	small []int // indices of the records for the shared pack
	locs  []blob.Location
	bytes int64
	state atomic.Int32 // waiting, taken, left
	err   error
	done  chan struct{}
}

const (
	waiting = iota
	taken   // the writer works on it
	left    // the caller has gone
)

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, recs []blob.Record) ([]blob.Location, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &put{recs: recs, locs: make([]blob.Location, len(recs)), small: make([]int, 0, len(recs)), done: make(chan struct{})}
	for i := range recs {
		if err := record.Check(&recs[i]); err != nil {
			return nil, err
		}
		if size := recs[i].Body.Size(); size <= s.cfg.SoloBytes {
			p.small = append(p.small, i)
			p.bytes += record.Length(len(recs[i].Accept), size)
			continue
		}
		if err := s.task(func() (err error) { p.locs[i], err = s.putSolo(&recs[i]); return err }); err != nil {
			return nil, err
		}
	}
	if len(p.small) == 0 {
		return p.locs, nil
	}
	if err := s.submit(ctx, p); err != nil {
		return nil, err
	}
	return p.locs, nil
}

// submit hands p to the writer and waits for its answer.
func (s *Store) submit(ctx context.Context, p *put) error {
	select {
	case s.puts <- p:
	case <-s.closing:
		return blob.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		if p.state.CompareAndSwap(waiting, left) {
			return ctx.Err()
		}
	}
	<-p.done // the bodies are in use
	return p.err
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
	for {
		select {
		case p := <-s.puts:
			w = s.commit(w, s.gather(p))
		case <-s.closing:
			return
		}
	}
}

// longestGather bounds how long a batch is gathered while more keep coming. It is the order
// of a sync.
const longestGather = 2 * time.Millisecond

// gather takes what waits beside first, up to the bounds of a batch, and those that are on their way:
// the processors are given to whoever can run, for as long as that brings another Put. A sync costs as
// much for one record as for fifty; one who is alone waits for nobody.
func (s *Store) gather(first *put) []*put {
	batch, bytes, records := []*put{first}, first.bytes, len(first.small)
	var began time.Time
	for yields := 0; bytes < s.cfg.BatchBytes && records < s.cfg.BatchRecords; {
		select {
		case p := <-s.puts:
			batch, bytes, records = append(batch, p), bytes+p.bytes, records+len(p.small)
			yields = 0
			continue
		default:
		}
		switch {
		case began.IsZero():
			began = time.Now()
		case yields == patience || time.Since(began) > longestGather:
			return batch
		}
		yields++
		runtime.Gosched()
	}
	return batch
}

// patience is how often the processors are given away in vain before the batch begins.
const patience = 4

// commit writes a batch to w, syncs once and answers every Put in it. It returns the pack to go on with,
// nil for a new one.
func (s *Store) commit(w *packWriter, batch []*put) *packWriter {
	var err error
	if w == nil {
		w, err = s.create()
	}
	if err == nil {
		for _, p := range batch {
			if !p.state.CompareAndSwap(waiting, taken) {
				p.err = context.Canceled // nobody reads it
				continue
			}
			if p.err = w.addAll(p); w.err != nil {
				break
			}
		}
		err = w.sync()
	}
	for _, p := range batch {
		if p.err == nil {
			p.err = err
		}
		close(p.done)
	}
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
func (w *packWriter) addAll(p *put) error {
	start, pending := w.pos(), w.pending
	for _, i := range p.small {
		if w.pos()-w.synced > maxBatch {
			if err := w.sync(); err != nil {
				return err
			}
			start, pending = w.pos(), 0
		}
		loc, err := w.add(&p.recs[i])
		if err != nil {
			if w.err == nil {
				w.rewind(start)
				w.pending = pending
			}
			return err
		}
		p.locs[i] = loc
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
	s.tasks.Go(func() { s.check(w.u, w.records) })
}
