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

// What a person reads.
func TestFacts(t *testing.T) {
	t.Parallel()
	zone := resolver.Static{
		"192.0.2.1":                 {"PTR dsl-192-0-2-1.example.org", "PTR liar.example.org", "PTR gone.example.org", "PTR slow.example.org"},
		"dsl-192-0-2-1.example.org": {"A 192.0.2.1"}, "liar.example.org": {"A 192.0.2.9"}, "slow.example.org": {"FAIL timeout"},
		"192.0.2.4": {"FAIL timeout"},
	}
	for ip, want := range map[string]string{
		"192.0.2.1": "address 192.0.2.1|result pass|PTR dsl-192-0-2-1.example.org leads back: 192.0.2.1|PTR liar.example.org leads elsewhere: 192.0.2.9|" +
			"PTR gone.example.org has no address (nxdomain)|PTR slow.example.org …|the name is generic dynamic: has the word \"dsl\" and the four octets in order",
		"192.0.2.3": "address 192.0.2.3|result permerror|PTR none (nxdomain)",
		"192.0.2.4": "address 192.0.2.4|result temperror|PTR …",
	} {
		res := Check(t.Context(), zone, netip.MustParseAddr(ip))
		var got []string
		for i, facts := 0, res.Facts(); i < len(facts); i += 2 {
			seen := facts[i+1]
			if strings.Contains(seen, "time") {
				seen = "…" // the resolver's words
			}
			got = append(got, facts[i]+" "+seen)
		}
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("got %s\nwant %s", s, want)
		}
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
		{"3221226001.isp.net", v4, SpellsIP},
		{"c0-00-02-11.isp.net", v4, SpellsIP},
		{"c0.00.02.11.dsl.isp.net", v4, Dynamic},
		{"static.17.2.0.192.clients.your-server.de", v4, StaticPool},
		{"host17-2-static.isp.it", v4, StaticPool},
		{"17.2.0.192.static.user.isp.net", v4, StaticPool},
		{"pool-192-0-2-17.washdc.fios.isp.net", v4, Dynamic},
		{"cpe-192-0-2-17.isp.com", v4, SpellsIP},
		{"ec2-192-0-2-17.compute-1.amazonaws.com", v4, SpellsIP},
		{"ppp17.adsl-pool.isp.net.br", v4, Dynamic},
		{"pool-17.isp.net", v4, Dynamic},
		{"dialup.isp.net", v4, Dynamic},
		{"unassigned.isp.net", v4, Dynamic},
		{"dynamic-2001-db8-1.isp.net", v6, Dynamic},
		{"mail-192-0-2-17.dyn.isp.net", v4, Dynamic}, // the spelled address weighs more than the word

		// Servers that somebody named, some of them by words of the list.
		{"mail-ej1-f41.google.com", "209.85.218.41", Chosen},
		{"mail-db3eur05on2091.outbound.protection.outlook.com", "40.107.20.91", Chosen},
		{"a8-30.smtp-out.amazonses.com", "54.240.8.30", Chosen},
		{"o1678925x218.outbound-mail.sendgrid.net", "167.89.25.218", Chosen},
		{"m42-10.mailgun.net", "69.72.42.10", Chosen},
		{"mta-70-35-101.mail.example.com", "203.0.113.9", Chosen},
		{"mx1-out.pool.example.org", v4, Chosen},
		{"mx1-out.pool.ntp.org", v4, Chosen},
		{"0.pool.ntp.org", v4, Chosen},
		{"pool.ntp.org", v4, Chosen},
		{"web7.pool.example.org", v4, Chosen},
		{"smtp2.dsl.example.net", v4, Chosen},
		{"mail.dyn.example.net", v4, Chosen},
		{"office.dsl.example.net", v4, Chosen},
		{"mout3.fiber.example.net", v4, Chosen},
		{"correo.etecsa.cu", v4, Chosen},
		{"mx-a.mailhost.example.net", v4, Chosen},
		{"client.example.org", v4, Chosen},
		{"nat-gw1.example.edu", v4, Chosen},
		{"user17.example.org", v4, Chosen},
		{"lists.users.example.org", v4, Chosen},
		{"relay3.home.example.org", v4, Chosen},
		{"node4.example.org", v4, Chosen},
		{"vps1.example.com", v4, Chosen},
		{"dynamics365.example.com", v4, Chosen},
		{"cablemail.example.com", v4, Chosen},
		{"mail.static.example.org", v4, Chosen},
		{"dialog2.example.org", v4, Chosen},
		{"192.example.org", v4, Chosen},
		{"", v4, Chosen},
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
