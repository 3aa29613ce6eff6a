package spf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posta/internal/resolver"
)

// appendixA is the zone of RFC 7208 Appendix A, with the SPF records of its examples below it.
func appendixA() resolver.Static {
	z := resolver.Static{
		"example.com":        {"MX 10 mail-a.example.com", "MX 20 mail-b.example.com", "A 192.0.2.10", "A 192.0.2.11"},
		"amy.example.com":    {"A 192.0.2.65"},
		"bob.example.com":    {"A 192.0.2.66"},
		"mail-a.example.com": {"A 192.0.2.129"},
		"mail-b.example.com": {"A 192.0.2.130"},
		"www.example.com":    {"CNAME example.com"},
		"example.org":        {"MX 10 mail-c.example.org"},
		"mail-c.example.org": {"A 192.0.2.140"},
		"192.0.2.10":         {"PTR example.com"},
		"192.0.2.11":         {"PTR example.com"},
		"192.0.2.65":         {"PTR amy.example.com"},
		"192.0.2.66":         {"PTR bob.example.com"},
		"192.0.2.129":        {"PTR mail-a.example.com"},
		"192.0.2.130":        {"PTR mail-b.example.com"},
		"192.0.2.140":        {"PTR mail-c.example.org"},
		"10.0.0.4":           {"PTR bob.example.com"}, // a liar
		// A.2 and A.4
		"one.example.net":                                  {"TXT v=spf1 include:example.com include:example.net -all"},
		"la.example.net":                                   {"TXT v=spf1 redirect=example.com"},
		"_spf.example.com":                                 {"TXT v=spf1 a:mail-a.example.com -all"},
		"mary.mobile-users._spf.example.com":               {"A 127.0.0.2"},
		"15.15.168.192.joel.remote-users._spf.example.com": {"A 127.0.0.2"},
		"dns.example.org":                                  {"TXT v=spf1 -include:ip4._spf.%{d} -include:ptr._spf.%{d} +all"},
		"ip4._spf.dns.example.org":                         {"TXT v=spf1 -ip4:192.0.2.0/24 +all"},
		"ptr._spf.dns.example.org":                         {"TXT v=spf1 -ptr:example.com +all"},
	}
	return z
}

// RFC 7208 Appendix A.1: each record and whom it lets pass.
func TestAppendixA1(t *testing.T) {
	t.Parallel()
	clients := []string{"192.0.2.10", "192.0.2.11", "192.0.2.65", "192.0.2.66", "192.0.2.129", "192.0.2.130", "192.0.2.131", "192.0.2.140", "10.0.0.4"}
	for record, pass := range map[string]string{
		"v=spf1 +all":                         strings.Join(clients, " "),
		"v=spf1 a -all":                       "192.0.2.10 192.0.2.11",
		"v=spf1 a:example.org -all":           "",
		"v=spf1 mx -all":                      "192.0.2.129 192.0.2.130",
		"v=spf1 mx:example.org -all":          "192.0.2.140",
		"v=spf1 mx mx:example.org -all":       "192.0.2.129 192.0.2.130 192.0.2.140",
		"v=spf1 mx/30 mx:example.org/30 -all": "192.0.2.129 192.0.2.130 192.0.2.131 192.0.2.140",
		"v=spf1 ptr -all":                     "192.0.2.10 192.0.2.11 192.0.2.65 192.0.2.66 192.0.2.129 192.0.2.130",
		"v=spf1 ip4:192.0.2.128/28 -all":      "192.0.2.129 192.0.2.130 192.0.2.131 192.0.2.140",
	} {
		zone := appendixA()
		zone["example.com"] = append(zone["example.com"], "TXT "+record)
		var passed []string
		for _, ip := range clients {
			res := Check(t.Context(), zone, Args{IP: netip.MustParseAddr(ip), MailFrom: Sender{"x", "example.com"}})
			if res.Status == Pass {
				passed = append(passed, ip)
			} else if res.Status != Fail {
				t.Errorf("%s: %s: %v %v", record, ip, res.Status, res.Err)
			}
		}
		if got := strings.Join(passed, " "); got != pass {
			t.Errorf("%s: passed %s, want %s", record, got, pass)
		}
	}
}

