package pack

import (
	"crypto/rand"
	"errors"

	"posta/internal/blob"
	"posta/internal/blob/record"
	"posta/internal/durable"
)

// bufferBytes: the writer's buffer is written out when it exceeds this.
const bufferBytes = 1 << 20

// packWriter appends to one pack through a buffer. It belongs to one goroutine. After its first error
// it refuses everything but abandon.
type packWriter struct {
	s    *Store
	u    *unit
	salt record.Salt
	f    durable.File

	buf      []byte // bytes from base on, not yet written
	base     int64
	reserved int64 // size of the file
	synced   int64 // everything before is durable
	records  int64 // before synced
	pending  int64 // records after synced
	err      error
}

// create begins a pack: its name is durable before it is used.
func (s *Store) create() (*packWriter, error) {
	name := blob.NewID(s.cfg.Now()).String()
	var salt record.Salt
	rand.Read(salt[:])
	file := s.file(name, true)
	f, err := s.fs.Create(file)
	if err != nil {
		return nil, mapError(err)
	}
	w := &packWriter{s: s, f: f, salt: salt, buf: make([]byte, 0, 16<<10)}
	w.buf = record.AppendUnitHeader(w.buf, salt, s.cfg.Now())
	err = w.sync()
	if err == nil {
		err = mapError(s.fs.SyncDir(s.dir))
	}
	if err != nil {
		// Nobody knows the file yet. If it cannot go, the next Open finds an empty pack.
		return nil, errors.Join(err, f.Close(), s.fs.Remove(file))
	}
	w.u = &unit{name: name, salt: salt, known: true, open: true, bytes: w.synced, modified: s.cfg.Now()}
	s.mu.Lock()
	s.units[name] = w.u
	s.mu.Unlock()
	return w, nil
}

// pos is where the next byte goes.
func (w *packWriter) pos() int64 { return w.base + int64(len(w.buf)) }

// add encodes a record and returns its location. An error that is not w.err is the record's own fault, and
// the pack is as before.
func (w *packWriter) add(rec *blob.Record) (blob.Location, error) {
	start := w.pos()
	if _, ok := rec.Body.Mem(); ok {
		w.buf = record.Append(w.buf, w.salt, rec, start-w.synced, w.s.codec)
		if err := w.flushAt(bufferBytes); err != nil {
			return blob.Location{}, err
		}
	} else if _, err := record.Write(w, w.salt, rec, start-w.synced); err != nil {
		w.rewind(start)
		return blob.Location{}, err
	}
	w.pending++
	return blob.Location{Unit: w.u.name, Offset: start, Length: w.pos() - start}, nil
}

// rewind forgets what lies at or after pos. What of it is in the file already was not acknowledged;
// later records overwrite it, or seal cuts it off.
func (w *packWriter) rewind(pos int64) {
	if pos >= w.base {
		w.buf = w.buf[:pos-w.base]
		return
	}
	w.base, w.buf = pos, w.buf[:0]
}

// Write implements io.Writer for record.Write.
func (w *packWriter) Write(p []byte) (int, error) {
	if err := w.flushAt(bufferBytes - len(p)); err != nil {
		return 0, err
	}
	w.buf = append(w.buf, p...)
	return len(p), nil
}

// flushAt writes the buffer out if it holds more than limit bytes.
func (w *packWriter) flushAt(limit int) error {
	if w.err != nil || len(w.buf) <= max(limit, 0) {
		return w.err
	}
	if w.err = w.s.cfg.Failpoints.Hit("pack.write"); w.err == nil {
		w.err = w.flush()
	}
	w.err = mapError(w.err)
	return w.err
}

func (w *packWriter) flush() error {
	if end := w.pos(); end > w.reserved {
		step := w.s.cfg.ReserveBytes
		want := (end + step - 1) / step * step
		if err := w.f.Preallocate(want); err != nil {
			return err
		}
		w.reserved = want
	}
	n, err := w.f.WriteAt(w.buf, w.base)
	if err != nil {
		return err
	}
	w.base += int64(n)
	w.buf = w.buf[:0]
	if cap(w.buf) > 4*bufferBytes {
		w.buf = make([]byte, 0, bufferBytes) // a large record passed through
	}
	return nil
}

// sync makes durable what was added.
func (w *packWriter) sync() error {
	if err := w.flushAt(0); err != nil {
		return err
	}
	if w.err = w.s.cfg.Failpoints.Hit("pack.sync"); w.err == nil && !w.s.cfg.unsyncedWrite {
		w.err = w.f.Sync()
	}
	if w.err = mapError(w.err); w.err != nil {
		return w.err
	}
	w.synced = w.base
	w.records += w.pending
	w.pending = 0
	if w.u != nil {
		w.s.mu.Lock()
		w.u.bytes, w.u.modified = w.synced, w.s.cfg.Now()
		w.s.mu.Unlock()
	}
	return mapError(w.s.cfg.Failpoints.Hit("pack.synced"))
}

// seal ends the pack: the file is cut to what is durable, the footer says so, and the name tells it. If
// that fails the pack keeps its name and the next Open ends it; its records are safe either way. The
// sequence: ftruncate, pwrite(footer), fdatasync, rename(.open, .pack), fsync(folder).
func (w *packWriter) seal() error {
	err := w.finish()
	err = errors.Join(err, w.f.Close())
	w.s.mu.Lock()
	w.u.sealed = true
	w.s.mu.Unlock()
	return mapError(err)
}

func (w *packWriter) finish() error {
	if err := w.f.Truncate(w.synced); err != nil {
		return err
	}
	footer := record.AppendFooter(nil, w.salt, record.Footer{End: w.synced, Records: w.records})
	if _, err := w.f.WriteAt(footer, w.synced); err != nil {
		return err
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	return w.s.promote(w.u)
}

// promote renames a pack from .open to .pack. Readers that hold it stay valid.
func (s *Store) promote(u *unit) error {
	if err := s.fs.Rename(s.file(u.name, true), s.file(u.name, false)); err != nil {
		return err
	}
	s.mu.Lock()
	u.open = false
	s.mu.Unlock()
	// A lost rename does no harm: the next Open finds the footer and renames again.
	return s.fs.SyncDir(s.dir)
}
