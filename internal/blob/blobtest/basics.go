package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"posta/internal/blob"
)

func roundTrip(t *testing.T, e Env) {
	s := open(t, e)
	rng := seeded()
	sizes := []int{0, 1, 511, 12 << 10, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128 << 10, 1<<20 + 3, e.SoloBytes, e.SoloBytes + 1}
	for _, size := range sizes {
		Check(t, s, Put(t, s, rng, size))
		// The same from a file that is longer than the body.
		it, rec := Record(rng, size)
		rec.Body = blob.From(bytes.NewReader(append(bytes.Clone(it.Data), "what follows in the spool"...)), int64(size))
		locs, err := s.Put(t.Context(), []blob.Record{rec})
		if err != nil {
			t.Fatalf("Put of a stream of %d bytes: %v", size, err)
		}
		it.At = locs[0]
		Check(t, s, it)
	}
}

func manyInOne(t *testing.T, e Env) {
	s := open(t, e)
	rng := seeded()
	var items []Item
	var recs []blob.Record
	for i := range 50 {
		it, rec := Record(rng, i*700)
		items, recs = append(items, it), append(recs, rec)
	}
	it, rec := Record(rng, e.SoloBytes+100)
	items, recs = append(items, it), append(recs, rec)
	locs, err := s.Put(t.Context(), recs)
	if err != nil || len(locs) != len(recs) {
		t.Fatalf("Put: %d locations, %v", len(locs), err)
	}
	for i := range items {
		items[i].At = locs[i]
		Check(t, s, items[i])
	}
	if locs, err := s.Put(t.Context(), nil); err != nil || len(locs) != 0 {
		t.Errorf("Put of nothing: %v, %v", locs, err)
	}
}

func concurrent(t *testing.T, e Env) {
	handles := []blob.Store{open(t, e)}
	if e.Shared {
		handles = append(handles, open(t, e))
	}
	var mu sync.Mutex
	var items []Item
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 7))
			for range 10 {
				it := Put(t, handles[i%len(handles)], rng, rng.IntN(20<<10))
				Check(t, handles[(i+1)%len(handles)], it)
				mu.Lock()
				items = append(items, it)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, it := range items {
		Check(t, handles[0], it)
	}
}

func reopen(t *testing.T, e Env) {
	s := open(t, e)
	rng := seeded()
	var items []Item
	for range 3 {
		for _, size := range []int{10, 70 << 10, e.SoloBytes + 1} {
			items = append(items, Put(t, s, rng, size))
		}
		s = reopened(t, e, s)
		for _, it := range items {
			Check(t, s, it)
		}
	}
}

func wrongPlace(t *testing.T, e Env) {
	s := open(t, e)
	rng := seeded()
	a, b := Put(t, s, rng, 3000), Put(t, s, rng, 3000)
	shift := func(l blob.Location, by int64) blob.Location { l.Offset += by; return l }
	elsewhere := func(unit string) blob.Location { return blob.Location{Unit: unit, Offset: 64, Length: 3000} }
	for name, c := range map[string]struct {
		id   blob.ID
		at   blob.Location
		want error
	}{
		"the id of another":   {a.ID, b.At, blob.ErrCorrupt},
		"shifted":             {a.ID, shift(a.At, 1), blob.ErrCorrupt},
		"before the start":    {a.ID, shift(a.At, -1<<40), blob.ErrNotFound},
		"a unit never made":   {a.ID, elsewhere(a.ID.String()), blob.ErrNotFound},
		"a unit outside":      {a.ID, elsewhere("../../etc/passwd"), blob.ErrNotFound},
		"the empty location":  {a.ID, blob.Location{}, blob.ErrNotFound},
		"an absurd length":    {a.ID, blob.Location{Unit: a.At.Unit, Offset: a.At.Offset, Length: 1 << 60}, blob.ErrNotFound},
		"another length":      {a.ID, blob.Location{Unit: a.At.Unit, Offset: a.At.Offset, Length: a.At.Length - 1}, blob.ErrCorrupt},
		"the end of the unit": {a.ID, blob.Location{Unit: a.At.Unit, Offset: 1 << 40, Length: 3000}, blob.ErrCorrupt},
	} {
		if r, err := s.Open(t.Context(), c.id, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: Open gave %v, %v; want %v", name, r, err, c.want)
		}
		if err := s.Verify(t.Context(), c.id, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: Verify gave %v; want %v", name, err, c.want)
		}
	}
	_, rec := Record(rng, 100)
	rec.SHA256 = sha256.Sum256([]byte("something else"))
	locs, err := s.Put(t.Context(), []blob.Record{rec})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context(), rec.ID, locs[0]); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("Verify of bytes with another SHA-256: %v", err)
	}
}

