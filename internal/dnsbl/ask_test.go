package dnsbl

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/resolver"
)

// slow answers from a zone after a second, or never for names with "hangs".
type slow struct {
	counting
}

func (s *slow) wait(ctx context.Context, name string) error {
	d := time.Second
	if strings.Contains(name, "hangs") {
		d = time.Hour
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (s *slow) LookupA(ctx context.Context, name string) (resolver.Result[netip.Addr], error) {
	if err := s.wait(ctx, name); err != nil {
		return resolver.Result[netip.Addr]{}, err
	}
	return s.counting.LookupA(ctx, name)
}

func (s *slow) LookupTXT(ctx context.Context, name string) (resolver.Result[string], error) {
	s.mu.Lock()
	s.asked["TXT "+name]++
	s.mu.Unlock()
	if err := s.wait(ctx, name); err != nil {
		return resolver.Result[string]{}, err
	}
	return s.Static.LookupTXT(ctx, name)
}

func slowZone() *slow {
	z := list("ip.example", map[string][]string{"5.2.0.192": {"A 127.0.0.2", "TXT spam"}})
	z["test.dom.example"] = []string{"A 127.0.0.2"}
	z["bad.org.dom.example"] = []string{"A 127.0.0.2"}
	return &slow{counting{Static: z, asked: map[string]int{}}}
}

// All questions and tests go side by side: the whole takes as long as the slowest
// answer, and one more for the text of a hit, which is asked once.
func TestAskSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := slowZone()
		c := New(dns, nil)
		start := time.Now()
		qs := Questions(Lists{IP: []string{"ip.example", "hangs.example"}, HELO: []string{"dom.example"}, Sender: []string{"dom.example"}, Body: []string{"dom.example"}},
			Facts{IP: netip.MustParseAddr("192.0.2.5"), HELO: "mx.good.org", Sender: []string{"good.org", "bad.org"}, Body: []string{"bad.org", "other.org"}})
		results := c.Ask(t.Context(), qs)
		var got []string
		for _, r := range results {
			got = append(got, fmt.Sprintf("%s %s: %v", r.About, r.Subject, r))
		}
		want := []string{
			"client 192.0.2.5: ip.example: listed 127.0.0.2",
			"client 192.0.2.5: hangs.example: could not verify (DNS failure)",
			"helo mx.good.org: dom.example: not listed",
			"sender good.org: dom.example: not listed",
			"sender bad.org: dom.example: listed 127.0.0.2",
			"body other.org: dom.example: not listed",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s", strings.Join(got, "\n"))
		}
		if d := time.Since(start); d != Bound {
			t.Errorf("with a list that hangs: %v", d)
		}
		if n := dns.asked["TXT 5.2.0.192.ip.example"]; n != 1 {
			t.Errorf("the text was asked for %d times", n)
		}
		start = time.Now()
		if c.Ask(t.Context(), qs[2:4]); time.Since(start) != time.Second {
			t.Errorf("two that are not listed: %v", time.Since(start))
		}
	})
}

// Lists are tested again before a test grows old, so no message waits for one.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := slowZone()
		c := New(dns, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			c.Run(ctx, Lists{IP: []string{"ip.example"}, Body: []string{"dom.example", "dom.example", "a..b"}})
		})
		for range 20 {
			time.Sleep(17 * time.Minute)
			for _, k := range []healthKey{{"ip.example", ipv4}, {"ip.example", ipv6}, {"dom.example", domains}} {
				if h, known := c.known(k); !known || h.cause != NoCause {
					t.Fatalf("%v at %v: %v, %v", k, time.Now(), known, h.cause)
				}
			}
		}
		if n := dns.asked["test.dom.example"]; n != 8 {
			t.Errorf("tested %d times in %v", n, 20*17*time.Minute)
		}
		cancel()
		wg.Wait()
	})
}

