package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"posta/internal/blob"
	"posta/internal/blob/record"
)

// put is one call of Put on its way through the gatherer.
type put struct {
	recs  []blob.Record
	small []int // indices of the records for a shared object
	locs  []blob.Location
	bytes int64
	state atomic.Int32 // waiting, taken, left
	err   error
	done  chan struct{}
}

const (
	waiting = iota
	taken   // its records are being encoded or sent
	left    // the caller has gone
)

// Put implements blob.Store. After the gathering it waits for the service, at most Config.Budget.
func (s *Store) Put(ctx context.Context, recs []blob.Record) ([]blob.Location, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &put{recs: recs, locs: make([]blob.Location, len(recs)), done: make(chan struct{})}
	for i := range recs {
		if err := record.Check(&recs[i]); err != nil {
			return nil, err
		}
		if size := recs[i].Body.Size(); size <= s.cfg.SoloBytes {
			p.small = append(p.small, i)
			p.bytes += record.Length(len(recs[i].Accept), size)
			continue
		}
		if err := s.task(func() (err error) { p.locs[i], err = s.putSolo(ctx, &recs[i]); return err }); err != nil {
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

// task runs f so that Close waits for it.
func (s *Store) task(f func() error) error {
	s.mu.Lock()
	if s.shut {
		s.mu.Unlock()
		return blob.ErrClosed
	}
	s.tasks.Add(1)
	s.mu.Unlock()
	defer s.tasks.Done()
	return f()
}

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

// gather is the goroutine that puts together what arrives within Config.Gather and hands it to an upload.
func (s *Store) gather() {
	for {
		select {
		case first := <-s.puts:
			batch := s.collect(first)
			s.slots <- struct{}{}
			s.tasks.Go(func() {
				s.upload(batch)
				<-s.slots
			})
		case <-s.closing:
			return
		}
	}
}

func (s *Store) collect(first *put) []*put {
	batch, size := []*put{first}, first.bytes
	timer := time.NewTimer(s.cfg.Gather)
	defer timer.Stop()
	for size < s.cfg.BatchBytes {
		select {
		case p := <-s.puts:
			batch, size = append(batch, p), size+p.bytes
		case <-timer.C:
			return batch
		case <-s.closing:
			return batch
		}
	}
	return batch
}

// upload makes one object of a batch, sends it, and answers every Put in it.
func (s *Store) upload(batch []*put) {
	unit, salt := s.newUnit()
	object := record.AppendUnitHeader(nil, salt, s.cfg.Now())
	for _, p := range batch {
		if !p.state.CompareAndSwap(waiting, taken) {
			p.err = context.Canceled // nobody reads it
			continue
		}
		object, p.err = s.encode(object, unit, salt, p)
	}
	var err error
	if len(object) > record.UnitHeaderBytes {
		err = s.send(context.Background(), unit, int64(len(object)), func() (io.Reader, func()) { return bytes.NewReader(object), func() {} })
	}
	for _, p := range batch {
		if p.err == nil {
			p.err = err
		}
		close(p.done)
	}
}

// encode appends the records of one Put to an object; if one has a fault, none stays.
func (s *Store) encode(object []byte, unit string, salt record.Salt, p *put) ([]byte, error) {
	w := writer{buf: object}
	for _, i := range p.small {
		start := int64(len(w.buf))
		rec := &p.recs[i]
		if _, ok := rec.Body.Mem(); ok {
			w.buf = record.Append(w.buf, salt, rec, start-record.UnitHeaderBytes, s.codec)
		} else if _, err := record.Write(&w, salt, rec, start-record.UnitHeaderBytes); err != nil {
			return w.buf[:len(object)], err
		}
		p.locs[i] = blob.Location{Unit: unit, Offset: start, Length: int64(len(w.buf)) - start}
	}
	return w.buf, nil
}

type writer struct{ buf []byte }

func (w *writer) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	return len(p), nil
}

// putSolo streams a record into an object of its own; every try encodes it afresh, to the same bytes.
func (s *Store) putSolo(ctx context.Context, rec *blob.Record) (blob.Location, error) {
	unit, salt := s.newUnit()
	head := record.AppendUnitHeader(nil, salt, s.cfg.Now())
	length := record.Length(len(rec.Accept), rec.Body.Size())
	err := s.send(ctx, unit, int64(len(head))+length, func() (io.Reader, func()) {
		r, w := io.Pipe()
		var encoder sync.WaitGroup
		encoder.Go(func() {
			_, err := w.Write(head)
			if err == nil {
				_, err = record.Write(w, salt, rec, 0)
			}
			w.CloseWithError(err)
		})
		return r, func() {
			r.Close() // the encoder's next write fails
			encoder.Wait()
		}
	})
	return blob.Location{Unit: unit, Offset: record.UnitHeaderBytes, Length: length}, err
}

// send stores an object of size bytes. open gives its bytes from the start, always the same, and a stop
// that returns when they are needed no more.
func (s *Store) send(ctx context.Context, unit string, size int64, open func() (r io.Reader, stop func())) error {
	return s.retry(ctx, size, func(ctx context.Context) error {
		r, stop := open()
		src := &source{r: r}
		_, err := s.client.PutObject(ctx, s.cfg.Bucket, s.key(unit), src, size, minio.PutObjectOptions{
			ContentType: "application/octet-stream",
			PartSize:    partBytes,
		})
		stop()
		if fault := src.fault.Load(); err != nil && fault != nil && errors.Is(*fault, blob.ErrInvalid) {
			return *fault
		}
		return err
	})
}

// partBytes is the size of a part of a large object, and so of the buffer that an upload needs.
const partBytes = 16 << 20

// source remembers why its reader failed: the client library does not always pass it on.
type source struct {
	r     io.Reader
	fault atomic.Pointer[error]
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.fault.Store(&err)
	}
	return n, err
}

// jitter spreads the pauses of many waiters.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1)
}
