// Package tallytest is the suite that every tally.Store passes.
package tallytest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"posta/internal/spam/tally"
)

// Run runs the suite. open gives an empty store each time; with other it gives a
// second handle on the same tallies, or nil where there can be none.
func Run(t *testing.T, open func(t *testing.T) (s, other tally.Store)) {
	for _, c := range []struct {
		name string
		f    func(t *testing.T, s tally.Store)
	}{
		{"counts", counts}, {"clamp", clamp}, {"many", many}, {"reset", reset}, {"prune", prune},
		{"models", models}, {"hot", hot}, {"names", names}, {"labels", labels},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := open(t)
			c.f(t, s)
		})
	}
	t.Run("two handles", func(t *testing.T) {
		s, other := open(t)
		if other == nil {
			other = s
		}
		together(t, s, other)
	})
}

func add(t *testing.T, s tally.Store, m tally.Model, messages tally.Delta, features ...tally.Delta) {
	t.Helper()
	if err := s.Add(t.Context(), m, messages, features); err != nil {
		t.Fatal(err)
	}
}

// want asks for features and compares.
func want(t *testing.T, s tally.Store, m tally.Model, messages tally.Count, counts map[uint64]tally.Count) {
	t.Helper()
	var features []uint64
	for f := range counts {
		features = append(features, f)
	}
	out := make([]tally.Count, len(features))
	for i := range out {
		out[i] = tally.Count{Spam: 99, Ham: 99} // must be overwritten
	}
	got, err := s.Counts(t.Context(), m, features, out)
	if err != nil {
		t.Fatal(err)
	}
	if got != messages {
		t.Errorf("model %q has learned %v, want %v", m, got, messages)
	}
	for i, f := range features {
		if out[i] != counts[f] {
			t.Errorf("model %q, feature %d: %v, want %v", m, f, out[i], counts[f])
		}
	}
}