func TestQuestions(t *testing.T) {
	all := Lists{IP: []string{"ip.example"}, HELO: []string{"d.example"}, Sender: []string{"d.example"}, Body: []string{"d.example"}}
	for _, tt := range []struct {
		what string
		f    Facts
		want int
	}{
		{"a private client is on no list", Facts{IP: netip.MustParseAddr("10.0.0.1")}, 0},
		{"nor is loopback", Facts{IP: netip.MustParseAddr("::1")}, 0},
		{"a mapped client", Facts{IP: netip.MustParseAddr("::ffff:192.0.2.1")}, 1},
		{"literals and single labels are no domains", Facts{HELO: "[192.0.2.1]", Sender: []string{"192.0.2.1", "localhost", "", "a..b"}}, 0},
		{"one domain thrice", Facts{HELO: "a.example", Sender: []string{"A.example."}, Body: []string{"a.example"}}, 1},
	} {
		if got := Questions(all, tt.f); len(got) != tt.want {
			t.Errorf("%s: %v", tt.what, got)
		}
	}
	var many Facts
	for i := range 10_000 {
		many.Body = append(many.Body, fmt.Sprintf("d%d.example", i))
	}
	if got := Questions(all, many); len(got) != MaxQuestions {
		t.Errorf("10,000 domains: %d questions", len(got))
	}
}

// Each list is asked about a name in the form that it wants; what that makes the same is asked once.
func TestQuestionsInTheFormOfTheList(t *testing.T) {
	const dbl, surbl, own = "dbl.spamhaus.org", "multi.surbl.org", "own.example"
	for _, tt := range []struct {
		what  string
		lists Lists
		f     Facts
		want  string
	}{
		{"a sender below a registered domain", Lists{Sender: []string{dbl, surbl, own}}, Facts{Sender: []string{"News.Bounce.example.co.uk."}},
			"news.bounce.example.co.uk.dbl.spamhaus.org example.co.uk.multi.surbl.org news.bounce.example.co.uk.own.example"},
		{"a greeting", Lists{HELO: []string{dbl, surbl}}, Facts{HELO: "mx1.example.org"},
			"mx1.example.org.dbl.spamhaus.org example.org.multi.surbl.org"},
		{"links: a list that we do not know wants what they are registered as", Lists{Body: []string{dbl, surbl, own}}, Facts{Body: []string{"a.example.org", "b.example.org"}},
			"a.example.org.dbl.spamhaus.org example.org.multi.surbl.org example.org.own.example b.example.org.dbl.spamhaus.org"},
		{"each customer of a host of pages is registered there", Lists{Body: []string{surbl}}, Facts{Body: []string{"x.ana.github.io", "eva.github.io"}},
			"ana.github.io.multi.surbl.org eva.github.io.multi.surbl.org"},
		{"a public suffix is asked about as it is", Lists{Sender: []string{surbl}}, Facts{Sender: []string{"co.uk"}}, "co.uk.multi.surbl.org"},
	} {
		var got []string
		for _, q := range Questions(tt.lists, tt.f) {
			got = append(got, q.Domain+"."+q.Zone)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.what, s, tt.want)
		}
	}
}

// fixed answers every question with the same records.
type fixed struct{ records []netip.Addr }

func (f fixed) LookupA(_ context.Context, name string) (resolver.Result[netip.Addr], error) {
	if strings.HasPrefix(name, "2.0.0.127.") || strings.HasPrefix(name, "test.") || strings.HasPrefix(name, "surbl-org") {
		return resolver.Result[netip.Addr]{State: resolver.Found, Records: []netip.Addr{netip.MustParseAddr("127.0.0.2")}}, nil
	}
	if strings.HasPrefix(name, "1.0.0.127.") || strings.HasPrefix(name, "invalid.") || strings.HasSuffix(name, ".invalid") || len(f.records) == 0 {
		return resolver.Result[netip.Addr]{State: resolver.NXDomain}, nil
	}
	return resolver.Result[netip.Addr]{State: resolver.Found, Records: f.records}, nil
}

func (f fixed) LookupTXT(context.Context, string) (resolver.Result[string], error) {
	return resolver.Result[string]{State: resolver.Found, Records: []string{strings.Repeat("\xff", 5000)}}, nil
}

