package audit

import (
	"strings"
	"testing"

	"posta/internal/finding"
)

// Each fault of a zone's servers is found as that server shows it, and a server that
// is silent is no fault.
func TestNameServers(t *testing.T) {
	w := newWorld(t, "servers.txtar")
	for domain, want := range map[string]string{
		"good.test":  "dnssec.none good.test",
		"list.test":  "dnssec.none list.test\nns.delegation list.test",
		"lame.test":  "dnssec.none lame.test\nns.lame ns4.lame.test (203.0.113.14)\nsoa.contact lame.test",
		"quiet.test": "dnssec.none quiet.test\nns.lame ns5.quiet.test (203.0.113.15) ?\nns.transport ns5.quiet.test (203.0.113.15) ?\nsoa.contact quiet.test",
		"apart.test": "dns.dangling mta-sts.apart.test\ndns.ttl apart.test MX\ndnssec.none apart.test\nns.disagree apart.test MX",
		"one.test":   "dnssec.none one.test\nns.single one.test",
		"udp.test":   "dnssec.none udp.test\nns.glue ns7.udp.test\nns.transport ns7.udp.test (203.0.113.99)",
	} {
		t.Run(domain, func(t *testing.T) {
			t.Parallel()
			r := Run(t.Context(), w.config(t), Target{Domain: domain})
			got := strings.Join(outcomes(&r, "ns", "soa", "dns", "dnssec"), "\n")
			// ns1 has an address of IPv6 where nobody answers.
			got = strings.NewReplacer("ns.lame ns1.good.test (2001:db8::11) ?\n", "", "ns.transport ns1.good.test (2001:db8::11) ?\n", "").Replace(got + "\n")
			if got = strings.TrimSpace(got); got != want {
				t.Errorf("found\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// What the servers say differently stands in the evidence, server by server.
func TestDisagreementIsShown(t *testing.T) {
	w := newWorld(t, "servers.txtar")
	r := Run(t.Context(), w.config(t), Target{Domain: "apart.test"})
	for _, f := range r.Findings {
		if f.Check == finding.NSDisagree && f.Outcome == finding.Fail {
			if s := f.String(); !strings.Contains(s, "ns1.good.test (198.51.100.11): MX 10 mx.good.test.") || !strings.Contains(s, "ns6.apart.test (203.0.113.16): MX 10 old.good.test.") {
				t.Error(s)
			}
			return
		}
	}
	t.Error("not found")
}

// S20: the first dot that is not escaped stands for the @.
func TestMailbox(t *testing.T) {
	for rname, want := range map[string]string{
		"hostmaster.example.org.":  "hostmaster@example.org",
		`first\.last.example.org.`: "first.last@example.org",
		`a\046b.example.org.`:      "a.b@example.org",
		"hostmaster@example.org.":  "error",
		`hostmaster\@example.org.`: "error",
		"hostmaster.":              "error",
		".":                        "error",
	} {
		got, err := mailbox(rname)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: %q %v, want %q", rname, got, err, want)
		}
	}
}
