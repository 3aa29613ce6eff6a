package helo

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"posta/internal/resolver"
)

// S1 to S7, with names as they are met: what a server that we would rather have let in says, and what bots and badly kept
// servers say.
func TestPractices(t *testing.T) {
	t.Parallel()
	zone := resolver.Static{
		"mail.example.org":                       {"A 192.0.2.1"},
		"mx1-out.pool.example.org":               {"A 192.0.2.1"},
		"mail-ej1-f41.google.com":                {"A 192.0.2.1", "AAAA 2001:db8::41"},
		"smtp.alias.example":                     {"CNAME mail.example.org"},
		"out.balanced.example":                   {"A 192.0.2.7", "A 192.0.2.8"},
		"ec2-198-51-100-7.compute.amazonaws.com": {"A 198.51.100.7"},
		"pc.corp":                                {"A 192.0.2.1"},
		"victim.example":                         {"A 198.51.100.1", "MX 1 victim.example"},
		"gateway.six.example":                    {"AAAA 2001:db8::9"},
		"empty.example":                          {"TXT x"},
	}
	for _, tc := range []struct {
		practice string
		f        Facts
		want     string // shape, existence, proof; private, claim
	}{
		{"S1: host.sub.domain.tld", Facts{Arg: "mail.example.org"}, "fqdn, exists, address"},
		{"S1: a name with words of pools", Facts{Arg: "mx1-out.pool.example.org"}, "fqdn, exists, address"},
		{"S1: a big provider", Facts{Arg: "mail-ej1-f41.google.com"}, "fqdn, exists, address"},
		{"S1: a container's id", Facts{Arg: "3f2a9c8b7d61"}, "single label, not asked, not applicable"},
		{"S1: a pod's name", Facts{Arg: "smtp-7d9f.default.svc.cluster.local"}, "fqdn, no such name, unproven; private"},
		{"S2: a desktop", Facts{Arg: "PC-SECRETARIA"}, "single label, not asked, not applicable"},
		{"S2: a desktop in a workgroup", Facts{Arg: "PC-SECRETARIA.WORKGROUP"}, "fqdn, no such name, unproven; private"},
		{"S2: localhost", Facts{Arg: "localhost"}, "single label, not asked, not applicable"},
		{"S2: localhost.localdomain", Facts{Arg: "localhost.localdomain"}, "fqdn, no such name, unproven; private"},
		{"S2: a name of the inside that our DNS knows", Facts{Arg: "pc.corp"}, "fqdn, exists, address; private"},
		{"S2: local is not a whole label", Facts{Arg: "mail.notlocal"}, "fqdn, no such name, unproven"},
		{"S3: a foreign literal", Facts{Arg: "[198.51.100.2]"}, "foreign address literal, not asked, unproven"},
		{"S3: an address without brackets", Facts{Arg: "192.0.2.1"}, "bare address, not asked, not applicable"},
		{"S4: the client's own literal", Facts{Arg: "[192.0.2.1]"}, "own address literal, not asked, address literal"},
		{"S4: a mail program behind NAT", Facts{Arg: "[192.168.1.5]"}, "foreign address literal, not asked, unproven"},
		{"S5: our name", Facts{Arg: "mx.posta.example"}, "fqdn, no such name, unproven; our host name"},
		{"S5: our address", Facts{Arg: "[203.0.113.25]"}, "foreign address literal, not asked, unproven; our address"},
		{"S5: our domain", Facts{Arg: "posta.example"}, "fqdn, no such name, unproven; our domain"},
		{"S5: only ends like ours", Facts{Arg: "notposta.example"}, "fqdn, no such name, unproven"},
		{"S6: it does not exist", Facts{Arg: "mail.nowhere.example"}, "fqdn, no such name, unproven"},
		{"S6: it has no address", Facts{Arg: "empty.example"}, "fqdn, no address, unproven"},
		{"S6: IPv6 only, from IPv4", Facts{Arg: "gateway.six.example", Confirmed: []string{"gateway.six.example"}}, "fqdn, exists, reverse DNS"},
		{"S6: an alias", Facts{Arg: "smtp.alias.example"}, "fqdn, exists, address; alias of mail.example.org"},
		{"S7: many hosts behind one name", Facts{Arg: "out.balanced.example", SPFPass: true}, "fqdn, exists, SPF"},
		{"S7: a victim's exchanger", Facts{Arg: "victim.example"}, "fqdn, exists, unproven"},
		{"S7: a rented host's default name", Facts{Arg: "ec2-198-51-100-7.compute.amazonaws.com"}, "fqdn, exists, unproven"},
	} {
		tc.f.Client, tc.f.Own = client, own
		res := Check(t.Context(), zone, tc.f)
		got := fmt.Sprintf("%v, %v, %v", res.Shape, res.Existence, res.Proof)
		if res.Private {
			got += "; private"
		}
		if res.Claim != ClaimsNothing {
			got += "; " + res.Claim.String()
		}
		if res.Alias != nil {
			got += "; alias of " + strings.Join(res.Alias, " ")
		}
		if got != tc.want {
			t.Errorf("%s: got %s (%v), want %s", tc.practice, got, res.Err, tc.want)
		}
	}
}

