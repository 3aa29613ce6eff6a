package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"posta/internal/resolver"
)

// zone has a domain for each case.
var zone = resolver.Static{
	"example.org":          {"MX 20 mx2.example.org", "MX 10 mx1.example.org"},
	"mx1.example.org":      {"A 192.0.2.1", "AAAA 2001:db8::1"},
	"mx2.example.org":      {"A 192.0.2.2"},
	"implicit.test":        {"A 192.0.2.3"},
	"null.test":            {"MX 0 ."},
	"nullplus.test":        {"MX 0 .", "MX 10 mx2.example.org"},
	"bare.test":            {"TXT nothing here"},
	"broken.test":          {"FAIL timeout"},
	"mxbroken.test":        {"MX 10 broken.test"},
	"halfbroken.test":      {"MX 10 broken.test", "MX 20 mx2.example.org"},
	"dangling.test":        {"MX 10 nobody.example.org"},
	"v6broken.test":        {"AAAA FAIL servfail", "A 192.0.2.4"},
	"backup.test":          {"MX 10 mx1.example.org", "MX 20 mail.posta.test", "MX 20 equal.test", "MX 30 mx2.example.org"},
	"equal.test":           {"A 192.0.2.5"},
	"mail.posta.test":      {"A 198.51.100.1"},
	"ours.test":            {"MX 10 mail.posta.test"},
	"oursbyaddress.test":   {"MX 10 other.posta.test"},
	"other.posta.test":     {"A 198.51.100.1"},
	"address.test":         {"MX 10 192.0.2.6"},
	"alias.test":           {"MX 10 www.alias.test"},
	"www.alias.test":       {"CNAME mx2.example.org"},
	"loopback.test":        {"MX 10 lo.loopback.test"},
	"lo.loopback.test":     {"A 127.0.0.1", "A 0.0.0.0"},
	"smart.test":           {"A 192.0.2.9"},
	"equalpreference.test": {"MX 10 mx1.example.org", "MX 10 mx2.example.org", "MX 10 equal.test"},
}

func show(rt *Route) string {
	var out []string
	for _, h := range rt.Hosts {
		out = append(out, fmt.Sprintf("%s:%d%v", h.Name, h.Port, h.Addrs))
	}
	return strings.Join(out, " ")
}

func router(cfg Config) *Router {
	cfg.Own = []string{"mail.posta.test"}
	cfg.OwnAddrs = []netip.Addr{netip.MustParseAddr("198.51.100.1")}
	cfg.ShuffleBy = func(n int) int { return n - 1 } // leaves the order
	return New(cfg, zone)
}

func TestRoute(t *testing.T) {
	r := router(Config{})
	for _, c := range []struct {
		domain, want, note string
	}{
		{"example.org", "mx1.example.org:25[2001:db8::1 192.0.2.1] mx2.example.org:25[192.0.2.2]", ""},
		{"implicit.test", "implicit.test:25[192.0.2.3]", "no MX"},
		{"null.test", "556 5.1.10", ""},
		{"nullplus.test", "mx2.example.org:25[192.0.2.2]", ""},
		{"bare.test", "550 5.4.4", ""},
		{"nowhere.test", "550 5.1.2", ""},
		{"broken.test", "451 4.4.3", ""},
		{"mxbroken.test", "451 4.4.3", ""},
		{"halfbroken.test", "mx2.example.org:25[192.0.2.2]", "broken.test"},
		{"dangling.test", "550 5.4.4", ""},
		{"v6broken.test", "v6broken.test:25[192.0.2.4]", ""},
		{"backup.test", "mx1.example.org:25[2001:db8::1 192.0.2.1]", "preference 20"},
		{"ours.test", "550 5.4.6", ""},
		{"oursbyaddress.test", "550 5.4.6", ""},
		{"mail.posta.test", "550 5.4.6", ""},
		{"address.test", "192.0.2.6:25[192.0.2.6]", "not a name"},
		{"alias.test", "www.alias.test:25[192.0.2.2]", "alias"},
		{"loopback.test", "550 5.4.4", ""},
		{"[192.0.2.7]", "[192.0.2.7]:25[192.0.2.7]", ""},
		{"[IPv6:2001:db8::7]", "[IPv6:2001:db8::7]:25[2001:db8::7]", ""},
		{"[198.51.100.1]", "550 5.4.6", ""},
		{"[127.0.0.1]", "550 5.4.4", ""},
		{"[nonsense]", "550 5.1.2", ""},
		{strings.Repeat("a", 64) + ".test", "550 5.1.2", ""},
	} {
		rt, err := r.Route(t.Context(), c.domain)
		if err != nil {
			e, ok := errors.AsType[*Error](err)
			if !ok || !strings.HasPrefix(e.Error(), c.want) {
				t.Errorf("%s: %v, want %s", c.domain, err, c.want)
			}
			continue
		}
		if got := show(rt); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.domain, got, c.want)
		}
		if !strings.Contains(strings.Join(rt.Notes, "; "), c.note) {
			t.Errorf("%s: notes %q, want %q", c.domain, rt.Notes, c.note)
		}
	}
}

