package sqlstore

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"posta/internal/store"
)

func putFact(t testing.TB, s *Store, key string, until time.Time) {
	t.Helper()
	err := s.ChangeFacts(t.Context(), store.GreyTriplet, []string{key}, func(store.Fact) store.Fact {
		return store.Fact{Value: []byte("v"), Until: until}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func countRows(t testing.TB, s *Store) (n int64) {
	t.Helper()
	err := s.facts.read(t.Context(), func(t *tx) error { return t.row("SELECT COUNT(*) FROM fact").scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A flood of strangers takes a bounded number of rows, and pushes out those that
// end soonest; also after the store was opened anew.
func TestFactsAreBounded(t *testing.T) {
	dir := t.TempDir()
	until := time.Now().Add(time.Hour)
	var s *Store
	for round := range 2 {
		s = mustOpen(t, Options{Dir: dir, MaxFacts: 128})
		for i := range 500 {
			putFact(t, s, fmt.Sprintf("%d/%d", round, i), until.Add(time.Duration(500*round+i)*time.Second))
			if n := countRows(t, s); n > 128 {
				t.Fatalf("%d rows", n)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s = mustOpen(t, Options{Dir: dir, MaxFacts: 20})
	if n, err := s.SweepFacts(t.Context()); err != nil || n < 100 || countRows(t, s) > 20 {
		t.Errorf("SweepFacts: %d, %v; %d rows are left", n, err, countRows(t, s))
	}
	facts, err := s.FactsOf(t.Context(), store.GreyTriplet, "1/499", "1/490", "0/499")
	if err != nil || facts[0].Until.IsZero() || facts[1].Until.IsZero() || !facts[2].Until.IsZero() {
		t.Errorf("the last to end should be left: %v, %v", facts, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// The file may be lost or damaged: the store opens, and has forgotten.
func TestFactsMayBeLost(t *testing.T) {
	dir := t.TempDir()
	for _, damage := range []func(string) error{
		os.Remove,
		func(name string) error { return os.WriteFile(name, bytes.Repeat([]byte("no database "), 1000), 0o600) },
	} {
		s := mustOpen(t, Options{Dir: dir})
		putFact(t, s, "k", time.Now().Add(time.Hour))
		if countRows(t, s) != 1 {
			t.Error("the fact before was not forgotten")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := damage(filepath.Join(dir, factFile)); err != nil {
			t.Fatal(err)
		}
	}
	s := mustOpen(t, Options{Dir: dir})
	if countRows(t, s) != 0 {
		t.Error("not forgotten")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkChangeFacts(b *testing.B) {
	s := mustOpen(b, Options{Dir: b.TempDir()})
	defer s.Close()
	until := time.Now().Add(time.Hour)
	for i := 0; b.Loop(); i++ {
		putFact(b, s, fmt.Sprintf("192.0.2.%d example.org", i%5000), until)
	}
}
