package ratelimit

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// With few keys a Set decides as the limit itself does.
func TestSetIsTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limit{Count: rapid.IntRange(0, 20).Draw(t, "count"), Period: time.Minute, Burst: rapid.IntRange(0, 5).Draw(t, "burst")}
		s := NewSet[int](l, 1)
		states := map[int]State{}
		now := t0
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "gap")))
			key, n := rapid.IntRange(0, 3).Draw(t, "key"), rapid.IntRange(0, 3).Draw(t, "n")
			next, want := l.Take(states[key], now, n)
			states[key] = next
			if got := s.Take(key, now, n); got != want {
				t.Fatalf("%d of key %d: %+v, want %+v", n, key, got, want)
			}
		}
	})
}

// In a flood of keys, one that is being limited stays so.
func TestSetKeepsTheBusy(t *testing.T) {
	s := NewSet[int](Limit{Count: 10, Period: time.Minute}, 4096)
	now := t0
	for range 10 {
		s.Take(-1, now, 1)
	}
	for i := range 100_000 {
		if i%1000 == 0 {
			now = now.Add(100 * time.Millisecond)
			s.Take(-1, now, 1) // it goes on trying
		}
		if d := s.Take(i, now, 1); !d.Allowed {
			t.Fatal("a new key is refused")
		}
	}
	if d := s.Take(-1, now, 2); d.Allowed {
		t.Error("a busy key was forgotten in a flood of new ones")
	}
}

func TestSetConcurrent(t *testing.T) {
	s := NewSet[string](Limit{Count: 100, Period: time.Hour}, 1000)
	var wg sync.WaitGroup
	allowed := make([]int, 8)
	for i := range allowed {
		wg.Go(func() {
			for range 50 {
				if s.Take("one", t0, 1).Allowed {
					allowed[i]++
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range allowed {
		total += n
	}
	if total != 100 {
		t.Errorf("%d allowed, want 100", total)
	}
}

func BenchmarkSet(b *testing.B) {
	s := NewSet[netip.Prefix](Limit{Count: 10, Period: time.Minute}, 1<<16)
	ip := netip.MustParseAddr("192.0.2.1")
	now := t0
	b.ReportAllocs()
	for b.Loop() {
		ip = ip.Next()
		s.Take(Host(ip), now, 1)
	}
}
