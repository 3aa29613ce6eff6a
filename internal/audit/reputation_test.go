package audit

import (
	"strings"
	"testing"

	"posta/internal/finding"
	"posta/internal/resolver"
)

// A listing is a finding with its meaning; a list that does not work is none.
func TestReputation(t *testing.T) {
	house := func(extra resolver.Static) resolver.Static {
		z := resolver.Static{"good.es": {"MX 10 mx.good.es"}, "mx.good.es": {"A 203.0.113.25"}}
		for k, v := range extra {
			z[k] = v
		}
		return z
	}
	sound := resolver.Static{"2.0.0.127.psbl.surriel.com": {"A 127.0.0.2"}, "test.dbl.spamhaus.org": {"A 127.0.1.2"}}
	with := func(extra resolver.Static) resolver.Static {
		z := house(sound)
		for k, v := range extra {
			z[k] = v
		}
		return z
	}
	for _, tc := range []struct {
		what string
		zone resolver.Static
		want string
	}{
		{"in no list", with(nil), ""},
		{"no list answers", house(nil), "dnsbl.domain good.es ?\ndnsbl.listed 203.0.113.25 ?"},
		{"the address", with(resolver.Static{"25.113.0.203.psbl.surriel.com": {"A 127.0.0.2", "TXT trap"}}), "dnsbl.listed 203.0.113.25"},
		{"the domain", with(resolver.Static{"good.es.dbl.spamhaus.org": {"A 127.0.1.4"}}), "dnsbl.domain good.es"},
		{"a list that lists everything", with(resolver.Static{"1.0.0.127.psbl.surriel.com": {"A 127.0.0.2"}, "25.113.0.203.psbl.surriel.com": {"A 127.0.0.2"}}), "dnsbl.listed 203.0.113.25 ?"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			r := run(t, tc.zone, Target{Domain: "good.es"})
			if got := strings.Join(outcomes(&r, "dnsbl"), "\n"); got != tc.want {
				t.Errorf("found\n%s\nwant\n%s", got, tc.want)
			}
			for _, f := range r.Findings {
				if f.Check == finding.DNSBLListed && f.Outcome == finding.Fail && (f.Evidence[2].Seen != "sent to a spam trap" || f.Evidence[3].Seen != "trap") {
					t.Errorf("evidence %+v", f.Evidence)
				}
			}
		})
	}
}
