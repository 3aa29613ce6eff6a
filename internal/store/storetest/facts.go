package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"posta/internal/store"
)

// put keeps one fact.
func put(t testing.TB, s store.Facts, kind store.FactKind, key, value string, until time.Time) {
	t.Helper()
	err := s.ChangeFacts(t.Context(), kind, []string{key}, func(f store.Fact) store.Fact {
		return store.Fact{Key: f.Key, Value: []byte(value), Until: until}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func listed(t testing.TB, s store.Facts, kind store.FactKind, prefix, after string, limit int) string {
	t.Helper()
	facts, err := s.ListFacts(t.Context(), kind, prefix, after, limit)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range facts {
		fmt.Fprintf(&b, "%s=%s ", f.Key, f.Value)
	}
	return b.String()
}

func testFacts(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	now := time.Now()
	later, before := now.Add(time.Hour).Truncate(time.Microsecond), now.Add(-time.Hour)
	put(t, a, store.Reputation, "x/1", "one", later)
	put(t, a, store.Reputation, "x/2", "two", later)
	put(t, b, store.Reputation, "x/ñ", "three", later)
	put(t, b, store.Reputation, "y", "four", later)
	put(t, b, store.Reputation, "x/0", "over", before)
	put(t, a, store.Correspondent, "x/1", "other", later)

	facts, err := b.FactsOf(ctx, store.Reputation, "x/2", "none", "x/0", "x/1")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%s %s %s %s", facts[0].Value, facts[1].Value, facts[2].Value, facts[3].Value); got != "two   one" {
		t.Errorf("FactsOf: %q", got)
	}
	if !facts[0].Until.Equal(later) || !facts[2].Until.IsZero() || facts[1].Key != "" {
		t.Errorf("FactsOf: %+v", facts)
	}
	for _, tt := range []struct {
		prefix, after string
		limit         int
		want          string
	}{
		{"x/", "", 10, "x/1=one x/2=two x/ñ=three "}, {"", "", 10, "x/1=one x/2=two x/ñ=three y=four "},
		{"x/", "x/1", 1, "x/2=two "}, {"x/", "x/ñ", 9, ""}, {"z", "", 9, ""}, {"", "", 0, ""},
	} {
		if got := listed(t, a, store.Reputation, tt.prefix, tt.after, tt.limit); got != tt.want {
			t.Errorf("ListFacts %q after %q: %q, want %q", tt.prefix, tt.after, got, tt.want)
		}
	}

	// What is changed was read; what fails changes nothing.
	err = b.ChangeFacts(ctx, store.Reputation, []string{"y", "x/1", "x/0", "new"}, func(f store.Fact) store.Fact {
		switch f.Key {
		case "y":
			return store.Fact{} // forgotten
		case "new", "x/0":
			if len(f.Value) != 0 || !f.Until.IsZero() {
				t.Errorf("a fact that is over, or never was: %+v", f)
			}
			return store.Fact{Value: []byte("young"), Until: later}
		}
		f.Value = append(f.Value, '+')
		return f
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = "new=young x/0=young x/1=one+ x/2=two x/ñ=three "
	if got := listed(t, a, store.Reputation, "", "", 10); got != want {
		t.Errorf("changed: %q, want %q", got, want)
	}
	err = a.ChangeFacts(ctx, store.Reputation, []string{"new", "x/1"}, func(f store.Fact) store.Fact {
		f.Value = make([]byte, store.MaxFactValue+1)
		return f
	})
	if !errors.Is(err, store.ErrInvalid) {
		t.Errorf("too long a value: %v", err)
	}
	for _, key := range []string{"", "a\x00b", "\xff", strings.Repeat("x", store.MaxFactKey+1)} {
		if err := a.ChangeFacts(ctx, store.Reputation, []string{key}, func(f store.Fact) store.Fact { return f }); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("key %q: %v", key, err)
		}
	}
	if got := listed(t, b, store.Reputation, "", "", 10); got != want {
		t.Errorf("after failures: %q", got)
	}

	put(t, a, store.Reputation, "gone", "x", before)
	if n, err := b.SweepFacts(ctx); n != 1 || err != nil {
		t.Errorf("SweepFacts: %d, %v", n, err)
	}
	if got := listed(t, b, store.Reputation, "", "", 10) + listed(t, b, store.Correspondent, "", "", 10); got != want+"x/1=other " {
		t.Errorf("after the sweep: %q", got)
	}
}

// Nobody's change is lost: counters are raised at the same time from two handles.
func testFactsConcurrent(t *testing.T, a, b store.Store) {
	const workers, rounds = 8, 20
	until := time.Now().Add(time.Hour)
	keys := []string{"k1", "k2", "k3"}
	var wg sync.WaitGroup
	for i := range workers {
		s := []store.Store{a, b}[i%2]
		wg.Go(func() {
			for range rounds {
				err := s.ChangeFacts(t.Context(), store.GreyPassed, keys, func(f store.Fact) store.Fact {
					return store.Fact{Value: append(f.Value, 'x'), Until: until}
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	facts, err := a.FactsOf(t.Context(), store.GreyPassed, keys...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range facts {
		if len(f.Value) != workers*rounds {
			t.Errorf("%s: %d changes, want %d", f.Key, len(f.Value), workers*rounds)
		}
	}
}
