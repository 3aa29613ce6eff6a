package dnsbl

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"posta/internal/resolver"
)

// counting counts what is asked.
type counting struct {
	resolver.Static
	mu    sync.Mutex
	asked map[string]int
}

func (c *counting) LookupA(ctx context.Context, name string) (resolver.Result[netip.Addr], error) {
	c.mu.Lock()
	c.asked[name]++
	c.mu.Unlock()
	return c.Static.LookupA(ctx, name)
}

func list(zone string, entries map[string][]string) resolver.Static {
	z := resolver.Static{"2.0.0.127." + zone: {"A 127.0.0.2"}}
	for k, v := range entries {
		z[k+"."+zone] = v
	}
	return z
}

func TestIP(t *testing.T) {
	t.Parallel()
	const six = "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2" // 2001:db8::567:89ab
	good := list("dnsbl.example", map[string][]string{
		"36.2.0.192": {"A 127.0.0.36", "TXT dynamic, see https://x/192.0.2.36"},
		"40.2.0.192": {"A 127.0.0.4", "A 127.0.0.10", "TXT FAIL timeout"},
		"50.2.0.192": {"FAIL timeout"},
		"52.2.0.192": {"A 127.255.255.252"}, "54.2.0.192": {"A 127.255.255.254"}, "55.2.0.192": {"A 127.255.255.255"},
		"56.2.0.192": {"A 127.255.255.1"}, "57.2.0.192": {"A 127.0.0.1"}, "58.2.0.192": {"A 127.0.0.2", "A 198.51.100.1"},
		six: {"A 127.0.0.3"},
	})
	for _, tc := range []struct {
		what, zone, ip string
		zones          resolver.Static
		want           string
	}{
		{"S90: the last octet is the cause, above 15 too", "dnsbl.example", "192.0.2.36", good, "dnsbl.example: listed 127.0.0.36"},
		{"several codes; the text is not needed", "DNSBL.example.", "::ffff:192.0.2.40", good, "dnsbl.example: listed 127.0.0.4 127.0.0.10"},
		{"not listed", "dnsbl.example", "192.0.2.99", good, "dnsbl.example: not listed"},
		{"IPv6 by nibbles", "dnsbl.example", "2001:db8::567:89ab", good, "dnsbl.example: listed 127.0.0.3"},
		{"IPv6 not listed", "dnsbl.example", "2001:db8::1", good, "dnsbl.example: not listed"},
		{"timeout", "dnsbl.example", "192.0.2.50", good, "dnsbl.example: could not verify (DNS failure)"},
		{"code: wrong name", "dnsbl.example", "192.0.2.52", good, "dnsbl.example: could not verify 127.255.255.252 (wrong list name)"},
		{"code: open resolver", "dnsbl.example", "192.0.2.54", good, "dnsbl.example: could not verify 127.255.255.254 (refused: public resolver)"},
		{"code: volume", "dnsbl.example", "192.0.2.55", good, "dnsbl.example: could not verify 127.255.255.255 (refused: too many questions)"},
		{"code: other", "dnsbl.example", "192.0.2.56", good, "dnsbl.example: could not verify 127.255.255.1 (refused)"},
		{"code: 127.0.0.1", "dnsbl.example", "192.0.2.57", good, "dnsbl.example: could not verify 127.0.0.1 (refused)"},
		{"one foreign address spoils it", "dnsbl.example", "192.0.2.58", good,
			"dnsbl.example: could not verify 127.0.0.2 198.51.100.1 (answer outside 127.0.0.0/8)"},
		{"S91: misspelt and parked", "zen.spamhouse.org", "192.0.2.1", resolver.Static{"*.spamhouse.org": {"A 199.59.242.151"}},
			"zen.spamhouse.org: could not verify 199.59.242.151 (answer outside 127.0.0.0/8), did you mean zen.spamhaus.org?"},
		{"S91: misspelt and missing", "zen.spamhous.org", "192.0.2.1", resolver.Static{},
			"zen.spamhous.org: could not verify (the list does not work), did you mean zen.spamhaus.org?"},
		{"S91: dead", "dead.example", "192.0.2.1", resolver.Static{"dead.example": {"A 198.51.100.1"}}, "dead.example: could not verify (the list does not work)"},
		{"S91: lists everything", "wild.example", "192.0.2.1", resolver.Static{"*.wild.example": {"A 127.0.0.2"}},
			"wild.example: could not verify 127.0.0.2 (the list lists everything)"},
		{"S91: rewriting resolver", "dnsbl.example", "192.0.2.1", resolver.Static{"*.dnsbl.example": {"A 198.51.100.9"}, "*.invalid": {"A 198.51.100.9"}},
			"dnsbl.example: could not verify 198.51.100.9 (the resolver rewrites missing names)"},
		{"the list refuses its test too", "dnsbl.example", "192.0.2.1", resolver.Static{"2.0.0.127.dnsbl.example": {"A 127.255.255.254"}},
			"dnsbl.example: could not verify (refused: public resolver)"},
		{"the test times out", "dnsbl.example", "192.0.2.1", resolver.Static{"2.0.0.127.dnsbl.example": {"FAIL timeout"}},
			"dnsbl.example: could not verify (DNS failure)"},
		{"a list for IPv6 alone", "six.example", "2001:db8::1", resolver.Static{mapped('2') + ".six.example": {"A 127.0.0.2"}}, "six.example: not listed"},
		{"no list", "a..b", "192.0.2.1", good, "a..b: could not verify (bad question)"},
	} {
		if got := New(tc.zones, nil).IP(t.Context(), tc.zone, netip.MustParseAddr(tc.ip)); got.String() != tc.want {
			t.Errorf("%s: got %v, want %s", tc.what, got, tc.want)
		}
	}
	res := New(good, nil).IP(t.Context(), "dnsbl.example", netip.MustParseAddr("192.0.2.36"))
	if len(res.Texts) != 1 || res.Texts[0] != "dynamic, see https://x/192.0.2.36" || res.Query != "36.2.0.192.dnsbl.example" {
		t.Errorf("evidence: %+v", res)
	}
	if res := New(good, nil).IP(t.Context(), "dnsbl.example", netip.Addr{}); res.Cause != BadQuestion {
		t.Errorf("no address: %v", res)
	}
}

