package counts

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/store"
)

// shelf keeps facts, as long as it is not broken.
type shelf struct {
	facts  map[string]store.Fact
	broken bool
}

func (s *shelf) ChangeFacts(_ context.Context, _ store.FactKind, keys []string, f func(store.Fact) store.Fact) error {
	if s.broken {
		return errors.New("broken")
	}
	if len(keys) > 100 {
		return errors.New("too many keys")
	}
	for _, k := range keys {
		old := s.facts[k]
		old.Key = k
		s.facts[k] = f(old)
	}
	return nil
}

func gather(s *shelf) *Gatherer[int64] {
	return New(Config[int64]{
		Facts: s, Kind: store.Destination, What: "x", Add: func(a, b int64) int64 { return a + b },
		Keep: func(kept store.Fact, n int64) store.Fact {
			old, _ := strconv.ParseInt(string(kept.Value), 10, 64)
			value := strconv.AppendInt(nil, old+n, 10)
			if kept.Key == "large" {
				value = make([]byte, store.MaxFactValue+1)
			}
			return store.Fact{Key: kept.Key, Value: value, Until: time.Unix(1<<40, 0)}
		},
	})
}

// What is noted is added to what is kept, every few seconds and at the end.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{facts: map[string]store.Fact{}}
		g := gather(s)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		g.Note("a", 1)
		g.Note("a", 2)
		time.Sleep(Every + time.Second)
		synctest.Wait()
		if got := string(s.facts["a"].Value); got != "3" {
			t.Errorf("written: %q", got)
		}
		g.Note("a", 4)
		cancel()
		if err := <-done; err != nil || string(s.facts["a"].Value) != "7" {
			t.Errorf("at the end: %q, %v", s.facts["a"].Value, err)
		}
	})
}

// What waits is bounded, and so are keys and values; what a broken store did not take is not
// taken twice later.
func TestBounds(t *testing.T) {
	s := &shelf{facts: map[string]store.Fact{}, broken: true}
	g := gather(s)
	g.Note("a", 1)
	g.Flush(t.Context())
	s.broken = false
	g.Note("large", 1)
	g.Note(strings.Repeat("k", store.MaxFactKey+1), 1)
	for i := range 2 * maxPending {
		g.Note(fmt.Sprint(i), 1)
	}
	g.Note("0", 1) // it waits already
	g.Flush(t.Context())
	if len(s.facts) != maxPending || string(s.facts["0"].Value) != "2" || s.facts["large"].Value != nil || s.facts["a"].Value != nil {
		t.Errorf("%d facts, %q", len(s.facts), s.facts["0"].Value)
	}
	g.Flush(t.Context())
	if got := string(s.facts["0"].Value); got != "2" {
		t.Errorf("written twice: %s", got)
	}
}