// What a message was learned as is told to who learns it again; models are apart.
func labels(t *testing.T, s tally.Store) {
	relabel := func(m tally.Model, message uint64, to, want tally.Label) {
		t.Helper()
		if was, err := s.Relabel(t.Context(), m, message, to); err != nil || was != want {
			t.Errorf("model %q, message %d: was %v, %v; want %v", m, message, was, err, want)
		}
	}
	relabel("", 1, tally.Spam, tally.None)
	relabel("", 1, tally.Spam, tally.Spam)
	relabel("7", 1, tally.Ham, tally.None)
	relabel("", top, tally.Ham, tally.None)
	relabel("", 1, tally.Ham, tally.Spam)
	// LabelNew changes nothing of what was said before.
	labelNew := func(m tally.Model, message uint64, to, want tally.Label) {
		t.Helper()
		if was, err := s.LabelNew(t.Context(), m, message, to); err != nil || was != want {
			t.Errorf("model %q, message %d: was %v, %v; want %v", m, message, was, err, want)
		}
	}
	labelNew("", 1, tally.Spam, tally.Ham)
	labelNew("", 1, tally.Spam, tally.Ham)
	labelNew("", 2, tally.Ham, tally.None)
	relabel("", 2, tally.None, tally.Ham)
	labelNew("", 2, tally.Spam, tally.None)
	relabel("", 2, tally.Spam, tally.Spam)
	if err := s.Reset(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	relabel("", 1, tally.Ham, tally.None)
	relabel("7", 1, tally.Ham, tally.Ham)
	if err := s.DropLabels(t.Context(), time.Now().AddDate(0, 0, -1)); err != nil {
		t.Fatal(err)
	}
	relabel("7", 1, tally.Spam, tally.Ham)
	if err := s.DropLabels(t.Context(), time.Now().AddDate(0, 0, 2)); err != nil {
		t.Fatal(err)
	}
	relabel("7", 1, tally.Spam, tally.None)
	long := tally.Model(strings.Repeat("m", tally.MaxModel+1))
	if _, err := s.Relabel(t.Context(), long, 1, tally.Spam); !errors.Is(err, tally.ErrModel) {
		t.Error(err)
	}
	if _, err := s.LabelNew(t.Context(), long, 1, tally.Spam); !errors.Is(err, tally.ErrModel) {
		t.Error(err)
	}
}

const top = 1<<64 - 1 // a feature that is negative as a signed number

// Counts of models are apart; what was never seen is zero; zero and the largest
// number are features like others.
func counts(t *testing.T, s tally.Store) {
	want(t, s, "", tally.Count{}, map[uint64]tally.Count{1: {}, 0: {}})
	add(t, s, "", tally.Delta{Spam: 1}, tally.Delta{Feature: 0, Spam: 1}, tally.Delta{Feature: top, Spam: 1})
	add(t, s, "", tally.Delta{Ham: 1}, tally.Delta{Feature: top, Ham: 1}, tally.Delta{Feature: 7, Ham: 1})
	add(t, s, "a@example.org", tally.Delta{Spam: 2}, tally.Delta{Feature: 7, Spam: 2})
	want(t, s, "", tally.Count{Spam: 1, Ham: 1}, map[uint64]tally.Count{
		0: {Spam: 1}, top: {Spam: 1, Ham: 1}, 7: {Ham: 1}, 8: {},
	})
	want(t, s, "a@example.org", tally.Count{Spam: 2}, map[uint64]tally.Count{7: {Spam: 2}, 0: {}})
	want(t, s, "b@example.org", tally.Count{}, map[uint64]tally.Count{7: {}})
}

// Taking back is exact; nothing falls below zero.
func clamp(t *testing.T, s tally.Store) {
	add(t, s, "", tally.Delta{Spam: 2}, tally.Delta{Feature: 1, Spam: 2}, tally.Delta{Feature: 2, Spam: 1, Ham: 3})
	add(t, s, "", tally.Delta{Spam: -1, Ham: 1}, tally.Delta{Feature: 1, Spam: -1}, tally.Delta{Feature: 2, Spam: -1, Ham: 1})
	want(t, s, "", tally.Count{Spam: 1, Ham: 1}, map[uint64]tally.Count{1: {Spam: 1}, 2: {Ham: 4}})
	add(t, s, "", tally.Delta{Spam: -5}, tally.Delta{Feature: 1, Spam: -5}, tally.Delta{Feature: 3, Spam: -1})
	want(t, s, "", tally.Count{Ham: 1}, map[uint64]tally.Count{1: {}, 2: {Ham: 4}, 3: {}})
	add(t, s, "", tally.Delta{Ham: 1}, tally.Delta{Feature: 3, Ham: 1})
	want(t, s, "", tally.Count{Ham: 2}, map[uint64]tally.Count{3: {Ham: 1}})
}

// More features at once than fit in one transaction.
func many(t *testing.T, s tally.Store) {
	const n = 2500
	var d []tally.Delta
	for i := range uint64(n) {
		d = append(d, tally.Delta{Feature: i * 0x9e3779b97f4a7c15, Spam: 1, Ham: 2})
	}
	add(t, s, "", tally.Delta{Spam: 1, Ham: 2}, d...)
	features, out := make([]uint64, n), make([]tally.Count, n)
	for i := range d {
		features[i] = d[i].Feature
	}
	got, err := s.Counts(t.Context(), "", features, out)
	if err != nil || got != (tally.Count{Spam: 1, Ham: 2}) {
		t.Fatal(got, err)
	}
	for i, c := range out {
		if c != (tally.Count{Spam: 1, Ham: 2}) {
			t.Fatalf("feature %d: %v", i, c)
		}
	}
}

func reset(t *testing.T, s tally.Store) {
	add(t, s, "", tally.Delta{Spam: 1}, tally.Delta{Feature: 1, Spam: 1})
	add(t, s, "x", tally.Delta{Spam: 1}, tally.Delta{Feature: 1, Spam: 1})
	if err := s.Reset(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	want(t, s, "", tally.Count{}, map[uint64]tally.Count{1: {}})
	want(t, s, "x", tally.Count{Spam: 1}, map[uint64]tally.Count{1: {Spam: 1}})
	if err := s.Reset(t.Context(), "never was"); err != nil {
		t.Fatal(err)
	}
	add(t, s, "", tally.Delta{Ham: 1}, tally.Delta{Feature: 1, Ham: 1})
	want(t, s, "", tally.Count{Ham: 1}, map[uint64]tally.Count{1: {Ham: 1}})
}

// What was seen seldom goes first; what is kept keeps its counts.
func prune(t *testing.T, s tally.Store) {
	var d []tally.Delta
	for i := range 1200 {
		n := int32(1)
		if i%12 == 0 {
			n = 5
		}
		d = append(d, tally.Delta{Feature: uint64(i), Spam: n})
	}
	add(t, s, "", tally.Delta{Spam: 5}, d...)
	if n, err := s.Prune(t.Context(), "", 1200); n != 0 || err != nil {
		t.Fatalf("nothing to prune: %d, %v", n, err)
	}
	if n, err := s.Prune(t.Context(), "", 100); n != 1100 || err != nil {
		t.Fatalf("pruned %d, %v, want 1100", n, err)
	}
	want(t, s, "", tally.Count{Spam: 5}, map[uint64]tally.Count{0: {Spam: 5}, 12: {Spam: 5}, 1: {}, 13: {}})
	if n, err := s.Prune(t.Context(), "", 40); n != 60 || err != nil {
		t.Fatalf("pruned %d, %v, want 60", n, err)
	}
	if n, err := s.Prune(t.Context(), "none", 0); n != 0 || err != nil {
		t.Fatal(n, err)
	}
}

func models(t *testing.T, s tally.Store) {
	add(t, s, "b", tally.Delta{Spam: 1}, tally.Delta{Feature: 1, Spam: 1}, tally.Delta{Feature: 2, Spam: 1})
	add(t, s, "", tally.Delta{Ham: 3})
	add(t, s, "a", tally.Delta{Ham: 1}, tally.Delta{Feature: 1, Ham: 1})
	var got []string
	err := s.Models(t.Context(), func(i tally.Info) bool {
		got = append(got, fmt.Sprintf("%q %d/%d %d", i.Model, i.Messages.Spam, i.Messages.Ham, i.Features))
		return true
	})
	if w := `"" 0/3 0, "a" 0/1 1, "b" 1/0 2`; err != nil || strings.Join(got, ", ") != w {
		t.Errorf("models: %s, %v, want %s", strings.Join(got, ", "), err, w)
	}
}

// A model that is asked often answers the same, also while it learns.
func hot(t *testing.T, s tally.Store) {
	for i := range uint32(30) {
		f := uint64(i)
		add(t, s, "m", tally.Delta{Spam: 1}, tally.Delta{Feature: f, Spam: 1}, tally.Delta{Feature: 1000, Ham: 1})
		want(t, s, "m", tally.Count{Spam: i + 1}, map[uint64]tally.Count{f: {Spam: 1}, f + 1: {}, 1000: {Ham: i + 1}})
	}
	add(t, s, "m", tally.Delta{Spam: -1}, tally.Delta{Feature: 3, Spam: -1})
	want(t, s, "m", tally.Count{Spam: 29}, map[uint64]tally.Count{3: {}, 4: {Spam: 1}})
	if err := s.Reset(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	want(t, s, "m", tally.Count{}, map[uint64]tally.Count{4: {}})
}

func names(t *testing.T, s tally.Store) {
	long := tally.Model(strings.Repeat("x", tally.MaxModel))
	add(t, s, long, tally.Delta{Spam: 1})
	add(t, s, "ñandú@example.org", tally.Delta{Ham: 1})
	want(t, s, long, tally.Count{Spam: 1}, nil)
	want(t, s, "ñandú@example.org", tally.Count{Ham: 1}, nil)
	if err := s.Add(t.Context(), long+"x", tally.Delta{Spam: 1}, nil); !errors.Is(err, tally.ErrModel) {
		t.Errorf("a name of %d octets: %v", len(long)+1, err)
	}
}

// Two handles add the same features at the same time; all of it counts.
func together(t *testing.T, s, other tally.Store) {
	const rounds, n = 20, 300
	var wg sync.WaitGroup
	for k, h := range []tally.Store{s, other, s, other} {
		wg.Go(func() {
			for r := range rounds {
				var d []tally.Delta
				for i := range n {
					d = append(d, tally.Delta{Feature: uint64((i*7 + k*31 + r) % n), Spam: 1})
				}
				if err := h.Add(context.WithoutCancel(t.Context()), "", tally.Delta{Spam: 1}, d); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	want(t, s, "", tally.Count{Spam: 4 * rounds}, map[uint64]tally.Count{
		0: {Spam: 4 * rounds}, n / 2: {Spam: 4 * rounds}, n - 1: {Spam: 4 * rounds}, n: {},
	})
}
