// Package blobtest is the suite that every blob.Store passes.
package blobtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"posta/internal/blob"
)

// Env is one empty place for blobs.
type Env struct {
	// Open opens a handle on the place; the suite closes it. It is called again after a Close, and,
	// when Shared, also while other handles are open.
	Open   func(t testing.TB) blob.Store
	Shared bool
	// SoloBytes: a record of more bytes gets a unit of its own.
	SoloBytes int
}

// Run runs the suite; fresh makes an empty place for each test.
func Run(t *testing.T, fresh func(t *testing.T) Env) {
	tests := []struct {
		name string
		run  func(*testing.T, Env)
	}{
		{"every size comes back byte for byte", roundTrip},
		{"one Put of many records", manyInOne},
		{"concurrent Puts and Opens from all handles", concurrent},
		{"what was put is there after reopening", reopen},
		{"a wrong id, place or unit finds nothing", wrongPlace},
		{"a short body fails alone", shortBody},
		{"limits are kept", limits},
		{"a cancelled context stores nothing", cancelled},
		{"a closed store says so", closed},
		{"ranges are read without the rest", ranges},
		{"Scan tells all, and stops when told", scan},
		{"Rewrite moves the living and removes the dead", rewrite},
		{"Rewrite that fails loses nothing", rewriteFails},
		{"Rewrite keeps open readers", rewriteReaders},
		{"a pin holds back removal", pin},
		{"Remove takes a unit only whole", remove},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, fresh(t))
		})
	}
}

// Item is a record that was stored, with all that is needed to check it.
type Item struct {
	ID     blob.ID
	Accept []byte
	Data   []byte
	At     blob.Location
}

// Record makes a record of random bytes.
func Record(rng *rand.Rand, size int) (Item, blob.Record) {
	var random [10]byte
	data := make([]byte, size)
	fill(rng, random[:])
	fill(rng, data)
	it := Item{ID: blob.MakeID(time.UnixMilli(1_700_000_000_000), random), Data: data, Accept: []byte("accept " + random2text(random))}
	return it, blob.Record{ID: it.ID, SHA256: sha256.Sum256(data), Accept: it.Accept, Body: blob.Bytes(data)}
}

func random2text(r [10]byte) string { return blob.MakeID(time.UnixMilli(0), r).String() }

// fill alternates noise and text, so that a store that compresses has something to do.
func fill(rng *rand.Rand, p []byte) {
	const text = "Received: from mail.example.net (mail.example.net [192.0.2.1])\r\n"
	var noise [64]byte
	for len(p) > 0 {
		for i := 0; i < len(noise); i += 8 {
			binary.LittleEndian.PutUint64(noise[i:], rng.Uint64())
		}
		p = p[copy(p, noise[:]):]
		p = p[copy(p, text):]
	}
}

// Put stores a record of size bytes.
func Put(t testing.TB, s blob.Store, rng *rand.Rand, size int) Item {
	t.Helper()
	it, rec := Record(rng, size)
	locs, err := s.Put(t.Context(), []blob.Record{rec})
	if err != nil {
		t.Fatalf("Put of %d bytes: %v", size, err)
	}
	it.At = locs[0]
	return it
}

// Check reads an item back.
func Check(t testing.TB, s blob.Store, it Item) {
	t.Helper()
	got, err := blob.ReadAll(t.Context(), s, it.ID, it.At)
	if err != nil {
		t.Fatalf("blob %v of %d bytes at %v: %v", it.ID, len(it.Data), it.At, err)
	}
	if !bytes.Equal(got, it.Data) {
		t.Fatalf("blob %v of %d bytes at %v came back different", it.ID, len(it.Data), it.At)
	}
	if err := s.Verify(t.Context(), it.ID, it.At); err != nil {
		t.Fatalf("Verify: %v", err)
	}
}

// Sealed returns the names of the sealed units.
func Sealed(t testing.TB, s blob.Store) []string {
	t.Helper()
	units, err := s.Units(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(units, func(a, b blob.UnitInfo) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) }) {
		t.Errorf("units are not in order: %v", units)
	}
	var names []string
	for _, u := range units {
		if u.Sealed {
			names = append(names, u.Name)
		}
	}
	return names
}

func open(t testing.TB, e Env) blob.Store {
	t.Helper()
	s := e.Open(t)
	t.Cleanup(func() { s.Close() })
	return s
}

// reopened closes s and opens the place again, so that every unit is sealed.
func reopened(t testing.TB, e Env, s blob.Store) blob.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	return open(t, e)
}

func seeded() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
