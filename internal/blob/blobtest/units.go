package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"testing"

	"posta/internal/blob"
)

// scanAll scans a store that must be undamaged.
func scanAll(t testing.TB, s blob.Store) map[blob.ID]blob.Entry {
	t.Helper()
	found := make(map[blob.ID]blob.Entry)
	damage, err := s.Scan(t.Context(), func(e blob.Entry) error {
		found[e.ID] = e
		return nil
	})
	if err != nil || len(damage) > 0 {
		t.Fatalf("Scan: %v, %v", damage, err)
	}
	return found
}

func scan(t *testing.T, e Env) {
	s := open(t, e)
	rng := seeded()
	var items []Item
	for _, size := range []int{0, 5, 12 << 10, 200 << 10, e.SoloBytes + 1, 7} {
		items = append(items, Put(t, s, rng, size))
	}
	s = reopened(t, e, s)
	items = append(items, Put(t, s, rng, 30)) // in a unit that is not sealed
	found := scanAll(t, s)
	for _, it := range items {
		e := found[it.ID]
		if e.Location != it.At || e.Size != int64(len(it.Data)) || e.SHA256 != sha256.Sum256(it.Data) || !bytes.Equal(e.Accept, it.Accept) {
			t.Errorf("entry of %v: %+v", it.ID, e)
		}
	}
	if len(found) != len(items) {
		t.Errorf("%d entries, want %d", len(found), len(items))
	}
	for _, stop := range []error{errors.New("enough"), blob.ErrNotFound, blob.ErrCorrupt} {
		seen := 0
		_, err := s.Scan(t.Context(), func(blob.Entry) error { seen++; return stop })
		if !errors.Is(err, stop) || seen != 1 {
			t.Errorf("a visitor that stops with %v: %v after %d", stop, err, seen)
		}
	}
}

// rows is what a metadata store knows about blobs.
type rows map[blob.ID]Item

func (r rows) live(_ context.Context, entries []blob.Entry) ([]bool, error) {
	alive := make([]bool, len(entries))
	for i, e := range entries {
		it, ok := r[e.ID]
		alive[i] = ok && it.At == e.Location
	}
	return alive, nil
}

func (r rows) moved(_ context.Context, moves []blob.Move) error {
	for _, m := range moves {
		it, ok := r[m.ID]
		if !ok || it.At != m.From {
			return errors.New("a move of what is not there")
		}
		it.At = m.To
		r[m.ID] = it
	}
	return nil
}

// filled returns a store with sealed units in which every other record has a row.
func filled(t *testing.T, e Env) (blob.Store, rows, []Item) {
	t.Helper()
	s := open(t, e)
	rng := seeded()
	alive := rows{}
	var dead []Item
	for round := range 2 {
		for i := range 20 {
			size := rng.IntN(30 << 10)
			if i == 18 || i == 19 {
				size = e.SoloBytes + 1 + i
			}
			it := Put(t, s, rng, size)
			if (i+round)%2 == 0 {
				alive[it.ID] = it
			} else {
				dead = append(dead, it)
			}
		}
		s = reopened(t, e, s)
	}
	return s, alive, dead
}

// compact rewrites a unit; a shared store needs a second call to remove it.
func compact(t *testing.T, e Env, s blob.Store, unit string, r rows) {
	t.Helper()
	err := s.Rewrite(t.Context(), unit, r.live, r.moved)
	if err == nil && e.Shared {
		if err = s.Rewrite(t.Context(), unit, r.live, r.moved); errors.Is(err, blob.ErrNotFound) {
			err = nil // there was nothing alive at first
		}
	}
	if err != nil {
		t.Fatalf("Rewrite of %s: %v", unit, err)
	}
}

