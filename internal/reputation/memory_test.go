package reputation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/addr"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

var t0 = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) to(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = t
}

// newMemory is a memory over SQLite, with a clock for both.
func newMemory(t testing.TB) (*Memory, *sqlstore.Store, *clock) {
	t.Helper()
	c := &clock{t: t0}
	s, err := sqlstore.Open(context.Background(), sqlstore.Options{Dir: t.TempDir(), Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return New(s, Grey{}, c.now), s, c
}

func address(t testing.TB, s string) addr.Address {
	t.Helper()
	if s == "<>" {
		return addr.Address{}
	}
	a, err := addr.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A fortnight of attempts: when, from which address, SPF domain, reverse-path,
// forward-path, and what greylisting says.
func TestGreylist(t *testing.T) {
	const dialogue = `
0s     192.0.2.7    -            ana@a.example          bob@our.example  wait 5m0s, try 1
# too early, and it costs no more time
1m0s   192.0.2.7    -            ana@a.example          bob@our.example  wait 4m0s, try 2
# another host of the /24 is the same client; letters of either case the same mailbox
4m59s  192.0.2.200  -            ANA@a.example          bob@our.example  wait 1s, try 3
# another recipient, another network, another sender are other triplets
4m59s  192.0.2.7    -            ana@a.example          eva@our.example  wait 5m0s, try 1
4m59s  198.51.100.7 -            ana@a.example          bob@our.example  wait 5m0s, try 1
5m0s   192.0.2.7    -            ana@a.example          bob@our.example  pass, try 4
# from now on all of this domain from this network passes at once
5m1s   192.0.2.9    -            other@a.example        eva@our.example  pass, known
5m1s   192.0.2.9    -            other@b.example        eva@our.example  wait 5m0s, try 1
# whoever comes again after the window begins anew
25h0m0s 192.0.2.9   -            other@b.example        eva@our.example  wait 5m0s, try 1
# a big provider tries again from elsewhere: SPF says that it is the same one
26h0m0s  203.0.113.1  mail.example  x@mail.example      bob@our.example  wait 5m0s, try 1
26h10m0s 198.51.100.250 mail.example x@mail.example     bob@our.example  pass, try 2
26h11m0s 2001:db8::1 mail.example   y@mail.example      eva@our.example  pass, known
# VERP: each message has a reverse-path of its own
27h0m0s  192.0.2.9   -  list-31-bob=our.example@l.example  bob@our.example  wait 5m0s, try 1
27h6m0s  192.0.2.9   -  list-32-bob=our.example@l.example  bob@our.example  pass, try 2
# a DSN has no reverse-path
28h0m0s  192.0.2.9   -  <>  bob@our.example  wait 5m0s, try 1
28h6m0s  192.0.2.9   -  <>  bob@our.example  pass, try 2
# IPv6: the /64
29h0m0s  2001:db8:1:2::1 - ana@six.example  bob@our.example  wait 5m0s, try 1
29h6m0s  2001:db8:1:2:ffff::9 - ana@six.example  bob@our.example  pass, try 2
# known for 36 days since the last message
850h0m0s 192.0.2.7   -  ana@a.example   bob@our.example  pass, known
1700h0m0s 192.0.2.7  -  ana@a.example   bob@our.example  pass, known
2600h0m0s 192.0.2.7  -  ana@a.example   bob@our.example  wait 5m0s, try 1
`
	m, _, c := newMemory(t)
	for line := range strings.Lines(dialogue) {
		w := strings.Fields(line)
		if len(w) == 0 || w[0] == "#" {
			continue
		}
		at, err := time.ParseDuration(w[0])
		if err != nil {
			t.Fatal(err)
		}
		c.to(t0.Add(at))
		a := Attempt{IP: netip.MustParseAddr(w[1]), From: address(t, w[3]), To: address(t, w[4])}
		if w[2] != "-" {
			a.SPFDomain = addr.Domain(w[2])
		}
		ans, err := m.Greylist(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("wait %v, try %d", ans.Wait, ans.Tries)
		switch {
		case ans.Known:
			got = "pass, known"
		case ans.Pass:
			got = fmt.Sprintf("pass, try %d", ans.Tries)
		}
		if want := strings.Join(w[5:], " "); got != want {
			t.Errorf("%s\n got %s", strings.TrimSpace(line), got)
		}
	}
}

// broken is a store that fails.
type broken struct{}

var errBroken = errors.New("no store")

func (broken) FactsOf(context.Context, store.FactKind, ...string) ([]store.Fact, error) {
	return nil, errBroken
}

func (broken) ChangeFacts(context.Context, store.FactKind, []string, func(store.Fact) store.Fact) error {
	return errBroken
}

// Without a store nobody is delayed, and everybody is a stranger of no standing.
func TestStoreFails(t *testing.T) {
	m := New(broken{}, Grey{}, nil)
	ana := address(t, "ana@a.example")
	if ans, err := m.Greylist(t.Context(), Attempt{IP: netip.MustParseAddr("192.0.2.1"), From: ana, To: ana}); !ans.Pass || !errors.Is(err, errBroken) {
		t.Errorf("Greylist: %+v, %v", ans, err)
	}
	if s, err := m.Standing(t.Context(), Sender{Domain: "a.example"}); s.Score(t0) != 0 || !errors.Is(err, errBroken) {
		t.Errorf("Standing: %+v, %v", s, err)
	}
	if k, err := m.Known(t.Context(), ana, Party{Account: 1}, Party{Account: 2}); len(k) != 2 || k[0] != (Known{}) || !errors.Is(err, errBroken) {
		t.Errorf("Known: %+v, %v", k, err)
	}
	m.Record(Sender{Domain: "a.example"}, Wanted)
	if err := m.Flush(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("Flush: %v", err)
	}
}

// Messages are counted for the domain from its network, and for a proven domain
// by itself; a reader's correction moves one.
func TestRecord(t *testing.T) {
	m, _, c := newMemory(t)
	home := Sender{Domain: "a.example", Proven: true, IP: netip.MustParseAddr("192.0.2.1")}
	away := Sender{Domain: "a.example", Proven: true, IP: netip.MustParseAddr("198.51.100.1")}
	forger := Sender{Domain: "a.example", IP: netip.MustParseAddr("203.0.113.1")}
	for range 11 {
		m.Record(home, Wanted)
	}
	m.Record(home, Junk)
	for range 50 {
		m.Record(forger, Refused)
	}
	flush := func() {
		t.Helper()
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	flush()
	check := func(s Sender, want string, low, high float64) {
		t.Helper()
		st, err := m.Standing(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if got, score := st.Counts(c.now()).String(), st.Score(c.now()); got != want || score < low || score > high {
			t.Errorf("%s: %.2f, want %s between %v and %v", got, score, want, low, high)
		}
	}
	check(home, "12 messages in 30 days, 11 wanted, 1 junk", 0.5, 0.7)
	check(away, "12 messages in 30 days, 11 wanted, 1 junk", 0.5, 0.7) // a new server of a known, proven domain
	check(forger, "50 messages in 30 days, 0 wanted, 50 refused", -1, -0.8)
	check(Sender{Domain: "a.example", IP: away.IP}, "no message in 30 days", 0, 0)
	m.Correct(home, Junk, Wanted)
	flush()
	check(home, "12 messages in 30 days, 12 wanted", 0.7, 0.8)
	c.to(t0.Add(31 * 24 * time.Hour))
	check(home, "no message in 30 days", 0, 0.5)
	c.to(t0.Add(61 * 24 * time.Hour))
	check(home, "no message in 30 days", 0, 0)
}

// The counts that wait are bounded, and Run writes them, the last ones when it
// ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		facts := &counted{values: map[string]store.Fact{}}
		m := New(facts, Grey{}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { m.Run(ctx, func(err error) { t.Error(err) }) })
		for i := range maxQueued + 10 {
			m.Record(Sender{Domain: addr.Domain(fmt.Sprintf("d%d.example", i))}, Wanted)
		}
		if m.Dropped() != 10 {
			t.Errorf("%d dropped", m.Dropped())
		}
		time.Sleep(FlushEvery + time.Second)
		if n := facts.len(); n != maxQueued {
			t.Errorf("%d facts after %v", n, FlushEvery)
		}
		m.Record(Sender{Domain: "last.example"}, Wanted)
		cancel()
		wg.Wait()
		if n := facts.len(); n != maxQueued+1 {
			t.Errorf("%d facts at the end", n)
		}
	})
}

// counted keeps facts in a map: a store under which a goroutine of fake time can
// wait.
type counted struct {
	mu     sync.Mutex
	values map[string]store.Fact
}

func (c *counted) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.values)
}

func (c *counted) FactsOf(_ context.Context, _ store.FactKind, keys ...string) ([]store.Fact, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]store.Fact, len(keys))
	for i, k := range keys {
		out[i] = c.values[k]
	}
	return out, nil
}