// S7: the name of an exchanger fits the sender, where nothing better is known.
func TestWithMX(t *testing.T) {
	t.Parallel()
	zone := resolver.Static{"mx.nat.example": {"A 198.51.100.1"}, "mail.example.org": {"A 192.0.2.1"}}
	for _, tc := range []struct{ arg, mx, want string }{
		{"mx.nat.example", "mx2.nat.example. MX.nat.example.", "MX of the sender"},
		{"mx.nat.example", "mx.other.example", "unproven"},
		{"mx.nat.example", "", "unproven"},
		{"mail.example.org", "mail.example.org", "address"},
		{"[198.51.100.1]", "[198.51.100.1]", "unproven"},
		{"localhost", "localhost", "not applicable"},
	} {
		res := Check(t.Context(), zone, Facts{Arg: tc.arg, Client: client, Own: own}).WithMX(strings.Fields(tc.mx))
		if res.Proof.String() != tc.want || res.Proof.Tied() != (tc.want == "address" || tc.want == "MX of the sender") {
			t.Errorf("%s with %s: %v", tc.arg, tc.mx, res.Proof)
		}
	}
}

// Proofs that were looked for beside Check give what they give before it.
func TestWithProof(t *testing.T) {
	t.Parallel()
	zone := resolver.Static{"mx.nat.example": {"A 198.51.100.1"}}
	for _, f := range []Facts{
		{Arg: "mx.nat.example", Confirmed: []string{"mx.nat.example"}},
		{Arg: "mx.nat.example", SPFPass: true},
		{Arg: "mx.nat.example", Unverified: true},
		{Arg: "mx.nat.example"},
		{Arg: "localhost", SPFPass: true},
	} {
		f.Client, f.Own = client, own
		beside := Check(t.Context(), zone, Facts{Arg: f.Arg, Client: client, Own: own}).WithProof(f)
		if before := Check(t.Context(), zone, f); beside.Proof != before.Proof {
			t.Errorf("%+v: %v, and %v before", f, beside.Proof, before.Proof)
		}
	}
}

// S8: the session of the guide, and servers that agree with themselves.
func TestMismatches(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		what string
		n    Names
		want string
	}{
		{"the guide's session", Names{HELO: "mail.maild.org", Banner: "smtp.midominio.es", EHLO: "smtp.maild.org"},
			"banner smtp.midominio.es / EHLO smtp.maild.org|banner smtp.midominio.es / HELO mail.maild.org|EHLO smtp.maild.org / HELO mail.maild.org"},
		{"all the same", Names{"mx.example.org", "MX.example.org.", "mx.example.org", []string{"mx.example.org."}, []string{"mx.example.org"}, []string{"mx.example.org"}}, ""},
		{"nothing known", Names{}, ""},
		{"one of two reverse names", Names{EHLO: "mx.example.org", PTR: []string{"web.example.org", "mx.example.org"}}, ""},
		{"another reverse name", Names{EHLO: "mx.example.org", PTR: []string{"host7.isp.example"}}, "EHLO mx.example.org / PTR host7.isp.example"},
		{"a wildcard certificate", Names{EHLO: "mx.example.org", MX: []string{"mx.example.org"}, Cert: []string{"*.example.org"}}, ""},
		{"a wildcard too high", Names{EHLO: "a.mx.example.org", Cert: []string{"*.example.org"}}, "EHLO a.mx.example.org / certificate *.example.org"},
		{"a certificate for one of two exchangers", Names{MX: []string{"mx1.example.org", "mx2.example.org"}, Cert: []string{"mx1.example.org"}}, "MX mx2.example.org / certificate mx1.example.org"},
		{"sends under another name", Names{Banner: "mx.example.org", EHLO: "mx.example.org", HELO: "out.example.org", PTR: []string{"out.example.org"}},
			"banner mx.example.org / HELO out.example.org"},
	} {
		var got []string
		for _, m := range tc.n.Mismatches() {
			got = append(got, m.Place+" "+m.Name+" / "+m.Other+" "+m.Others)
		}
		if s := strings.Join(got, "|"); s != tc.want {
			t.Errorf("%s: got %s, want %s", tc.what, s, tc.want)
		}
	}
}

// What a person reads.
func TestFacts(t *testing.T) {
	t.Parallel()
	zone := resolver.Static{"mx.example": {"A 192.0.2.9"}, "slow.lan": {"FAIL timeout"}}
	for arg, want := range map[string]string{
		"mx.example":     "HELO mx.example|shape fqdn|in DNS exists|addresses 192.0.2.9|tied to the client by nothing",
		"slow.lan":       "HELO slow.lan|shape fqdn|ends in a label that public DNS does not have|in DNS could not verify|tied to the client by could not verify|DNS …",
		"x\x00\xffy z":   "HELO x??y z|shape garbage|what is wrong space or control character",
		"[203.0.113.25]": "HELO [203.0.113.25]|shape foreign address literal|claims to be our address|tied to the client by nothing",
	} {
		res := Check(t.Context(), zone, Facts{Arg: arg, Client: netip.MustParseAddr("192.0.2.1"), Own: own})
		var got []string
		for i, facts := 0, res.Facts(); i < len(facts); i += 2 {
			if facts[i] == "DNS" {
				facts[i+1] = "…" // the resolver's words
			}
			got = append(got, facts[i]+" "+facts[i+1])
		}
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("%q: got %s\nwant %s", arg, s, want)
		}
	}
}
