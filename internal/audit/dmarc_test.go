package audit

import (
	"strings"
	"testing"

	"posta/internal/resolver"
)

// Each fault of a DMARC record is found, and only it.
func TestDMARC(t *testing.T) {
	const good = "TXT v=DMARC1; p=quarantine; rua=mailto:dmarc@good.test"
	for _, tc := range []struct {
		what string
		zone resolver.Static
		want string
	}{
		{"good", resolver.Static{"_dmarc.good.test": {good}}, ""},
		{"none at all", nil, "dmarc.missing good.test"},
		{"DNS is silent", resolver.Static{"_dmarc.good.test": {"FAIL timeout"}}, "dmarc.invalid good.test ?\ndmarc.missing good.test ?\ndmarc.none good.test ?"},
		{"two records", resolver.Static{"_dmarc.good.test": {good, good + "; aspf=s"}}, "dmarc.invalid good.test"},
		{"at the domain itself (S25: no final dot does the like)", resolver.Static{"good.test": {"MX 10 mx.good.test", good}}, "dmarc.misplaced good.test\ndmarc.missing good.test"},
		{"doubled by a missing final dot", resolver.Static{"_dmarc.good.test.good.test": {good}}, "dmarc.misplaced good.test\ndmarc.missing good.test"},
		{"p=none", resolver.Static{"_dmarc.good.test": {"TXT v=DMARC1; p=none; rua=mailto:dmarc@good.test"}}, "dmarc.none good.test"},
		{"the guide's record (S52)", resolver.Static{"_dmarc.good.test": {"TXT v=DMARC1; p=quarantine; adkim=s; aspf=s; sp=none"}}, "dmarc.reports good.test\ndmarc.subdomains good.test"},
		{"subdomains that do not exist", resolver.Static{"_dmarc.good.test": {"TXT v=DMARC1; p=reject; np=none; rua=mailto:dmarc@good.test"}}, "dmarc.people good.test\ndmarc.subdomains good.test"},
		{"in test, with tags of old", resolver.Static{"_dmarc.good.test": {good + "; t=y; pct=50; ri=86400"}}, "dmarc.removed good.test\ndmarc.testing good.test"},
		{"three addresses, and ruf", resolver.Static{"_dmarc.good.test": {good + ",mailto:b@good.test,mailto:c@good.test; ruf=mailto:f@good.test"}}, "dmarc.addresses good.test\ndmarc.failures good.test"},
		{"a receiver that has not agreed", resolver.Static{"_dmarc.good.test": {"TXT v=DMARC1; p=quarantine; rua=mailto:a@reports.example"}, "reports.example": {"MX 10 mx.good.test"}}, "dmarc.receiver reports.example"},
		{"one that has", resolver.Static{"_dmarc.good.test": {"TXT v=DMARC1; p=quarantine; rua=mailto:a@reports.example"}, "reports.example": {"MX 10 mx.good.test"}, "good.test._report._dmarc.reports.example": {"TXT v=DMARC1"}}, ""},
		{"one that has for all", resolver.Static{"_dmarc.good.test": {"TXT v=DMARC1; p=quarantine; rua=mailto:a@reports.example"}, "reports.example": {"MX 10 mx.good.test"}, "*._report._dmarc.reports.example": {"TXT v=DMARC1"}}, ""},
		{"one whose DNS is silent", resolver.Static{"_dmarc.good.test": {"TXT v=DMARC1; p=quarantine; rua=mailto:a@reports.example"}, "reports.example": {"MX 10 mx.good.test"}, "good.test._report._dmarc.reports.example": {"FAIL timeout"}}, "dmarc.receiver reports.example ?"},
		{"a receiver that takes no mail", resolver.Static{"_dmarc.good.test": {"TXT v=DMARC1; p=quarantine; rua=mailto:a@sub.good.test"}, "sub.good.test": {"MX 0 ."}}, "dmarc.unreachable sub.good.test"},
		{"one that does not exist", resolver.Static{"_dmarc.good.test": {"TXT v=DMARC1; p=quarantine; rua=mailto:a@no.good.test"}}, "dmarc.unreachable no.good.test"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			z := resolver.Static{"good.test": {"MX 10 mx.good.test"}, "mx.good.test": {"A 203.0.113.25"}}
			for k, v := range tc.zone {
				z[k] = v
			}
			r := run(t, z, Target{Domain: "good.test"})
			if got := strings.Join(outcomes(&r, "dmarc"), "\n"); got != tc.want {
				t.Errorf("found\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// A subdomain is held by the record of its organisation, and a parked domain needs no reports.
func TestDMARCOfOthers(t *testing.T) {
	z := resolver.Static{
		"good.test": {"MX 10 mx.good.test"}, "mx.good.test": {"A 203.0.113.25"}, "_dmarc.good.test": {"TXT v=DMARC1; p=reject; sp=none; rua=mailto:d@good.test"},
		"tienda.good.test": {"MX 10 mx.good.test"},
		"parked.test":      {"MX 0 ."}, "_dmarc.parked.test": {"TXT v=DMARC1; p=reject; np=reject"},
	}
	for domain, want := range map[string]string{
		"tienda.good.test": "dmarc.none tienda.good.test",
		"parked.test":      "",
	} {
		r := run(t, z, Target{Domain: domain})
		if got := strings.Join(outcomes(&r, "dmarc"), "\n"); got != want {
			t.Errorf("%s: found\n%s\nwant\n%s", domain, got, want)
		}
	}
}
