package resolver

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestStatic(t *testing.T) {
	t.Parallel()
	z := Static{
		"example.org":            {"SECURE", "MX 20 b.example.org", "MX 10 A.example.org.", "TXT v=spf1 -all", "TXT FAILURE is a word"},
		"a.example.org":          {"SECURE", "A 192.0.2.1", "AAAA 2001:db8::1"},
		"www.example.org":        {"CNAME a.example.org"},
		"x.y.example.org":        {"A 192.0.2.2"},
		"*.wild.example":         {"A 127.0.0.2"},
		"192.0.2.1":              {"PTR a.example.org"},
		"2.2.0.192.in-addr.arpa": {"PTR x.y.example.org"},
		"slow.example":           {"FAIL timeout"},
		"half.example":           {"A 192.0.2.9", "AAAA FAIL servfail"},
		"loop.example":           {"CNAME loop.example"},
		"_25._tcp.example":       {"TLSA 3 1 1 0a0b"},
		"bad.example":            {"A nonsense"},
	}
	show := func(res any, err error) string {
		if e, ok := errors.AsType[*Error](err); ok {
			return e.Kind.String()
		}
		return fmt.Sprint(res)
	}
	ctx, ip := t.Context(), netip.MustParseAddr
	a := func(n string) string {
		r, err := z.LookupA(ctx, n)
		return show(fmt.Sprint(r.State, r.Records, r.Chain), err)
	}
	mx, err := z.LookupMX(ctx, "EXAMPLE.org.")
	txt, err2 := z.LookupTXT(ctx, "example.org")
	ptr, err3 := z.LookupPTR(ctx, ip("192.0.2.1"))
	ptr2, err4 := z.LookupPTR(ctx, ip("192.0.2.2"))
	aaaa, err5 := z.LookupAAAA(ctx, "half.example")
	tlsa, err6 := z.LookupTLSA(ctx, "_25._tcp.example")
	for got, want := range map[string]string{
		show(mx.Records, err):    "[{10 a.example.org} {20 b.example.org}]",
		show(txt.Records, err2):  "[v=spf1 -all FAILURE is a word]",
		show(ptr.Records, err3):  "[a.example.org]",
		show(ptr2.Records, err4): "[x.y.example.org]",
		show(aaaa, err5):         "servfail",
		show(tlsa.Records, err6): "[{3 1 1 [10 11]}]",
		a("www.example.org"):     "found [192.0.2.1] [a.example.org]",
		a("y.example.org"):       "no data [] []", // an empty non-terminal exists
		a("any.wild.example"):    "found [127.0.0.2] []",
		a("nope.example.org"):    "nxdomain [] []",
		a("slow.example"):        "timeout",
		a("loop.example"):        "bad alias chain",
		a("bad.example"):         "malformed",
		a("a..b"):                "invalid name",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if !mx.Authentic || ptr.Authentic || mx.TTL != time.Hour {
		t.Errorf("authentic: %v %v, TTL %v", mx.Authentic, ptr.Authentic, mx.TTL)
	}
}

func TestReverseName(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]string{
		"192.0.2.1":          "1.2.0.192.in-addr.arpa",
		"::ffff:192.0.2.1":   "1.2.0.192.in-addr.arpa",
		"2001:db8::567:89ab": "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", // RFC 3596 §2.5's shape
	} {
		if got := ReverseName(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: got %s", ip, got)
		}
	}
}

// A reply of any bytes is read without panic, and what comes out keeps the package's promises on names and states.
func FuzzReply(f *testing.F) {
	m := new(dns.Msg).SetQuestion("a.example.", dns.TypeMX)
	m.Response = true
	m.Answer = append(m.Answer, rr(f, "a.example. 60 CNAME b.example."), rr(f, "b.example. 60 MX 5 c.example."), rr(f, `b.example. 60 TXT "a\\b\"\200"`))
	wire, _ := m.Pack()
	f.Add(wire, uint16(TypeMX))
	f.Add(wire, uint16(TypeTXT))
	f.Add([]byte{0, 0, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1}, uint16(TypeA))
	f.Fuzz(func(t *testing.T, wire []byte, typ uint16) {
		m := new(dns.Msg)
		if m.Unpack(wire) != nil {
			return
		}
		r := reading{question: question{name: "a.example", typ: Type(typ)}, owner: "a.example", authentic: true, ttl: 1<<31 - 1}
		a, more, err := r.read(m, true)
		switch {
		case err != nil || more:
			if len(r.chain) > MaxChain || more && len(r.chain) == 0 {
				t.Fatalf("chain %v", r.chain)
			}
		case a.state == 0 || a.ttl < minTTL || a.ttl > maxTTL || (a.state == Found) != (a.records != nil):
			t.Fatalf("answer %+v", a)
		}
	})
}
