package audit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/authority"
	"posta/internal/finding"
	"posta/internal/resolver"
)

// run audits a target over a literal world.
func run(t *testing.T, dns resolver.Resolver, target Target) Report {
	t.Helper()
	return Run(t.Context(), Config{
		Resolver: dns, Authority: authority.New(dns, authority.Config{Timeout: time.Millisecond}), Timeout: 10 * time.Second,
		Dial: noDoors,
	}, target)
}

// noDoors is the dialler of a world in which no server answers: no test knocks at the
// doors of the real one. doors_test.go has doors.
func noDoors(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no doors in this world")
}

// outcomes lists the fails and what could not be verified as "check subject", with "?" for the latter.
func outcomes(r *Report, sections ...string) (out []string) {
	for _, f := range r.Findings {
		if !slices.Contains(sections, f.Check.Section()) || f.Check == finding.MXClosed { // doors_test.go has the doors
			continue
		}
		switch f.Outcome {
		case finding.Fail:
			out = append(out, fmt.Sprintf("%s %s", f.Check, f.Subject))
		case finding.Unverified:
			out = append(out, fmt.Sprintf("%s %s ?", f.Check, f.Subject))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Each fault of MX, of names and of SPF is found, and only it; what did not answer is
// never a fault.
func TestFaults(t *testing.T) {
	good := func(extra resolver.Static) resolver.Static {
		z := resolver.Static{
			"good.test":    {"MX 10 mx.good.test", "TXT v=spf1 mx -all", "A 203.0.113.80"},
			"mx.good.test": {"A 203.0.113.25", "AAAA 2001:db8::25", "TXT v=spf1 a -all"},
			"203.0.113.25": {"PTR mx.good.test"}, "2001:db8::25": {"PTR mx.good.test"},
		}
		for k, v := range extra {
			z[k] = v
		}
		return z
	}
	spfOf := func(terms string, extra resolver.Static) resolver.Static {
		z := good(extra)
		z["good.test"] = []string{"MX 10 mx.good.test", "A 203.0.113.80", "TXT v=spf1 " + terms}
		return z
	}
	for _, tc := range []struct {
		what string
		zone resolver.Static
		to   Target
		want string
	}{
		{"a good house", good(nil), Target{}, ""},
		{"no such domain", resolver.Static{}, Target{}, "sender.domain good.test"},
		{"mail would go to the address", good(resolver.Static{"good.test": {"A 203.0.113.25", "TXT v=spf1 a -all"}}), Target{}, "sender.mx good.test"},
		{"an address in the MX", good(resolver.Static{"good.test": {"MX 10 203.0.113.25", "TXT v=spf1 -all"}}), Target{}, "mx.address 203.0.113.25"},
		{"the exchanger is an alias", good(resolver.Static{"good.test": {"MX 10 mail.good.test", "TXT v=spf1 mx -all"}, "mail.good.test": {"CNAME mx.good.test"}}), Target{HELO: "mx.good.test", IPs: addrs("203.0.113.25")}, "mx.cname mail.good.test"},
		{"the exchanger does not exist", good(resolver.Static{"good.test": {"MX 10 no.good.test", "TXT v=spf1 -all"}}), Target{}, "mx.dangling no.good.test"},
		{"a private exchanger", good(resolver.Static{"mx.good.test": {"A 10.0.0.1", "AAAA fd00::1"}}), Target{}, "mx.private mx.good.test"},
		{"DNS is silent about MX", good(resolver.Static{"good.test": {"MX FAIL timeout", "TXT v=spf1 mx -all"}}), Target{},
			"mx.null good.test ?\nsender.domain good.test ?\nsender.mx good.test ?\nspf.broad good.test ?\nspf.dangling good.test ?\nspf.huge good.test ?\nspf.invalid good.test ?\nspf.lookups good.test ?\nspf.wide good.test ?"},
		{"no reverse name", good(resolver.Static{"203.0.113.25": nil}), Target{}, "ptr.missing 203.0.113.25"},
		{"a reverse name that leads elsewhere", good(resolver.Static{"203.0.113.25": {"PTR www.good.test"}, "www.good.test": {"A 203.0.113.80", "TXT v=spf1 -all"}}), Target{}, "ptr.mismatch 203.0.113.25"},
		{"a generic reverse name", good(resolver.Static{"203.0.113.25": {"PTR 203-0-113-25.dyn.isp.example"}, "203-0-113-25.dyn.isp.example": {"A 203.0.113.25"}}), Target{}, "ptr.generic 203.0.113.25"},
		{"reverse DNS is silent", good(resolver.Static{"203.0.113.25": {"FAIL timeout"}}), Target{}, "ptr.mismatch 203.0.113.25 ?\nptr.missing 203.0.113.25 ?"},
		{"HELO is the name of a PC (S2)", good(nil), Target{HELO: "PC-SECRETARIA", IPs: addrs("203.0.113.25")}, "helo.fqdn PC-SECRETARIA (203.0.113.25)"},
		{"HELO is an address (S3)", good(nil), Target{HELO: "[203.0.113.25]", IPs: addrs("203.0.113.25")}, "helo.literal [203.0.113.25] (203.0.113.25)"},
		{"HELO does not exist (S6)", good(nil), Target{HELO: "no.good.test", IPs: addrs("203.0.113.25")}, "helo.unknown no.good.test (203.0.113.25)"},
		{"SPF is missing", good(resolver.Static{"good.test": {"MX 10 mx.good.test"}}), Target{}, "spf.missing good.test"},
		{"SPF twice", good(resolver.Static{"good.test": {"MX 10 mx.good.test", "TXT v=spf1 mx -all", "TXT v=spf1 -all"}}), Target{}, "spf.multiple good.test"},
		{"SPF with the guide's names (S31)", good(resolver.Static{"good.test": {"MX 10 mx.good.test", "TXT v=spf1 ipv4:203.0.113.25 -all"}}), Target{}, "spf.invalid good.test"},
		{"SPF of everybody", good(resolver.Static{"good.test": {"MX 10 mx.good.test", "TXT v=spf1 +all"}}), Target{}, "spf.broad good.test"},
		{"SPF refuses its own", good(nil), Target{HELO: "mx.good.test", IPs: addrs("203.0.113.99")}, "ptr.missing 203.0.113.99\nspf.fail 203.0.113.99\nspf.helo mx.good.test (203.0.113.99)"},
		{"an address without IPv6", good(resolver.Static{"mx.good.test": {"A 203.0.113.25"}}), Target{}, "mx.ipv6 good.test"},
		{"two exchangers on one machine", good(resolver.Static{"good.test": {"MX 10 mx.good.test", "MX 20 mx2.good.test", "TXT v=spf1 mx -all"}, "mx2.good.test": {"A 203.0.113.25"}}), Target{}, "mx.same good.test"},
		{"a null MX beside another", good(resolver.Static{"good.test": {"MX 10 mx.good.test", "MX 0 .", "TXT v=spf1 mx -all"}}), Target{}, "mx.null good.test\nmx.null-mixed good.test"},
		{"a null MX of a domain that sends", good(resolver.Static{"good.test": {"MX 0 .", "TXT v=spf1 ip4:203.0.113.25 -all"}}), Target{}, "mx.null good.test\nspf.names good.test"},
		{"it sends nothing and does not say that it takes nothing", good(resolver.Static{"good.test": {"A 203.0.113.25", "TXT v=spf1 -all"}}), Target{}, "mx.parked good.test"},
		{"everybody neutral (S32)", spfOf("a include:_mailcust.gandi.net ?all", resolver.Static{"_mailcust.gandi.net": {"TXT v=spf1 ip4:217.70.176.0/20 ?all"}}), Target{}, "spf.neutral good.test\nspf.shared good.test\nspf.web good.test"},
		{"a misspelt record", good(resolver.Static{"good.test": {"MX 10 mx.good.test", "TXT v=spf 1 mx -all"}}), Target{}, "spf.missing good.test\nspf.misspelt good.test"},
		{"Sender ID and type 99", good(resolver.Static{"good.test": {"MX 10 mx.good.test", "TXT v=spf1 mx -all", "TXT spf2.0/pra mx -all"}}), Target{}, "spf.legacy good.test"},
		{"ptr", spfOf("mx ptr -all", nil), Target{}, "spf.ptr good.test"},
		{"an include of nobody", spfOf("mx include:gone.example -all", nil), Target{}, "spf.dangling good.test\nspf.invalid good.test"},
		{"an include behind a silent server", spfOf("mx include:slow.example -all", resolver.Static{"slow.example": {"FAIL timeout"}}), Target{},
			"spf.broad good.test ?\nspf.dangling good.test ?\nspf.huge good.test ?\nspf.invalid good.test ?\nspf.lookups good.test ?\nspf.wide good.test ?"},
		{"a network of 512 addresses", spfOf("mx ip4:203.0.112.0/23 -all", nil), Target{}, "spf.wide good.test"},
		{"a network twice is counted once", spfOf("mx ip4:203.0.113.0/25 ip4:203.0.113.0/25 ip4:203.0.113.64/26 -all", nil), Target{}, ""},
		{"a /16", spfOf("mx ip4:203.0.0.0/16 -all", nil), Target{}, "spf.huge good.test"},
		{"an include of its own counts as its own", spfOf("mx include:_spf.good.test -all", resolver.Static{"_spf.good.test": {"TXT v=spf1 ip4:203.0.0.0/16 -all"}}), Target{}, "spf.huge good.test"},
		{"eight look-ups", spfOf("mx a:mx.good.test a:mx.good.test a:mx.good.test a:mx.good.test a:mx.good.test a:mx.good.test a:mx.good.test -all", nil), Target{}, "spf.crowded good.test"},
		{"a long record", spfOf("mx "+strings.Repeat("ip4:203.0.113.251 ", 26)+"-all", nil), Target{}, "spf.length good.test"},
		{"www can be forged", good(resolver.Static{"www.good.test": {"A 203.0.113.80"}}), Target{}, "spf.names www.good.test"},
		{"a DMARC policy covers www", good(resolver.Static{"www.good.test": {"A 203.0.113.80"}, "_dmarc.good.test": {"TXT v=DMARC1; p=reject"}}), Target{}, ""},
		{"sp=none does not", good(resolver.Static{"www.good.test": {"A 203.0.113.80"}, "_dmarc.good.test": {"TXT v=DMARC1; p=reject; sp=none"}}), Target{}, "spf.names www.good.test"},
		{"declared to send only (S10)", good(resolver.Static{"good.test": {"A 203.0.113.25", "TXT v=spf1 a -all"}}), Target{SendOnly: true, HELO: "mx.good.test"}, ""},
		{"declared to send only, and it has exchangers", good(nil), Target{SendOnly: true}, "mx.send-only good.test"},
		{"parked", good(resolver.Static{"good.test": {"MX 0 .", "TXT v=spf1 -all"}}), Target{}, ""},
	} {
		t.Run(tc.what, func(t *testing.T) {
			tc.to.Domain = "good.test"
			r := run(t, tc.zone, tc.to)
			if got := strings.Join(outcomes(&r, "sender", "mx", "ptr", "helo", "spf"), "\n"); got != tc.want {
				t.Errorf("found\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// No area hides what another has: each is marked by its own worst fault.
func TestGrades(t *testing.T) {
	r := run(t, resolver.Static{
		"a.test": {"MX 10 mx.a.test", "TXT v=spf1 mx -all"}, "mx.a.test": {"A 203.0.113.1", "AAAA 2001:db8::1"},
	}, Target{Domain: "a.test"})
	got := map[Area]Mark{}
	for _, g := range r.Grades {
		got[g.Area] = g.Mark
	}
	if got[Identity] != Broken || got[Reachability] != Fair || got[Authentication] == Broken {
		t.Errorf("%v", got)
	}
	if worst, any := r.Worst(); !any || worst != finding.Critical || r.Findings[0].Check != finding.PTRMissing {
		t.Errorf("worst %v, first %v", worst, r.Findings[0])
	}
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}
