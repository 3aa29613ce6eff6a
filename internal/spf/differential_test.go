package spf

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"

	oracle "blitiri.com.ar/go/spf"

	"posta/internal/resolver"
)

// goResolver shows a resolver in the form that the oracle asks.
type goResolver struct{ Resolver }

func goError(err error, s resolver.State, name string) error {
	switch {
	case err != nil:
		return &net.DNSError{Err: err.Error(), Name: name, IsTemporary: resolver.Temporary(err)}
	case s != resolver.Found:
		return &net.DNSError{Err: "not found", Name: name, IsNotFound: true}
	}
	return nil
}

func (g goResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	r, err := g.Resolver.LookupTXT(ctx, name)
	return r.Records, goError(err, r.State, name)
}

func (g goResolver) LookupMX(ctx context.Context, name string) (out []*net.MX, _ error) {
	r, err := g.Resolver.LookupMX(ctx, name)
	for _, mx := range r.Records {
		out = append(out, &net.MX{Host: mx.Host, Pref: mx.Preference})
	}
	return out, goError(err, r.State, name)
}

func (g goResolver) LookupIPAddr(ctx context.Context, name string) (out []net.IPAddr, _ error) {
	r, err := g.LookupA(ctx, name)
	r6, err6 := g.LookupAAAA(ctx, name)
	for _, ip := range append(r.Records[:len(r.Records):len(r.Records)], r6.Records...) {
		out = append(out, net.IPAddr{IP: ip.AsSlice()})
	}
	if len(out) > 0 {
		return out, nil
	}
	if err == nil {
		err = err6
	}
	return nil, goError(err, r.State, name)
}

func (g goResolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	r, err := g.LookupPTR(ctx, netip.MustParseAddr(addr))
	return r.Records, goError(err, r.State, addr)
}

// TestAgainstOracle evaluates random records over one zone with another implementation beside ours. Records are made of what
// both understand alike; left out are the places where the oracle knowingly differs from the RFC (it judges syntax as it
// goes, counts AAAA as an answer for IPv4 clients, knows no explanation).
func TestAgainstOracle(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7208, 8616))
	pick := func(s ...string) string { return s[rnd.IntN(len(s))] }
	names := []string{"a.example", "b.example", "c.example", "d.example", "gone.example", "slow.example", "host.a.example", "%{d}", "h%{i}.example", "%{l}.example", "%{d2}", "%{ir}.x.example"}
	term := func() string {
		q := pick("", "", "+", "-", "~", "?")
		switch rnd.IntN(10) {
		case 0:
			return q + "a" + pick("", "/24", "/16")
		case 1:
			return q + "a:" + pick(names...) + pick("", "/24", "/31")
		case 2:
			return q + "mx" + pick("", "/24")
		case 3:
			return q + "mx:" + pick(names...)
		case 4:
			return q + "ptr" + pick("", ":a.example", ":example.net")
		case 5:
			return q + "exists:" + pick(names...)
		case 6, 7:
			return q + "include:" + pick(names...)
		case 8:
			return q + "ip4:" + pick("192.0.2.0/24", "192.0.2.7", "10.0.0.0/8", "0.0.0.0/0")
		}
		return q + "ip4:198.51.100." + fmt.Sprint(rnd.IntN(8))
	}
	record := func() string {
		terms := []string{"v=spf1"}
		for range rnd.IntN(5) {
			terms = append(terms, term())
		}
		terms = append(terms, pick("", "-all", "~all", "?all", "redirect="+pick(names...), "x=y -all"))
		return strings.TrimSpace(strings.Join(terms, " "))
	}
	counts := map[Status]int{}
	for range 4000 {
		zone := resolver.Static{
			"slow.example": {"FAIL servfail"}, "host.a.example": {"A 192.0.2.7"}, "h192.0.2.7.example": {"A 127.0.0.1"},
			"192.0.2.7": {"PTR host.a.example", "PTR liar.example.net"}, "liar.example.net": {"A 192.0.2.8"},
		}
		for _, n := range []string{"a", "b", "c", "d"} {
			zone[n+".example"] = []string{"TXT " + record(), "A 192.0.2." + pick("1", "6", "7"), "MX 5 host.a.example", "MX 6 " + pick("b.example", "gone.example")}
		}
		from := Sender{Local: pick("b", "joe"), Domain: "a.example"}
		res := Check(t.Context(), zone, Args{IP: netip.MustParseAddr("192.0.2.7"), HELO: "h.example", MailFrom: from})
		want, why := oracle.CheckHostWithSender(net.ParseIP("192.0.2.7"), "h.example", from.Local+"@"+from.Domain,
			oracle.WithResolver(goResolver{zone}), oracle.WithContext(t.Context()))
		if res.Status.String() != string(want) {
			t.Errorf("got %v (%v), oracle %v (%v)\nzone %v\n%s", res.Status, res.Err, want, why, zone, tree(res))
			break
		}
		counts[res.Status]++
	}
	for s := Neutral; s <= PermError; s++ {
		if counts[s] < 20 {
			t.Errorf("%v came only %d times: the generator has grown dull", s, counts[s])
		}
	}
}