func shortBody(t *testing.T, e Env) {
	s := open(t, e)
	rng := seeded()
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 3))
			if i%3 > 0 {
				Check(t, s, Put(t, s, rng, 5000))
				return
			}
			_, rec := Record(rng, 0)
			rec.Body = blob.From(bytes.NewReader(make([]byte, 150<<10)), 200<<10)
			if _, err := s.Put(t.Context(), []blob.Record{rec}); !errors.Is(err, blob.ErrInvalid) {
				t.Errorf("a body shorter than its size: %v", err)
			}
		})
	}
	wg.Wait()
	_, rec := Record(rng, 0)
	rec.Body = blob.From(bytes.NewReader(nil), int64(e.SoloBytes)+10)
	if _, err := s.Put(t.Context(), []blob.Record{rec}); !errors.Is(err, blob.ErrInvalid) {
		t.Errorf("a large body shorter than its size: %v", err)
	}
	s = reopened(t, e, s)
	if n := len(scanAll(t, s)); n != 8 {
		t.Errorf("%d records are stored, want 8", n)
	}
}

func limits(t *testing.T, e Env) {
	s := open(t, e)
	it, rec := Record(seeded(), 10)
	for name, bad := range map[string]blob.Record{
		"accept record": {ID: rec.ID, Accept: make([]byte, blob.MaxAcceptBytes+1), Body: rec.Body},
		"body":          {ID: rec.ID, Body: blob.From(bytes.NewReader(nil), blob.MaxBodyBytes+1)},
		"id":            {Body: rec.Body},
	} {
		if _, err := s.Put(t.Context(), []blob.Record{rec, bad}); !errors.Is(err, blob.ErrInvalid) {
			t.Errorf("%s beyond the limit: %v", name, err)
		}
	}
	rec.Accept = bytes.Repeat([]byte("rcpt "), blob.MaxAcceptBytes/5)
	locs, err := s.Put(t.Context(), []blob.Record{rec})
	if err != nil {
		t.Fatal(err)
	}
	it.At, it.Accept = locs[0], rec.Accept
	Check(t, s, it)
	if got := scanAll(t, s)[it.ID]; !bytes.Equal(got.Accept, it.Accept) {
		t.Error("a long accept record came back different")
	}
}

func cancelled(t *testing.T, e Env) {
	s := open(t, e)
	it, rec := Record(seeded(), 100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, []blob.Record{rec}); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	if _, err := s.Open(ctx, it.ID, it.At); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
	if _, err := s.Scan(ctx, func(blob.Entry) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Scan: %v", err)
	}
}

func closed(t *testing.T, e Env) {
	s := open(t, e)
	it := Put(t, s, seeded(), 300<<10)
	r, err := s.Open(t.Context(), it.ID, it.At)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	_, rec := Record(seeded(), 100)
	_, large := Record(seeded(), e.SoloBytes+1)
	for _, rec := range []blob.Record{rec, large} {
		if _, err := s.Put(t.Context(), []blob.Record{rec}); !errors.Is(err, blob.ErrClosed) {
			t.Errorf("Put after Close: %v", err)
		}
	}
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil || !bytes.Equal(got, it.Data) {
		t.Errorf("a reader opened before Close: %d bytes, %v", len(got), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func ranges(t *testing.T, e Env) {
	s := open(t, e)
	rng := seeded()
	for _, size := range []int{20 << 10, 1 << 20, e.SoloBytes + 5000} {
		it := Put(t, s, rng, size)
		r, err := s.Open(t.Context(), it.ID, it.At)
		if err != nil {
			t.Fatal(err)
		}
		if r.Size() != int64(size) || r.Entry().ID != it.ID || !bytes.Equal(r.Entry().Accept, it.Accept) {
			t.Errorf("the reader tells of %d bytes, %+v", r.Size(), r.Entry())
		}
		for range 50 {
			off := rng.IntN(size)
			p := make([]byte, rng.IntN(200<<10))
			n, err := r.ReadAt(p, int64(off))
			want := it.Data[off:min(off+len(p), size)]
			if !bytes.Equal(p[:n], want) || (n < len(p)) != (err == io.EOF) || err != nil && err != io.EOF {
				t.Fatalf("%d bytes at %d of %d: %d, %v", len(p), off, size, n, err)
			}
		}
		if n, err := r.ReadAt(make([]byte, 1), int64(size)); n != 0 || err != io.EOF {
			t.Errorf("behind the end: %d, %v", n, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
