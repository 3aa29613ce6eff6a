package sqlstore

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"posta/internal/mail"
	"posta/internal/store"
)

// findable fails unless each id is found by its own text and by a common key.
func findable(t *testing.T, s *Store, ids []mail.ID) {
	t.Helper()
	if err := s.FlushTraces(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		got, err := s.FindTraces(t.Context(), id.String(), 2)
		if err != nil || len(got) != 1 || got[0] != id {
			t.Errorf("%s is found as %v, %v", id, got, err)
		}
	}
	got, err := s.FindTraces(t.Context(), "common", 0)
	if err != nil || len(got) != min(len(ids), maxPage) {
		t.Errorf("found %d of %d, %v", len(got), len(ids), err)
	}
}

func acceptTraces(t *testing.T, s *Store, n int) []mail.ID {
	t.Helper()
	ids := make([]mail.ID, n)
	for i := range ids {
		ids[i] = mail.NewID(time.Now())
		tr := &store.TraceRecord{ID: ids[i], Body: []byte("trace"), Keys: []string{"common", ids[i].String()}}
		if _, err := s.Accept(t.Context(), &store.Accept{ID: ids[i], Trace: tr}); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// What finds traces is made again when its file is gone, damaged, or behind
// because the process died before the last batch.
func TestTrailIsRebuilt(t *testing.T) {
	for what, spoil := range map[string]func(t *testing.T, from, to string){
		"gone": func(t *testing.T, from, to string) {
			copyFiles(t, from, to, "posta.db", "posta.db-wal")
		},
		"damaged": func(t *testing.T, from, to string) {
			copyFiles(t, from, to, "posta.db", "posta.db-wal")
			if err := os.WriteFile(filepath.Join(to, sideFile), bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"behind": func(t *testing.T, from, to string) {
			copyFiles(t, from, to, "posta.db", "posta.db-wal", sideFile, sideFile+"-wal")
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir, crashed := t.TempDir(), t.TempDir()
			s := openTest(t, dir)
			ids := acceptTraces(t, s, 30)
			if err := s.FlushTraces(t.Context()); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, acceptTraces(t, s, 30)...)
			spoil(t, dir, crashed) // what a SIGKILL would leave
			findable(t, openTest(t, crashed), ids)
		})
	}
}

func copyFiles(t *testing.T, from, to string, names ...string) {
	t.Helper()
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(from, n))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, n), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// After a clean close nothing is read again.
func TestTrailLeavesClean(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ids := acceptTraces(t, s, 5)
	s.KeepRefused(store.TraceRecord{ID: mail.NewID(time.Now()), Body: []byte("x"), Keys: []string{"other"}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir)
	if s.trail.behind {
		t.Error("reads again after a clean close")
	}
	findable(t, s, ids)
	if got, err := s.FindTraces(t.Context(), "other", 1); err != nil || len(got) != 1 {
		t.Errorf("the refusal: %v, %v", got, err)
	}
}

// A flood of refusals costs bounded memory; what was accepted meanwhile is found
// nevertheless.
func TestTrailBudget(t *testing.T) {
	w := &trail{poke: make(chan struct{}, 1)} // nobody writes
	const flood = 20_000
	for i := range flood {
		w.keepRefused(store.TraceRecord{ID: mail.NewID(time.Now()), Body: make([]byte, 900), Keys: []string{fmt.Sprint("k", i)}})
	}
	kept := int64(len(w.waiting.refused))
	if w.dropped.Load() == 0 || kept+w.dropped.Load() != flood || w.waiting.bytes > trailBytes+2000 {
		t.Errorf("of %d kept %d in %d octets, dropped %d", flood, kept, w.waiting.bytes, w.dropped.Load())
	}
	first := mail.NewID(time.Now())
	w.accepted(first, []string{"a"})
	w.accepted(mail.NewID(time.Now().Add(time.Second)), []string{"b"})
	if !w.behind || w.reread != first {
		t.Errorf("read again: %v from %s, want %s", w.behind, w.reread, first)
	}
	if len(w.poke) == 0 {
		t.Error("the writer was not called")
	}
}

// BenchmarkKeepRefused is one refused transaction with five keys, written.
func BenchmarkKeepRefused(b *testing.B) {
	s := openTest(b, b.TempDir())
	body := make([]byte, 600)
	b.ReportAllocs()
	cpu := cpuTime(b)
	for i := range b.N {
		id := mail.NewID(time.Now())
		s.KeepRefused(store.TraceRecord{ID: id, Body: body, Keys: []string{fmt.Sprintf("user%d@example.org", i%1000),
			fmt.Sprintf("u%d@example.net", i), fmt.Sprintf("192.0.2.%d", i%256)}})
		if i%2000 == 1999 {
			if err := s.FlushTraces(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := s.FlushTraces(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(b.N)/1000, "µs-cpu/op")
	if n := s.DroppedTraces(); n > 0 {
		b.Errorf("dropped %d", n)
	}
}
