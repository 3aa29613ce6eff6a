package ratelimit

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestTake(t *testing.T) {
	l := Limit{Count: 60, Period: time.Minute, Burst: 3} // one each second, three at once
	var s State
	steps := []struct {
		at        time.Duration
		n         int
		allowed   bool
		retry     time.Duration
		remaining int
	}{
		{0, 1, true, 0, 2}, {0, 1, true, 0, 1}, {0, 1, true, 0, 0}, {0, 1, false, time.Second, 0},
		{500 * time.Millisecond, 1, false, 500 * time.Millisecond, 0}, {time.Second, 1, true, 0, 0},
		{3 * time.Second, 3, false, time.Second, 2}, {3 * time.Second, 2, true, 0, 0}, {3 * time.Second, 0, true, 0, 0},
		{3 * time.Second, 4, false, -1, 0}, {time.Hour, 3, true, 0, 0},
	}
	for i, step := range steps {
		var d Decision
		s, d = l.Take(s, t0.Add(step.at), step.n)
		if d != (Decision{step.allowed, step.retry, step.remaining}) {
			t.Errorf("step %d: %+v, wanted %+v", i, d, step)
		}
	}
	if _, d := (Limit{}).Take(State{}, t0, 1000); !d.Allowed {
		t.Error("the zero limit refuses")
	}
}

// A clock that was wrong for a while locks nobody out for longer than a burst.
func TestClockJumpsBack(t *testing.T) {
	l := Limit{Count: 1, Period: time.Second, Burst: 5}
	s, _ := l.Take(State{}, t0.Add(1000*time.Hour), 5)
	if _, d := l.Take(s, t0, 1); d.Allowed || d.RetryAfter > time.Second {
		t.Errorf("%+v", d)
	}
}

// In no window of any length more is allowed than the burst and what the rate
// gives in that time; and who waits RetryAfter is allowed.
func TestTakeProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limit{Count: rapid.IntRange(1, 100).Draw(t, "count"), Period: time.Minute, Burst: rapid.IntRange(1, 10).Draw(t, "burst")}
		step := l.interval()
		var s State
		now, total := t0, 0
		for range rapid.IntRange(1, 50).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*step)).Draw(t, "gap")))
			n := rapid.IntRange(1, l.Burst).Draw(t, "n")
			next, d := l.Take(s, now, n)
			if d.Allowed {
				total += n
			} else if _, later := l.Take(next, now.Add(d.RetryAfter), n); !later.Allowed {
				t.Fatalf("refused again after %v: %+v", d.RetryAfter, later)
			}
			s = next
			if most := l.Burst + int(now.Sub(t0)/step) + 1; total > most {
				t.Fatalf("%d allowed in %v, at most %d", total, now.Sub(t0), most)
			}
		}
	})
}

func TestTableIsBounded(t *testing.T) {
	table := NewTable[int](Limit{Count: 10, Period: time.Minute}, 100)
	for range 10 {
		if !table.Take(-1, t0, 1).Allowed {
			t.Fatal("refused too early")
		}
	}
	for i := range 10_000 {
		if !table.Take(i, t0, 1).Allowed {
			t.Fatal("a new key is refused")
		}
		if table.Len() > 100 {
			t.Fatalf("%d keys", table.Len())
		}
	}
	if d := table.Take(-1, t0, 1); d.Allowed {
		t.Error("a busy key was forgotten in a flood of new ones")
	}
	table.Forget(-1)
	if d := table.Take(-1, t0, 1); !d.Allowed {
		t.Error("not forgotten")
	}
	table.Take(-1, t0.Add(time.Hour), 0)
	for i := range 101 {
		table.Take(i, t0.Add(time.Hour), 1)
	}
	if table.Len() > 100 {
		t.Errorf("%d keys", table.Len())
	}
}

func TestGauge(t *testing.T) {
	g := NewGauge[string]()
	for i, want := range []bool{true, true, false} {
		if g.Enter("a", 2) != want {
			t.Errorf("entry %d: wanted %v", i, want)
		}
	}
	if !g.Enter("b", 2) || !g.Enter("a", 0) {
		t.Error("another key, or no limit, is refused")
	}
	for range 3 {
		g.Leave("a")
	}
	if g.Count("a") != 0 || g.Count("b") != 1 || len(g.counts) != 1 {
		t.Error(g.counts)
	}
}

func TestKeys(t *testing.T) {
	for _, tt := range []struct{ ip, host, network string }{
		{"192.0.2.77", "192.0.2.77/32", "192.0.2.0/24"},
		{"::ffff:192.0.2.77", "192.0.2.77/32", "192.0.2.0/24"},
		{"2001:db8:1:2:3::4", "2001:db8:1:2::/64", "2001:db8:1::/48"},
		{"fe80::1%eth0", "fe80::/64", "fe80::/48"},
	} {
		ip := netip.MustParseAddr(tt.ip)
		if Host(ip).String() != tt.host || Network(ip).String() != tt.network {
			t.Errorf("%s: %s %s", tt.ip, Host(ip), Network(ip))
		}
	}
	if Host(netip.Addr{}).IsValid() {
		t.Error("a key of no address")
	}
}

func BenchmarkTable(b *testing.B) {
	table := NewTable[netip.Prefix](Limit{Count: 10, Period: time.Minute}, 1000)
	ip := netip.MustParseAddr("192.0.2.1")
	now := t0
	b.ReportAllocs()
	for b.Loop() {
		ip = ip.Next()
		table.Take(Host(ip), now, 1)
	}
}
