package rescue

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"golang.org/x/sync/errgroup"

	"posta/internal/blob"
	"posta/internal/store"
)

// Bounds of what a carrier holds in memory.
const (
	carryWhole   = 1 << 20 // octets of a message that is read at once; a larger one is streamed
	carryRecords = 256     // messages of one step
	carryOctets  = 4 << 20 // octets of one step, save by its last message
	carryFetches = 16      // of a bucket, side by side
)

// carrier copies the message bytes that rows refer to into another store of bytes
// and tells the rows. Nobody else may use the rows or the other store.
type carrier struct {
	rows store.Blobs
	open opener
	side int // messages opened side by side; 1 where open serves one goroutine
	to   blob.Store

	batch   []store.BlobRef
	octets  int64
	damaged int64 // messages that could not be read; their rows stay as they are
}

// carry copies the bytes of every blob that is alive.
func (c *carrier) carry(ctx context.Context) error {
	err := c.rows.EachBlob(ctx, func(ref store.BlobRef) error {
		switch {
		case !ref.Doomed.IsZero():
			return nil
		case ref.Size > carryWhole:
			return c.move(ctx, []store.BlobRef{ref})
		}
		c.batch, c.octets = append(c.batch, ref), c.octets+ref.Size
		if len(c.batch) < carryRecords && c.octets < carryOctets {
			return nil
		}
		return c.flush(ctx)
	})
	if err != nil {
		return err
	}
	return c.flush(ctx)
}

func (c *carrier) flush(ctx context.Context) error {
	batch := c.batch
	c.batch, c.octets = c.batch[:0], 0
	return c.move(ctx, batch)
}

// move is one step: read, Put, tell the rows.
func (c *carrier) move(ctx context.Context, refs []store.BlobRef) error {
	fetched := make([]*blob.Record, len(refs))
	readers := make([]blob.Reader, len(refs))
	defer func() {
		for _, r := range readers {
			if r != nil {
				r.Close()
			}
		}
	}()
	var g errgroup.Group
	g.SetLimit(c.side)
	for i, ref := range refs {
		g.Go(func() (err error) {
			fetched[i], readers[i], err = c.fetch(ctx, ref)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var recs []blob.Record
	var moves []blob.Move
	for i, rec := range fetched {
		if rec == nil {
			c.damaged++
			continue
		}
		recs, moves = append(recs, *rec), append(moves, blob.Move{ID: rec.ID, From: refs[i].At})
	}
	if len(recs) == 0 {
		return nil
	}
	places, err := c.to.Put(ctx, recs)
	if len(refs) == 1 && damaged(err) { // found while it was streamed
		c.damaged++
		return nil
	}
	if err != nil {
		return err
	}
	for i := range moves {
		moves[i].To = places[i]
	}
	return c.rows.MoveBlobs(ctx, moves)
}

// fetch opens a message, and reads it unless it is large. There is no record if
// it is damaged; the reader, if not nil, is the caller's to close.
func (c *carrier) fetch(ctx context.Context, ref store.BlobRef) (*blob.Record, blob.Reader, error) {
	r, err := c.open(ctx, ref.ID, ref.At)
	if damaged(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	e := r.Entry()
	rec := &blob.Record{ID: ref.ID, SHA256: ref.SHA256, Accept: e.Accept, Body: blob.From(r, r.Size())}
	if r.Size() != ref.Size || e.SHA256 != ref.SHA256 {
		return nil, r, nil
	}
	if ref.Size > carryWhole {
		return rec, r, nil
	}
	whole := make([]byte, ref.Size)
	n, err := r.ReadAt(whole, 0)
	if n == len(whole) || errors.Is(err, io.EOF) {
		err = nil
	}
	if damaged(err) || err == nil && sha256.Sum256(whole) != ref.SHA256 {
		return nil, r, nil
	}
	rec.Body = blob.Bytes(whole)
	return rec, r, err
}

// damaged tells whether a message cannot be read now or ever: no reason to leave
// all others without a copy.
func damaged(err error) bool {
	return errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrCorrupt) || errors.Is(err, errors.ErrUnsupported)
}
