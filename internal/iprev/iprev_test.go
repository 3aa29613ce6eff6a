package iprev

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"posta/internal/resolver"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	var many, manyNames []string
	zone := resolver.Static{
		"192.0.2.1": {"SECURE", "PTR mx.example.org"}, "mx.example.org": {"SECURE", "A 192.0.2.9", "A 192.0.2.1", "AAAA 2001:db8::1"},
		"2001:db8::1": {"PTR mx.example.org"},
		"192.0.2.2":   {"PTR liar.example.org"}, "liar.example.org": {"A 192.0.2.3"},
		"192.0.2.3": {"PTR gone.example.org"},
		"192.0.2.4": {"FAIL timeout"},
		"192.0.2.5": {"PTR slow.example", "PTR gone.example.org"}, "slow.example": {"FAIL servfail"},
		"192.0.2.6": {"PTR slow.example", "PTR six.example.org"}, "six.example.org": {"A 192.0.2.6"},
		"192.0.2.8": {"A 1.2.3.4"},
	}
	for i := range 12 {
		many = append(many, fmt.Sprintf("PTR m%d.example.org", i))
		zone[fmt.Sprintf("m%d.example.org", i)] = []string{"A 192.0.2.7"}
		if i < MaxNames {
			manyNames = append(manyNames, fmt.Sprintf("m%d.example.org", i))
		}
	}
	zone["192.0.2.7"] = many
	for ip, want := range map[string]string{
		"192.0.2.1":        "pass mx.example.org found true",
		"::ffff:192.0.2.1": "pass mx.example.org found true",
		"2001:db8::1":      "pass mx.example.org found false",
		"192.0.2.2":        "fail  found false",
		"192.0.2.3":        "fail  found false",
		"192.0.2.4":        "temperror  unknown false",
		"192.0.2.5":        "temperror  found false",
		"192.0.2.6":        "pass six.example.org found false",
		"192.0.2.7":        "pass " + strings.Join(manyNames, ",") + " found false",
		"192.0.2.8":        "permerror  no data false",
		"192.0.2.77":       "permerror  nxdomain false",
	} {
		res := Check(t.Context(), zone, netip.MustParseAddr(ip))
		got := fmt.Sprintf("%v %s %v %v", res.Status, strings.Join(res.Confirmed, ","), res.State, res.Authentic)
		if got != want || (res.Err != nil) != (res.Status == TempError) {
			t.Errorf("%s: got %s (%v), want %s", ip, got, res.Err, want)
		}
	}
	if res := Check(t.Context(), zone, netip.MustParseAddr("192.0.2.7")); res.Total != 12 || len(res.Names) != MaxNames {
		t.Errorf("%d of %d names", len(res.Names), res.Total)
	}
	if res := Check(t.Context(), zone, netip.Addr{}); res.Status != PermError {
		t.Errorf("no address: %v", res.Status)
	}
}

func TestGeneric(t *testing.T) {
	t.Parallel()
	const v4, v6 = "192.0.2.17", "2001:db8:1:2:a1b2:c3ff:fed4:e5f6"
	for _, tc := range []struct {
		name, ip string
		want     Kind
	}{
		{"mail.example.org", v4, Chosen},
		{"example.org", v4, Chosen},
		{"mx17.example.org", v4, Chosen},
		{"mx2-17.example.org", v4, Chosen}, // two numbers alone are no proof
		{"host.example.org", v4, Chosen},
		{"host1.example.org", v4, Chosen},
		{"mail.cable-company.com", v4, Chosen}, // the word is the company's name
		{"mx.dyn.com", v4, Chosen},
		{"static.example.org", v4, Chosen},
		{"dynamo.example.org", v4, Chosen},
		{"192-0-2-17.example.net", v4, SpellsIP},
		{"17.2.0.192.isp.example.net", v4, SpellsIP},
		{"ip192.000.002.017.example.net", v4, SpellsIP},
		{"host-0-2-17.isp.net", v4, SpellsIP},
		{"host2-17.isp.net", v4, SpellsIP},
		{"c0000211.isp.net", v4, SpellsIP},
		{"pC0000211.dip0.t-ipconnect.de", v4, Dynamic},
		{"192000002017.isp.net", v4, SpellsIP},
		{"213.23.45.167.isp.net", v4, Chosen},
		{"192-0-2-17.static.isp.net", v4, StaticPool},
		{"17.red-192-0-2.staticip.rima-tde.net", v4, StaticPool},
		{"17.red-192-0-2.dynamicip.rima-tde.net", v4, Dynamic},
		{"dyn17.isp.co.uk", v4, Dynamic},
		{"adsl-5.isp.net", v4, Dynamic},
		{"cm-5.cable.isp.com.br", v4, Dynamic},
		{"dhcp-1.Pool.isp.net.", v4, Dynamic},
		{"17.2.0.192.in-addr.arpa", v4, Dynamic},
		{"17.2.0.192.in-addr.isp.net", v4, Dynamic},
		{"mail.example.org", v6, Chosen},
		{"mx1.example.org", "2001:db8::1", Chosen},
		{"2001-db8-1-2-a1b2-c3ff-fed4-e5f6.isp.net", v6, SpellsIP},
		{"20010db800010002a1b2c3fffed4e5f6.v6.isp.net", v6, SpellsIP},
		{"6.f.5.e.4.d.e.f.f.f.3.c.2.b.1.a.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.isp.net", v6, SpellsIP},
		{"a1b2c3fffed4e5f6.isp.net", v6, SpellsIP},
	} {
		got, reason := Generic(tc.name, netip.MustParseAddr(tc.ip))
		if got != tc.want || (reason == "") != (got == Chosen) {
			t.Errorf("%s: got %v (%s), want %v", tc.name, got, reason, tc.want)
		}
	}
}

// FuzzGeneric: any name is judged, and a name that spells its address in order is never held for chosen.
func FuzzGeneric(f *testing.F) {
	f.Add("host-", "dyn.isp.net", uint32(0xc0000211))
	f.Add("..", "\x00%", uint32(0))
	f.Fuzz(func(t *testing.T, before, after string, bits uint32) {
		ip := netip.AddrFrom4([4]byte{byte(bits >> 24), byte(bits >> 16), byte(bits >> 8), byte(bits)})
		if kind, _ := Generic(before+after, ip); kind > Dynamic {
			t.Fatal(kind)
		}
		name := before + "-" + strings.ReplaceAll(ip.String(), ".", "-") + "-" + after
		if kind, reason := Generic(name, ip); kind == Chosen || reason == "" {
			t.Fatalf("%q for %v: %v", name, ip, kind)
		}
	})
}

func BenchmarkGeneric(b *testing.B) {
	ip := netip.MustParseAddr("192.0.2.17")
	b.ReportAllocs()
	for b.Loop() {
		if kind, _ := Generic("mail.example.org", ip); kind != Chosen {
			b.Fatal(kind)
		}
	}
}
