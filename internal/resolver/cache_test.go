package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// hand is a clock that tests set.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func newHand() *hand { return &hand{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (h *hand) Now() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }

func (h *hand) Add(d time.Duration) { h.mu.Lock(); defer h.mu.Unlock(); h.now = h.now.Add(d) }

func TestCacheLives(t *testing.T) {
	t.Parallel()
	zero := zone(t, "zero.example. 0 A 192.0.2.1", "minute.example. 60 A 192.0.2.1", "week.example. 604800 A 192.0.2.1")
	s := serve(t, func(m *dns.Msg, q dns.Question, tcp bool) {
		switch q.Name {
		case "fail.example.":
			m.Rcode = dns.RcodeServerFailure
		case "nosoa.example.":
			m.Rcode = dns.RcodeNameError
		case "longsoa.example.":
			m.Ns = append(m.Ns, rr(t, "example. 90000 SOA a. b. 1 2 3 4 90000"))
		default:
			zero(m, q, tcp)
		}
	})
	for name, life := range map[string]time.Duration{
		"zero.example": time.Second, "minute.example": time.Minute, "week.example": 24 * time.Hour,
		"gone.example": 2 * time.Minute, "longsoa.example": 15 * time.Minute, "nosoa.example": 5 * time.Second, "fail.example": 5 * time.Second,
	} {
		clock := newHand()
		c := newClient(t, Config{Clock: clock.Now, Attempts: 1}, s)
		ask := func() (Result[netip.Addr], Stats) {
			res, _ := c.LookupA(t.Context(), name)
			return res, c.Stats()
		}
		ask()
		clock.Add(life - time.Nanosecond)
		if _, st := ask(); st.Misses != 1 || st.Hits != 1 {
			t.Errorf("%s: not cached for %v: %+v", name, life, st)
		}
		clock.Add(-time.Hour)
		if res, _ := ask(); res.TTL > life {
			t.Errorf("%s: a clock set back lengthened the life to %v", name, res.TTL)
		}
		clock.Add(time.Hour + time.Nanosecond)
		if _, st := ask(); st.Misses != 2 {
			t.Errorf("%s: cached for longer than %v: %+v", name, life, st)
		}
	}
}

// Equal questions are asked once; one who gives up does not take the answer from the others.
func TestFlightsAreShared(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serve(t, func(m *dns.Msg, q dns.Question, _ bool) {
		<-release
		m.Answer = append(m.Answer, rr(t, "a.example. 60 A 192.0.2.1"))
	})
	c := newClient(t, Config{Timeout: 5 * time.Second}, s)
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() { _, err := c.LookupA(ctx, "a.example"); gaveUp <- err }()
	for c.Stats().Misses == 0 {
		time.Sleep(time.Millisecond)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if res, err := c.LookupA(t.Context(), "A.example."); err != nil || res.State != Found {
				t.Errorf("got %v, %v", res, err)
			}
		})
	}
	cancel()
	if e, ok := errors.AsType[*Error](<-gaveUp); !ok || e.Kind != Canceled || !errors.Is(e, context.Canceled) {
		t.Errorf("canceled caller got %v", e)
	}
	close(release)
	wg.Wait()
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestCloseEndsFlights(t *testing.T) {
	t.Parallel()
	block := make(chan struct{})
	s := serve(t, func(*dns.Msg, dns.Question, bool) { <-block })
	t.Cleanup(func() { close(block) })
	c := newClient(t, Config{Timeout: time.Minute}, s)
	got := make(chan error)
	go func() { _, err := c.LookupA(t.Context(), "a.example"); got <- err }()
	for s.asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	c.Close()
	if e, ok := errors.AsType[*Error](<-got); !ok || e.Kind != Canceled {
		t.Errorf("got %v", e)
	}
	if _, err := c.LookupA(t.Context(), "b.example"); !Temporary(err) {
		t.Errorf("after Close: %v", err)
	}
}

// The cache holds to its budgets, keeps what is asked for often, and its books balance.
func TestCacheBudget(t *testing.T) {
	t.Parallel()
	now := newHand().Now()
	s := &newCache(100, 1<<20).shards[0]
	hot := question{name: "hot.example", typ: TypeA}
	s.put(hot, &answer{ttl: time.Hour, cost: 300}, now)
	for i := range 10_000 {
		q := question{name: fmt.Sprint(i), typ: TypeTXT}
		s.put(q, &answer{ttl: time.Hour, cost: 100 + i%50_000}, now)
		if a, _ := s.get(hot, now); a == nil {
			t.Fatalf("the hot entry was evicted after %d", i)
		}
		bytes := 0
		for k, i := range s.index {
			if s.slots[i].key != k {
				t.Fatalf("slot %d holds %v, index says %v", i, s.slots[i].key, k)
			}
			bytes += s.slots[i].ans.cost + len(k.name)
		}
		if len(s.index) > 100 || len(s.slots) > 100 || s.bytes > 1<<20 || bytes != s.bytes {
			t.Fatalf("after %d: %d entries, %d slots, %d bytes (counted %d)", i, len(s.index), len(s.slots), s.bytes, bytes)
		}
	}
	s.put(question{name: "giant", typ: TypeTXT}, &answer{ttl: time.Hour, cost: 1 << 18}, now)
	if a, _ := s.get(question{name: "giant", typ: TypeTXT}, now); a != nil {
		t.Error("a giant answer was kept")
	}
}

func TestNoCache(t *testing.T) {
	t.Parallel()
	s := serve(t, zone(t, "a.example. 60 A 192.0.2.1"))
	c := newClient(t, Config{CacheEntries: -1}, s)
	for range 3 {
		if _, err := c.LookupA(t.Context(), "a.example"); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.asked.Load(); n != 3 {
		t.Errorf("asked %d times", n)
	}
}

func BenchmarkCacheHit(b *testing.B) {
	s := serve(b, zone(b, "mx.example. 86400 A 192.0.2.1", "25.2.0.192.in-addr.arpa. 86400 PTR mx.example."))
	c := newClient(b, Config{}, s)
	ctx := b.Context()
	b.Run("A", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if res, err := c.LookupA(ctx, "mx.example"); err != nil || len(res.Records) != 1 {
				b.Fatal(res, err)
			}
		}
	})
	ip := netip.MustParseAddr("192.0.2.25")
	b.Run("PTR", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if res, err := c.LookupPTR(ctx, ip); err != nil || len(res.Records) != 1 {
				b.Fatal(res, err)
			}
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	s := serve(b, zone(b, "mx.example. 86400 A 192.0.2.1"))
	c := newClient(b, Config{CacheEntries: -1}, s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.LookupA(b.Context(), "mx.example"); err != nil {
			b.Fatal(err)
		}
	}
}