func (c *counted) ChangeFacts(_ context.Context, _ store.FactKind, keys []string, f func(store.Fact) store.Fact) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(keys) > maxBatch {
		return fmt.Errorf("%d keys at once", len(keys))
	}
	for _, k := range keys {
		old := c.values[k]
		old.Key = k
		next := f(old)
		next.Key = k
		c.values[k] = next
	}
	return nil
}

// Whom an account wrote to is known to it, and to its circle; to no other circle.
func TestKnown(t *testing.T) {
	m, s, c := newMemory(t)
	here, there := CircleOf(0, 1), CircleOf(0, 2)
	ana, bob, eva, list := Party{7, here}, Party{8, here}, Party{9, there}, Party{0, here}
	friend := address(t, "Friend@f.example")
	wrote := func(by Party, to ...addr.Address) {
		t.Helper()
		if err := m.Wrote(t.Context(), by, to...); err != nil {
			t.Fatal(err)
		}
	}
	known := func(from string, want ...string) {
		t.Helper()
		got, err := m.Known(t.Context(), address(t, from), ana, bob, list, eva)
		if err != nil {
			t.Fatal(err)
		}
		for i, k := range got {
			text := "stranger"
			if k.ByCircle {
				text = fmt.Sprintf("own %v, %s to %s, %d days", k.ByAccount, k.Since.Format("01-02"), k.Last.Format("01-02"), k.Days)
			}
			if text != want[i] {
				t.Errorf("%s, party %d: %s, want %s", from, i, text, want[i])
			}
		}
	}
	known("friend@f.example", "stranger", "stranger", "stranger", "stranger")
	wrote(ana, friend, friend, address(t, "other@f.example"))
	wrote(ana, friend)
	known("friend@f.example", "own true, 03-02 to 03-02, 1 days", "own false, 03-02 to 03-02, 1 days", "own false, 03-02 to 03-02, 1 days", "stranger")
	c.to(t0.Add(48 * time.Hour))
	wrote(bob, friend)
	known("FRIEND@f.example", "own true, 03-02 to 03-02, 1 days", "own true, 03-04 to 03-04, 1 days", "own false, 03-02 to 03-04, 2 days", "stranger")
	known("<>", "stranger", "stranger", "stranger", "stranger")
	known("f.example@friend.example", "stranger", "stranger", "stranger", "stranger")
	wrote(eva, address(t, "hers@f.example"))
	known("hers@f.example", "stranger", "stranger", "stranger", "own true, 03-04 to 03-04, 1 days")
	c.to(t0.Add(401 * 24 * time.Hour))
	known("friend@f.example", "own false, 03-02 to 03-04, 2 days", "own true, 03-04 to 03-04, 1 days", "own false, 03-02 to 03-04, 2 days", "stranger")
	if n, err := s.SweepFacts(t.Context()); n != 3 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	var many []addr.Address
	for i := range 250 {
		many = append(many, address(t, fmt.Sprintf("p%d@many.example", i)))
	}
	wrote(ana, many...)
	known("p249@many.example", "own true, 04-07 to 04-07, 1 days", "own false, 04-07 to 04-07, 1 days", "own false, 04-07 to 04-07, 1 days", "stranger")
	parties := make([]Party, 1000)
	for i := range parties {
		parties[i] = Party{int64(1000 + i), here}
	}
	parties[998], parties[999] = Party{}, ana
	got, err := m.Known(t.Context(), many[0], parties...)
	if err != nil || !got[999].ByAccount || got[0].ByAccount || !got[0].ByCircle || got[998] != (Known{}) {
		t.Errorf("a thousand recipients: %v", err)
	}
}

// The domains of a tenant are one circle; a tenant's number is no domain's.
func TestCircleOf(t *testing.T) {
	if CircleOf(3, 1) != CircleOf(3, 2) || CircleOf(0, 1) == CircleOf(0, 2) || CircleOf(3, 1) == CircleOf(0, 3) {
		t.Error("circles are mixed up")
	}
}

func BenchmarkStanding(b *testing.B) {
	m, _, _ := newMemory(b)
	s := Sender{Domain: "a.example", Proven: true, IP: netip.MustParseAddr("192.0.2.1")}
	m.Record(s, Wanted)
	if err := m.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Standing(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
}
