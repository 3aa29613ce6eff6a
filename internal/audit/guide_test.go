package audit

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"posta/internal/finding"
)

// S25: the example zone of the guide, with its PTR only in prose. What an audit of the
// zone, of SPF and of the addresses must find.
func TestGuideZone(t *testing.T) {
	w := newWorld(t, "guide.txtar")
	r := Run(t.Context(), w.config(t), Target{Domain: "empresa.net", IPs: addrs("203.0.113.80"), HELO: "smtp.empresa.net"})
	got := outcomes(&r, "mx", "spf", "ptr", "helo", "dns", "ns", "soa", "sender", "dmarc", "dkim", "auto")
	want := []string{
		"auto.config empresa.net ?",                // nobody serves the web here
		"auto.door _imaps._tcp.empresa.net",        // 995 is of POP3
		"auto.door _submission._tcp.empresa.net",   // 25 is between servers
		"auto.srv empresa.net",                     // _imap.tcp has no underscore
		"auto.target _imaps._tcp.empresa.net",      // neither name
		"auto.target _submission._tcp.empresa.net", // has an address
		"dkim.weak default._domainkey.empresa.net", // RSA of 1024 bits
		"dmarc.misplaced empresa.net",              // where the dot is missing
		"dmarc.missing empresa.net",
		"dns.dot empresa.net",                          // _dmarc.empresa.net without its final dot
		"helo.unknown smtp.empresa.net (203.0.113.80)", // no A for smtp
		"mx.dangling smtp.empresa.net",                 // the MX leads nowhere
		"ns.ipv6 empresa.net",                          //
		"ptr.missing 203.0.113.80",                     // only in prose
		"spf.empty empresa.net",                        // a:smtp.empresa.net has no address
		"spf.fail 203.0.113.80",                        // so it refuses all own mail
	}
	if !slices.Equal(got, want) {
		t.Errorf("found\n%q\nwant\n%q", got, want)
	}
	for _, f := range r.Findings {
		if facts, ok := guideEvidence()[string(f.Check)+" "+f.Subject]; ok && f.Outcome == finding.Fail && !strings.Contains(fmt.Sprint(f.Evidence), facts) {
			t.Errorf("%s: %v has no %q", f.Check, f.Evidence, facts)
		}
	}
	if worst, _ := r.Worst(); worst.String() != "critical" {
		t.Errorf("worst %v", worst)
	}
}

// guideEvidence is what some findings of the zone must show.
func guideEvidence() map[string]string {
	return map[string]string{
		"dkim.weak default._domainkey.empresa.net": "1024 bits", "auto.srv empresa.net": "_imap.tcp.empresa.net",
		"auto.door _imaps._tcp.empresa.net": "pop3s", "auto.door _submission._tcp.empresa.net": "between servers",
	}
}

// With the final dot mended, what the DMARC record itself lacks: rua, and sp=none.
func TestGuideZoneWithItsDot(t *testing.T) {
	b, err := os.ReadFile("testdata/guide.txtar")
	if err != nil {
		t.Fatal(err)
	}
	w := worldOf(t, []byte(strings.ReplaceAll(string(b), "_dmarc.empresa.net TXT", "_dmarc.empresa.net. TXT")))
	r := Run(t.Context(), w.config(t), Target{Domain: "empresa.net"})
	if got, want := outcomes(&r, "dmarc", "dns"), []string{"dmarc.reports empresa.net", "dmarc.subdomains empresa.net"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
