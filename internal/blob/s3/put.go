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
	"posta/internal/blob/gather"
	"posta/internal/blob/record"
)

// Put implements blob.Store. After the gathering it waits for the service, at most Config.Budget.
func (s *Store) Put(ctx context.Context, recs []blob.Record) ([]blob.Location, error) {
	return s.puts.Put(ctx, recs, func(rec *blob.Record) (blob.Location, error) { return s.putSolo(ctx, rec) })
}

// gather is the goroutine that hands to an upload what arrives within Config.Gather.
func (s *Store) gather() {
	for batch := s.puts.Next(); batch != nil; batch = s.puts.Next() {
		s.slots <- struct{}{}
		s.puts.Go(func() {
			s.upload(batch)
			<-s.slots
		})
	}
}

// upload makes one object of a batch, sends it, and answers every Put in it.
func (s *Store) upload(batch []*gather.Put) {
	unit, salt := s.newUnit()
	size := int64(record.UnitHeaderBytes)
	for _, p := range batch {
		size += p.Bytes()
	}
	object := record.AppendUnitHeader(make([]byte, 0, size), salt, s.cfg.Now())
	for _, p := range batch {
		if p.Take() {
			object, p.Err = s.encode(object, unit, salt, p)
		}
	}
	var err error
	if len(object) > record.UnitHeaderBytes {
		err = s.send(context.Background(), unit, int64(len(object)), func() (io.Reader, func()) { return bytes.NewReader(object), func() {} })
	}
	gather.Answer(batch, err)
}

// encode appends the records of one Put to an object; if one has a fault, none stays.
func (s *Store) encode(object []byte, unit string, salt record.Salt, p *gather.Put) ([]byte, error) {
	w := writer{buf: object}
	for _, i := range p.Small {
		start := int64(len(w.buf))
		rec := &p.Recs[i]
		if _, ok := rec.Body.Mem(); ok {
			w.buf = record.Append(w.buf, salt, rec, start-record.UnitHeaderBytes, s.codec)
		} else if _, err := record.Write(&w, salt, rec, start-record.UnitHeaderBytes); err != nil {
			return w.buf[:len(object)], err
		}
		p.Locs[i] = blob.Location{Unit: unit, Offset: start, Length: int64(len(w.buf)) - start}
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