// Hosts of one preference take turns.
func TestShuffle(t *testing.T) {
	r := New(Config{}, zone)
	first := map[string]bool{}
	for range 200 {
		rt, err := r.Route(t.Context(), "equalpreference.test")
		if err != nil || len(rt.Hosts) != 3 {
			t.Fatal(rt, err)
		}
		first[rt.Hosts[0].Name] = true
	}
	if len(first) != 3 {
		t.Errorf("only %v came first", first)
	}
}

func TestConfigured(t *testing.T) {
	next := func(s string) *Next {
		n, err := ParseNext(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	login := &Login{"ana", "secret"}
	smart := next("[smart.test]:587")
	smart.TLS, smart.Login = Verify, login
	r := router(Config{Default: smart, Domains: map[string]*Next{
		"direct.test":  nil,
		"example.org":  nil,
		".example.net": next("example.org:2525"),
		"filter.test":  next("[127.0.0.1]:10025"),
		"tls.test":     next("[smart.test]:465"),
		"gone.test":    next("[nowhere.test]"),
	}})
	for domain, want := range map[string]string{
		"any.test":        "smart.test:587[192.0.2.9]",
		"example.org":     "mx1.example.org:25[2001:db8::1 192.0.2.1] mx2.example.org:25[192.0.2.2]",
		"a.b.example.net": "mx1.example.org:2525[2001:db8::1 192.0.2.1] mx2.example.org:2525[192.0.2.2]",
		"example.net":     "smart.test:587[192.0.2.9]",
		"filter.test":     "[127.0.0.1]:10025[127.0.0.1]",
		"tls.test":        "smart.test:465[192.0.2.9]",
	} {
		rt, err := r.Route(t.Context(), domain)
		if err != nil || show(rt) != want {
			t.Errorf("%s: %v %v, want %s", domain, rt, err, want)
		}
	}
	rt, _ := r.Route(t.Context(), "any.test")
	if h := rt.Hosts[0]; h.Login != login || h.TLS != Verify || !rt.Fixed {
		t.Errorf("smart host %+v", h)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", login, *login, *login), "secret") {
		t.Error("a login shows its password")
	}
	rt, _ = r.Route(t.Context(), "tls.test")
	if !rt.Hosts[0].Implicit {
		t.Error("465 is TLS from the first octet")
	}
	if _, err := r.Route(t.Context(), "gone.test"); err == nil || !strings.HasPrefix(err.Error(), "451 4.3.5") {
		t.Errorf("a smart host that does not exist is our mistake, not the sender's: %v", err)
	}
}

func TestParseNext(t *testing.T) {
	for s, want := range map[string]Next{
		"example.org":             {Host: "example.org", MX: true},
		"Example.ORG:26":          {Host: "example.org", MX: true, Port: 26},
		"[example.org]":           {Host: "example.org"},
		"[example.org]:465":       {Host: "example.org", Port: 465, Implicit: true},
		"[192.0.2.1]:587":         {Host: "[192.0.2.1]", Port: 587},
		"[2001:db8::1]":           {Host: "[IPv6:2001:db8::1]"},
		"[IPv6:2001:db8::1]:2525": {Host: "[IPv6:2001:db8::1]", Port: 2525},
		"192.0.2.1":               {Host: "[192.0.2.1]"},
		"localhost:10025":         {Host: "localhost", MX: true, Port: 10025},
	} {
		if n, err := ParseNext(s); err != nil || *n != want {
			t.Errorf("%s: %+v %v, want %+v", s, n, err, want)
		}
	}
	for _, s := range []string{"", "[", "[example.org", "a b", "example.org:0", "example.org:99999", "example.org:x", "[]"} {
		if n, err := ParseNext(s); !errors.Is(err, ErrNext) {
			t.Errorf("%q is read as %+v", s, n)
		}
	}
}

// What is read names one host, which is read the same again.
func FuzzParseNext(f *testing.F) {
	for _, s := range []string{"example.org", "[example.org]:465", "[IPv6:2001:db8::1]:25", "[::1]", "a:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNext(s)
		if err != nil {
			return
		}
		text := n.Host
		if !n.MX && !strings.HasPrefix(text, "[") {
			text = "[" + text + "]"
		}
		if n.Port != 0 {
			text += fmt.Sprint(":", n.Port)
		}
		again, err := ParseNext(text)
		if err != nil || *again != *n {
			t.Fatalf("%q is %+v, written %q, then %+v %v", s, n, text, again, err)
		}
	})
}

func TestLevels(t *testing.T) {
	for l := Unset; l <= Verify; l++ {
		if got, ok := ParseTLS(l.String()); !ok || got != l {
			t.Errorf("%v is read as %v", l, got)
		}
	}
	if _, ok := ParseTLS("always"); ok || slices.Contains(tlsNames[1:], "") {
		t.Error("an unknown level is taken")
	}
}