// RFC 7208 Appendix A.4 and the macro table of §7.4.
func TestMacros(t *testing.T) {
	t.Parallel()
	res := Result{Steps: make([]Step, 0)}
	e := evaluation{ctx: t.Context(), dns: resolver.Static{}, args: &Args{HELO: "h.example"}, res: &res,
		ip: netip.MustParseAddr("192.0.2.3"), local: "strong-bad", domain: "email.example.com"}
	expandAt := func(s string) string {
		out, _ := expand(nil, s, func(l byte) string { return e.value(l, "email.example.com") }, 1000)
		return string(out)
	}
	for in, want := range map[string]string{
		"%{s}": "strong-bad@email.example.com", "%{o}": "email.example.com", "%{d}": "email.example.com", "%{d4}": "email.example.com",
		"%{d3}": "email.example.com", "%{d2}": "example.com", "%{d1}": "com", "%{dr}": "com.example.email", "%{d2r}": "example.email",
		"%{l}": "strong-bad", "%{l-}": "strong.bad", "%{lr}": "strong-bad", "%{lr-}": "bad.strong", "%{l1r-}": "strong",
		"%{ir}.%{v}._spf.%{d2}":             "3.2.0.192.in-addr._spf.example.com",
		"%{lr-}.lp._spf.%{d2}":              "bad.strong.lp._spf.example.com",
		"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}":   "bad.strong.lp.3.2.0.192.in-addr._spf.example.com",
		"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}":  "3.2.0.192.in-addr.strong.lp._spf.example.com",
		"%{d2}.trusted-domains.example.net": "example.com.trusted-domains.example.net",
		"%%%_%-":                            "% %20", "%{S}": "strong-bad%40email.example.com", "%{p}": "unknown", "%{h}": "h.example", "%{d99}": "email.example.com",
	} {
		if got := expandAt(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	e.ip = netip.MustParseAddr("2001:db8::cb01")
	if got, want := expandAt("%{ir}.%{v}._spf.%{d2}"),
		"1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"; got != want {
		t.Errorf("IPv6: got %s", got)
	}
}

// TestCheck is what the suite and the appendix do not show: identities, evidence, limits and hostile zones.
func TestCheck(t *testing.T) {
	t.Parallel()
	zone := appendixA()
	lots := func(n int, f string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, f+" ", i)
		}
		return b.String()
	}
	add := func(name string, entries ...string) { zone[name] = entries }
	add("pass.example", "TXT other", "TXT v=spf1 ip4:192.0.2.0/24 -all")
	add("two.example", "TXT v=spf1 -all", "TXT v=spf1 +all")
	add("late.example", "TXT v=spf1 +all ip4:300.0.0.0")
	add("slow.example", "FAIL timeout")
	add("inc.example", "TXT v=spf1 include:slow.example +all")
	add("self.example", "TXT v=spf1 include:self.example -all")
	add("ring.example", "TXT v=spf1 redirect=ring.example")
	add("ten.example", "TXT v=spf1 "+lots(10, "a:a%d.ten.example")+"-all")
	add("*.ten.example", "A 10.0.0.1")
	add("eleven.example", "TXT v=spf1 "+lots(11, "a:a%d.ten.example")+"-all")
	add("void.example", "TXT v=spf1 a:v1.void.example exists:v2.void.example mx:v3.void.example +all")
	add("void2.example", "TXT v=spf1 a:v1.void.example exists:v2.void.example -all")
	add("manymx.example", append(strings.Split(strings.TrimSuffix(lots(11, "MX 10 m%d.ten.example;"), "; "), "; "), "TXT v=spf1 mx -all")...)
	add("nullmx.example", "MX 0 .", "TXT v=spf1 mx -all")
	add("exp.example", "TXT v=spf1 exp=why.exp.example -all")
	add("why.exp.example", "TXT %{i} is not one of %{d}'s (%{s}, %{c}, %{r}, %{t})%_see http://x/%{S}")
	add("bomb.example", "TXT v=spf1 exp=why.bomb.example -all")
	add("why.bomb.example", "TXT "+strings.Repeat("%{s}%{h}", 500))
	add("crlf.example", "TXT v=spf1 exp=why.crlf.example -all")
	add("why.crlf.example", "TXT no\r\n250 ok")
	add("incexp.example", "TXT v=spf1 include:exp.example -all")
	add("xn--espaa-rta.example", "TXT v=spf1 exists:%{l}.ok.example -all")
	add("jos\u00e9.ok.example", "A 127.0.0.2")
	add("pepe.ok.example", "A 127.0.0.2")
	add("case.example", "TXT V=SPF1 IP4:192.0.2.0/24 Redirect=pass.example -ALL")

	for _, tc := range []struct {
		what, ip, helo string
		from           Sender
		want           string // status term identity
	}{
		{"ip4 matches", "192.0.2.3", "", Sender{"a", "pass.example"}, "pass ip4:192.0.2.0/24 mailfrom"},
		{"IPv4 in IPv6's clothes", "::ffff:192.0.2.3", "", Sender{"a", "Pass.Example."}, "pass ip4:192.0.2.0/24 mailfrom"},
		{"all fails", "192.0.3.3", "", Sender{"a", "pass.example"}, "fail -all mailfrom"},
		{"null reverse-path", "192.0.2.3", "pass.example", Sender{}, "pass ip4:192.0.2.0/24 helo"},
		{"HELO literal", "192.0.2.3", "[192.0.2.3]", Sender{}, "none helo"},
		{"HELO bare address", "192.0.2.3", "192.0.2.3", Sender{}, "none helo"},
		{"single label", "192.0.2.3", "localhost", Sender{}, "none helo"},
		{"no such domain", "192.0.2.3", "", Sender{"a", "gone.example"}, "none mailfrom"},
		{"two records", "192.0.2.3", "", Sender{"a", "two.example"}, "permerror mailfrom"},
		{"syntax before evaluation", "192.0.2.3", "", Sender{"a", "late.example"}, "permerror mailfrom"},
		{"timeout", "192.0.2.3", "", Sender{"a", "slow.example"}, "temperror mailfrom"},
		{"timeout in include", "192.0.2.3", "", Sender{"a", "inc.example"}, "temperror include:slow.example mailfrom"},
		{"include of itself", "192.0.2.3", "", Sender{"a", "self.example"}, "permerror include:self.example mailfrom"},
		{"redirect to itself", "192.0.2.3", "", Sender{"a", "ring.example"}, "permerror redirect=ring.example mailfrom"},
		{"ten look-ups", "192.0.2.3", "", Sender{"a", "ten.example"}, "fail -all mailfrom"},
		{"eleven look-ups", "192.0.2.3", "", Sender{"a", "eleven.example"}, "permerror a:a10.ten.example mailfrom"},
		{"three void", "192.0.2.3", "", Sender{"a", "void.example"}, "permerror mx:v3.void.example mailfrom"},
		{"two void", "192.0.2.3", "", Sender{"a", "void2.example"}, "fail -all mailfrom"},
		{"eleven MX", "192.0.2.3", "", Sender{"a", "manymx.example"}, "permerror mx mailfrom"},
		{"null MX", "192.0.2.3", "", Sender{"a", "nullmx.example"}, "fail -all mailfrom"},
		{"U-label domain", "192.0.2.3", "", Sender{"pepe", "españa.example"}, "pass exists:%{l}.ok.example mailfrom"},
		{"U-local part never matches", "192.0.2.3", "", Sender{"josé", "españa.example"}, "fail -all mailfrom"},
		{"letters of any case", "192.0.2.3", "", Sender{"a", "case.example"}, "pass IP4:192.0.2.0/24 mailfrom"},
		{"no IP", "", "", Sender{"a", "pass.example"}, "none mailfrom"},
	} {
		ip, _ := netip.ParseAddr(tc.ip)
		res := Check(t.Context(), zone, Args{IP: ip, HELO: tc.helo, MailFrom: tc.from})
		got := strings.Join(strings.Fields(fmt.Sprint(res.Status, " ", res.Term, " ", res.Identity)), " ")
		if got != tc.want {
			t.Errorf("%s: got %s (%v), want %s\n%s", tc.what, got, res.Err, tc.want, tree(res))
		}
	}

	args := Args{IP: netip.MustParseAddr("203.0.113.9"), ReceiverHost: "mx.x", Now: time.Unix(7, 0)}
	for domain, want := range map[string]string{
		"exp.example":    "203.0.113.9 is not one of exp.example's (a b@exp.example, 203.0.113.9, mx.x, 7) see http://x/a%20b%40exp.example",
		"bomb.example":   "", // too long
		"crlf.example":   "", // not printable
		"incexp.example": "", // the explanation of an included record is not ours
	} {
		args.MailFrom = Sender{"a b", domain}
		if res := Check(t.Context(), zone, args); res.Status != Fail || res.Explanation != want {
			t.Errorf("%s: %v, explanation %q, want %q", domain, res.Status, res.Explanation, want)
		}
	}

	args.MailFrom = Sender{"a", "eleven.example"}
	if res := Check(t.Context(), zone, args); !errors.Is(res.Err, ErrTooManyLookups) || res.Lookups != 10 {
		t.Errorf("eleven: %v after %d", res.Err, res.Lookups)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if res := Check(ctx, zone, args); res.Status != TempError {
		t.Errorf("canceled: %v", res.Status)
	}
}

// The evidence is a tree that a person can read.
func TestEvidence(t *testing.T) {
	t.Parallel()
	zone := appendixA()
	zone["example.com"] = append(zone["example.com"], "TXT v=spf1 ip4:10.9.9.9 mx -all")
	zone["big.example"] = []string{"TXT v=spf1 include:example.com a:gone.example redirect=la.big.example"}
	zone["la.big.example"] = []string{"TXT v=spf1 ptr exists:%{ir}.list.example -all"}
	res := Check(t.Context(), zone, Args{IP: netip.MustParseAddr("192.0.2.65"), MailFrom: Sender{"x", "big.example"}})
	const want = `big.example (record) → big.example: match
big.example include:example.com → example.com: no match
  example.com (record) → example.com: match
  example.com mx → example.com: no match
  example.com -all: match
big.example a:gone.example → gone.example: no match
big.example redirect=la.big.example → la.big.example: match
la.big.example (record) → la.big.example: match
la.big.example ptr → la.big.example: no match
la.big.example exists:%{ir}.list.example → 65.2.0.192.list.example: no match
la.big.example -all: match
`
	if got := tree(res); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if res.Lookups != 6 || res.VoidLookups != 2 || res.TermDomain != "la.big.example" || res.Status != Fail {
		t.Errorf("%v, %d look-ups, %d void, decided by %s", res.Status, res.Lookups, res.VoidLookups, res.TermDomain)
	}
}

// What a person reads: records, terms below them, includes below those.
func TestTree(t *testing.T) {
	t.Parallel()
	zone := appendixA()
	zone["example.com"] = append(zone["example.com"], "TXT v=spf1 ip4:10.9.9.9 mx -all")
	zone["big.example"] = []string{"TXT v=spf1 include:example.com a:gone.example redirect=la.big.example"}
	zone["la.big.example"] = []string{"TXT v=spf1 ptr exists:%{ir}.list.example -all"}
	zone["two.example"] = []string{"TXT v=spf1 -all", "TXT v=spf1 \x07\xff" + strings.Repeat("a", 2000)}
	zone["slow.example"] = []string{"FAIL timeout"}
	zone["loop.example"] = []string{"TXT v=spf1 include:loop.example ?all"}
	for _, tc := range []struct{ from, want string }{
		{"big.example", `
fail for mailfrom x@big.example: -all of la.big.example; 6 of 10 look-ups, 2 of 2 void
  big.example: "v=spf1 include:example.com a:gone.example redirect=la.big.example"
    include:example.com [look-up 1]: no match
      example.com: "v=spf1 ip4:10.9.9.9 mx -all"
        mx → example.com [look-up 2]: no match (mail-a.example.com mail-b.example.com; 192.0.2.130)
        -all: match
    a:gone.example [look-up 3] [void 1]: no match (nxdomain)
    redirect=la.big.example [look-up 4]: match
  la.big.example: "v=spf1 ptr exists:%{ir}.list.example -all"
    ptr → la.big.example [look-up 5]: no match (amy.example.com)
    exists:%{ir}.list.example → 65.2.0.192.list.example [look-up 6] [void 2]: no match (nxdomain)
    -all: match
`},
		{"two.example", `
permerror for mailfrom x@two.example: two.example: more than one SPF record; 0 of 10 look-ups, 0 of 2 void
  two.example: "v=spf1 -all" and "v=spf1 ??` + strings.Repeat("a", 991) + `…": more than one SPF record
`},
		{"gone.example", `
none for mailfrom x@gone.example: no record; 0 of 10 look-ups, 0 of 2 void
  gone.example: no SPF record (nxdomain)
`},
	} {
		res := Check(t.Context(), zone, Args{IP: netip.MustParseAddr("192.0.2.65"), MailFrom: Sender{"x", tc.from}})
		if got := "\n" + strings.Join(res.Tree(), "\n") + "\n"; got != tc.want {
			t.Errorf("got%swant%s", got, tc.want)
		}
	}
	res := Check(t.Context(), zone, Args{IP: netip.MustParseAddr("192.0.2.65"), MailFrom: Sender{"x", "loop.example"}})
	if got := res.Tree(); len(got) != 23 || !strings.HasSuffix(got[21], `loop.example: "v=spf1 include:loop.example ?all"`) || !strings.HasSuffix(got[22], "error (more than 10 DNS look-ups)") {
		t.Errorf("a loop:\n%s", strings.Join(got, "\n"))
	}
	res = Check(t.Context(), zone, Args{IP: netip.MustParseAddr("192.0.2.65"), MailFrom: Sender{"x", "slow.example"}})
	if got := res.Tree(); len(got) != 2 || !strings.HasPrefix(got[1], "  slow.example: ") {
		t.Errorf("a time-out:\n%s", strings.Join(got, "\n"))
	}
}

// tree prints the evidence, one step a line.
func tree(res Result) string {
	var b strings.Builder
	for _, s := range res.Steps {
		term := s.Term
		if term == "" {
			term = "(record)"
		}
		fmt.Fprintf(&b, "%s%s %s", strings.Repeat("  ", s.Depth), s.Domain, term)
		if s.Target != "" {
			fmt.Fprintf(&b, " → %s", s.Target)
		}
		fmt.Fprintf(&b, ": %v", s.Outcome)
		if s.Err != nil {
			fmt.Fprintf(&b, " (%v)", s.Err)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// cached answers at once, as the resolver's cache does.
type cached struct {
	resolver.Static
	txt resolver.Result[string]
}

func (c cached) LookupTXT(context.Context, string) (resolver.Result[string], error) {
	return c.txt, nil
}

func BenchmarkCheck(b *testing.B) {
	dns := cached{txt: resolver.Result[string]{State: resolver.Found, Records: []string{"google-site-verification=x", "v=spf1 ip4:198.51.100.0/24 ip4:192.0.2.0/24 -all"}}}
	args := Args{IP: netip.MustParseAddr("192.0.2.3"), HELO: "mx.example.org", MailFrom: Sender{"ana", "example.org"}}
	b.ReportAllocs()
	for b.Loop() {
		if res := Check(b.Context(), dns, args); res.Status != Pass {
			b.Fatal(res.Status, res.Err)
		}
	}
}