func rewrite(t *testing.T, e Env) {
	s, alive, dead := filled(t, e)
	before := Sealed(t, s)
	if len(before) < 2 {
		t.Fatalf("sealed units: %v", before)
	}
	for _, unit := range before {
		compact(t, e, s, unit, alive)
	}
	for range 2 {
		for _, it := range alive {
			Check(t, s, it)
		}
		for _, it := range dead {
			if _, err := s.Open(t.Context(), it.ID, it.At); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("a dead record after Rewrite: %v", err)
			}
		}
		if found := scanAll(t, s); len(found) != len(alive) {
			t.Errorf("%d records are left, want %d", len(found), len(alive))
		}
		for _, unit := range Sealed(t, s) {
			if slices.Contains(before, unit) {
				t.Errorf("unit %s is still there", unit)
			}
		}
		s = reopened(t, e, s)
	}
	if err := s.Rewrite(t.Context(), before[0], alive.live, alive.moved); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Rewrite of a unit that is gone: %v", err)
	}
}

func rewriteFails(t *testing.T, e Env) {
	s, alive, _ := filled(t, e)
	fail := errors.New("the database went away")
	for _, unit := range Sealed(t, s) {
		err := s.Rewrite(t.Context(), unit, func(context.Context, []blob.Entry) ([]bool, error) { return nil, fail }, alive.moved)
		if !errors.Is(err, fail) {
			t.Fatalf("live fails: %v", err)
		}
		err = s.Rewrite(t.Context(), unit, alive.live, func(context.Context, []blob.Move) error { return fail })
		// A unit without live records has nothing to move, and goes.
		if err != nil && !errors.Is(err, fail) {
			t.Fatalf("moved fails: %v", err)
		}
		for _, it := range alive {
			Check(t, s, it)
		}
		err = s.Rewrite(t.Context(), unit, alive.live, alive.moved)
		if err != nil && !errors.Is(err, blob.ErrNotFound) {
			t.Fatalf("again: %v", err)
		}
	}
	for _, it := range alive {
		Check(t, s, it)
	}
}

func rewriteReaders(t *testing.T, e Env) {
	s := open(t, e)
	it := Put(t, s, seeded(), 700<<10)
	s = reopened(t, e, s)
	r, err := s.Open(t.Context(), it.ID, it.At)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first := make([]byte, 100<<10)
	if _, err := r.ReadAt(first, 0); err != nil {
		t.Fatal(err)
	}
	alive := rows{it.ID: it}
	if err := s.Rewrite(t.Context(), it.At.Unit, alive.live, alive.moved); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil || !bytes.Equal(got, it.Data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	Check(t, s, alive[it.ID])
}

func pin(t *testing.T, e Env) {
	s, alive, dead := filled(t, e)
	before := Sealed(t, s)
	outer, inner := s.Pin(), s.Pin()
	for _, unit := range before {
		compact(t, e, s, unit, alive)
	}
	inner()
	inner() // the second call does nothing
	for _, it := range dead {
		Check(t, s, it)
	}
	for _, it := range alive {
		Check(t, s, it)
	}
	outer()
	for _, it := range dead {
		if _, err := s.Open(t.Context(), it.ID, it.At); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("a dead record after the last release: %v", err)
		}
	}
	for _, it := range alive {
		Check(t, s, it)
	}
}

func remove(t *testing.T, e Env) {
	s := open(t, e)
	rng := seeded()
	var recs []blob.Record
	for range 3 {
		_, rec := Record(rng, 4000)
		recs = append(recs, rec)
	}
	locs, err := s.Put(t.Context(), recs)
	if err != nil {
		t.Fatal(err)
	}
	solo := Put(t, s, rng, e.SoloBytes+1)
	s = reopened(t, e, s)
	if err := s.Remove(t.Context(), []blob.Location{locs[0], locs[1], locs[1], solo.At}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), solo.ID, solo.At); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("the only record of its unit, dead: %v", err)
	}
	if err := s.Verify(t.Context(), recs[2].ID, locs[2]); err != nil {
		t.Errorf("a living neighbour of removed records: %v", err)
	}
	for range 2 { // the second time the unit is gone
		if err := s.Remove(t.Context(), locs); err != nil {
			t.Fatal(err)
		}
		for i, rec := range recs {
			if _, err := s.Open(t.Context(), rec.ID, locs[i]); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("record %d of a unit that is all dead: %v", i, err)
			}
		}
	}
}