// Whatever a list answers: it is a listing only if every code lies in 127/8 and
// none is a refusal, and what is kept of it is bounded.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{127, 0, 0, 2}, 0)
	f.Add([]byte{127, 0, 0, 2, 127, 255, 255, 254}, 3)
	f.Add([]byte{199, 59, 242, 151}, 7)
	f.Add([]byte{127, 0, 0, 1, 127, 0, 0, 255}, 20)
	rows := Catalogue()
	f.Fuzz(func(t *testing.T, octets []byte, row int) {
		var records []netip.Addr
		inside, refusal := true, false
		for i := 0; i+4 <= len(octets) && i < 400; i += 4 {
			ip := netip.AddrFrom4([4]byte(octets[i : i+4]))
			records = append(records, ip)
			if len(records) <= maxCodes {
				inside = inside && octets[i] == 127
				refusal = refusal || octets[i] == 127 && octets[i+1] == 255 && octets[i+2] == 255
			}
		}
		l := rows[uint(row)%uint(len(rows))]
		zone := strings.Replace(l.Zone, "*", "k3y", 1)
		c := New(fixed{records}, nil)
		r := c.IP(t.Context(), zone, netip.MustParseAddr("192.0.2.5"))
		if l.Kind == Domains {
			r = c.Domain(t.Context(), zone, "bad.example")
		}
		if r.Status == Listed && (!inside || refusal || len(records) == 0) {
			t.Fatalf("%v is a listing: %v", records, r)
		}
		if r.Status == NotListed && len(records) > 0 || r.Status == Unverified && r.Cause == NoCause {
			t.Fatalf("%v: %v", records, r)
		}
		if len(r.Codes) > maxCodes || len(r.Texts) > 8 || len(r.Meanings) > maxCodes*len(l.Codes)+1 {
			t.Fatalf("too much is kept: %v", r)
		}
		if strings.Contains(r.String(), "k3y") {
			t.Fatal("the key is shown")
		}
	})
}

// fromCache is a resolver that answers as resolver.Client does under a Probe: nothing is in its cache.
type fromCache struct{}

func (fromCache) LookupA(_ context.Context, name string) (resolver.Result[netip.Addr], error) {
	return resolver.Result[netip.Addr]{}, &resolver.Error{Kind: resolver.Canceled, Name: name}
}

func (fromCache) LookupTXT(_ context.Context, name string) (resolver.Result[string], error) {
	return resolver.Result[string]{}, &resolver.Error{Kind: resolver.Canceled, Name: name}
}

// Unsound tells which of our own lists are not to be believed, and asks nobody for it. A look into the cache is no test.
func TestUnsound(t *testing.T) {
	t.Parallel()
	zones := list("good.example", map[string][]string{})
	zones["2.0.0.127.zen.spamhaus.orh"] = []string{"A 198.51.100.1"}
	zones["1.0.0.127.zen.spamhaus.orh"] = []string{"A 198.51.100.1"}
	zones["test.slow.example"] = []string{"FAIL timeout"}
	lists := Lists{IP: []string{"good.example", "dead.example", "zen.spamhaus.orh"}, HELO: []string{"slow.example"}, Sender: []string{"slow.example"}}
	r := &switched{Resolver: fromCache{}}
	c := New(r, nil)
	c.Test(t.Context(), lists)
	if got := c.Unsound(lists); len(got) != 0 {
		t.Errorf("before anything was asked: %v", got)
	}
	r.Resolver = zones
	c.Test(t.Context(), lists)
	var got []string
	for _, u := range c.Unsound(lists) {
		got = append(got, u.String())
	}
	want := []string{
		"dead.example: could not verify (the list does not work)",
		"zen.spamhaus.orh: could not verify (answer outside 127.0.0.0/8), did you mean zen.spamhaus.org?",
		"slow.example: could not verify (DNS failure)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// switched is a resolver that can be exchanged.
type switched struct{ Resolver }