func TestDomain(t *testing.T) {
	t.Parallel()
	z := resolver.Static{"test.dbl.example": {"A 127.0.1.2"}, "spam.test.dbl.example": {"A 127.0.1.2"}, "bad.org.dbl.example": {"A 127.0.1.4"}}
	c := New(z, nil)
	for domain, want := range map[string]string{
		"Bad.org.":                "dbl.example: listed 127.0.1.4",
		"good.org":                "dbl.example: not listed",
		"192.0.2.1":               "dbl.example: could not verify (bad question)",
		"[192.0.2.1]":             "dbl.example: could not verify (bad question)",
		"":                        "dbl.example: could not verify (bad question)",
		strings.Repeat("a.", 124): "dbl.example: could not verify (bad question)",
	} {
		if got := c.Domain(t.Context(), "dbl.example", domain); got.String() != want {
			t.Errorf("%q: got %v, want %s", domain, got, want)
		}
	}
}

// URIBL has registered domains: a name below one is asked about as that.
func TestDomainAsTheListWantsIt(t *testing.T) {
	t.Parallel()
	z := resolver.Static{"test.uribl.com.multi.uribl.com": {"A 127.0.0.2"}, "bad.org.multi.uribl.com": {"A 127.0.0.2"}}
	r := New(z, nil).Domain(t.Context(), "multi.uribl.com", "mail.Bad.org")
	if r.Status != Listed || r.Subject != "bad.org" || r.Query != "bad.org.multi.uribl.com" {
		t.Errorf("got %v about %q, asked %q", r, r.Subject, r.Query)
	}
}

// A list is tested once an hour, a test that DNS prevented once a minute.
func TestHealthIsRemembered(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	dns := &counting{Static: list("dnsbl.example", nil), asked: map[string]int{}}
	dns.Static["2.0.0.127.slow.example"] = []string{"FAIL timeout"}
	c := New(dns, func() time.Time { return now })
	ip := netip.MustParseAddr("192.0.2.1")
	for _, step := range []struct {
		forward    time.Duration
		good, slow int // tests asked so far
	}{{0, 1, 1}, {59 * time.Second, 1, 1}, {time.Second, 1, 2}, {58 * time.Minute, 1, 3}, {time.Minute, 2, 4}} {
		now = now.Add(step.forward)
		c.IP(t.Context(), "dnsbl.example", ip)
		c.IP(t.Context(), "slow.example", ip)
		if g, s := dns.asked["2.0.0.127.dnsbl.example"], dns.asked["2.0.0.127.slow.example"]; g != step.good || s != step.slow {
			t.Errorf("at %v: tested %d and %d times, want %d and %d", now.Format("15:04:05"), g, s, step.good, step.slow)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if res := c.IP(gone, "dnsbl2.example", ip); res.Status != Unverified {
		t.Errorf("canceled: %v", res)
	}
	if _, known := c.known(healthKey{"dnsbl2.example", ipv4}); known {
		t.Error("a canceled test was remembered")
	}
	for i := range 2 * maxHealth {
		c.IP(t.Context(), strings.Repeat("x", i%60+1)+strings.Repeat(".y", i/60)+".example", ip)
	}
	if n := len(c.health); n > maxHealth {
		t.Errorf("%d tests remembered", n)
	}
}

func BenchmarkNotListed(b *testing.B) {
	c := New(answers{}, nil)
	ip := netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		if res := c.IP(b.Context(), "dnsbl.example", ip); res.Status != NotListed {
			b.Fatal(res)
		}
	}
}

// answers is a sound list that answers at once.
type answers struct{}

func (answers) LookupA(_ context.Context, name string) (resolver.Result[netip.Addr], error) {
	if strings.HasPrefix(name, "2.0.0.127.") {
		return resolver.Result[netip.Addr]{State: resolver.Found, Records: []netip.Addr{netip.MustParseAddr("127.0.0.2")}}, nil
	}
	return resolver.Result[netip.Addr]{State: resolver.NXDomain}, nil
}

func (answers) LookupTXT(context.Context, string) (resolver.Result[string], error) {
	return resolver.Result[string]{State: resolver.NXDomain}, nil
}
