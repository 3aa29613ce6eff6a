package sqltally

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posta/internal/pgtest"
	"posta/internal/spam/tally"
	"posta/internal/spam/tally/tallytest"
)

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSQLite(t *testing.T) {
	tallytest.Run(t, func(t *testing.T) (s, other tally.Store) {
		return mustOpen(t, Options{SQLite: filepath.Join(t.TempDir(), "spam.db")}), nil
	})
}

func TestPostgres(t *testing.T) {
	server := pgtest.Start(t)
	n := 0
	tallytest.Run(t, func(t *testing.T) (s, other tally.Store) {
		n++
		db := fmt.Sprint("t", n)
		server.Create(t, db, "template1")
		o := Options{Postgres: server.URL(db), Refresh: time.Nanosecond}
		return mustOpen(t, o), mustOpen(t, o)
	})
}

// What was learned is there after a restart; a damaged file is put aside.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spam.db")
	s, err := Open(t.Context(), Options{SQLite: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Add(t.Context(), "", tally.Delta{Spam: 1}, []tally.Delta{{Feature: 5, Spam: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, Options{SQLite: path})
	var out [1]tally.Count
	if m, err := s.Counts(t.Context(), "", []uint64{5}, out[:]); err != nil || m.Spam != 1 || out[0].Spam != 1 {
		t.Errorf("after a restart: %v %v %v", m, out, err)
	}

	bad := filepath.Join(t.TempDir(), "spam.db")
	if err := os.WriteFile(bad, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, Options{SQLite: bad})
	if m, err := s.Counts(t.Context(), "", nil, nil); err != nil || m.Total() != 0 {
		t.Errorf("after a damaged file: %v %v", m, err)
	}
	if _, err := os.Stat(bad + ".damaged"); err != nil {
		t.Error(err)
	}
}

// Models in memory stay within their budget, and a model that does not fit is
// answered all the same.
func TestMemoryBudget(t *testing.T) {
	s := mustOpen(t, Options{SQLite: filepath.Join(t.TempDir(), "spam.db"), Memory: 64 << 10})
	var d []tally.Delta
	for i := range 4000 {
		d = append(d, tally.Delta{Feature: uint64(i+1) * 0x9e3779b97f4a7c15, Ham: 1})
	}
	for _, m := range []struct {
		name tally.Model
		n    int
	}{{"large", 4000}, {"a", 300}, {"b", 300}, {"c", 300}, {"d", 300}, {"e", 300}} {
		if err := s.Add(t.Context(), m.name, tally.Delta{Ham: 1}, d[:m.n]); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 * warmAfter {
		for _, m := range []tally.Model{"large", "a", "b", "c", "d", "e"} {
			var out [2]tally.Count
			_, err := s.Counts(t.Context(), m, []uint64{d[7].Feature, 3}, out[:])
			if err != nil || out != [2]tally.Count{{Ham: 1}, {}} {
				t.Fatalf("%s: %v %v", m, out, err)
			}
			if s.cache.bytes > s.cache.limit {
				t.Fatalf("%d octets of models in memory, limit %d", s.cache.bytes, s.cache.limit)
			}
		}
	}
	if s.cache.bytes == 0 {
		t.Error("no model is held in memory")
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{}, {SQLite: "x", Postgres: "y"}} {
		if _, err := Open(t.Context(), o); err == nil {
			t.Errorf("%+v: opened", o)
		}
	}
}

// One message's features asked of a model that is held in memory, of one that is
// not, and learned.
func BenchmarkCounts(b *testing.B) {
	s := mustOpen(b, Options{SQLite: filepath.Join(b.TempDir(), "spam.db")})
	var d []tally.Delta
	for i := range 200_000 {
		d = append(d, tally.Delta{Feature: uint64(i+1) * 0x9e3779b97f4a7c15, Ham: 1})
	}
	if err := s.Add(b.Context(), "", tally.Delta{Ham: 1}, d); err != nil {
		b.Fatal(err)
	}
	const n = 1000 // a third of them known
	features, out := make([]uint64, n), make([]tally.Count, n)
	for i := range features {
		features[i] = uint64(i*601+1) * 0x9e3779b97f4a7c15
	}
	ask := func(b *testing.B, f func() error) {
		b.ReportAllocs()
		for b.Loop() {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("cold", func(b *testing.B) {
		ask(b, func() error { _, err := s.ask(b.Context(), "", features, out); return err })
	})
	for range 2 * warmAfter {
		if _, err := s.Counts(b.Context(), "", features, out); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("held", func(b *testing.B) {
		ask(b, func() error { _, err := s.Counts(b.Context(), "", features, out); return err })
	})
	b.Run("learn", func(b *testing.B) {
		ask(b, func() error { return s.Add(b.Context(), "", tally.Delta{Spam: 1}, d[:500]) })
	})
}
