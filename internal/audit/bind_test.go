package audit

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"posta/internal/authority"
	"posta/internal/bindtest"
	"posta/internal/finding"
	"posta/internal/resolver"
)

const signedZone = `$TTL 3600
@    SOA ns1 hostmaster 1 3600 600 86400 300
@    NS  ns1
ns1  A   203.0.113.53
@    MX  10 mx
mx   A   203.0.113.25
@    TXT "v=spf1 mx -all"
`

// A zone that Debian's BIND serves, signed by its tools, is judged as BIND's own
// validating client judges it: valid, over, and forged after it was signed.
func TestSignedZonesOfBIND(t *testing.T) {
	now := time.Now()
	month := now.AddDate(0, 0, 20)
	for _, c := range []struct {
		what   string
		until  time.Time
		forge  func(string) string
		bogus  finding.Outcome
		reason string // in the evidence
		delv   string // what delv says too
	}{
		{"valid", month, nil, finding.Pass, "", "; fully validated"},
		{"ends tomorrow", now.AddDate(0, 0, 1), nil, finding.Pass, "", "; fully validated"},
		{"over", now.AddDate(0, 0, -1), nil, finding.Fail, "is valid from", "RRSIG has expired"},
		{"forged", month, func(s string) string { return strings.Replace(s, "MX\t10 mx.", "MX\t10 otro.", 1) }, finding.Fail, "MX: dns: bad signature", "no valid signature found"},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := bindtest.StartSigned(t, "empresa.test", signedZone, c.until, c.forge)
			r := Run(t.Context(), bindConfig(b), Target{Domain: "empresa.test"})
			for id, want := range map[finding.ID]finding.Outcome{
				finding.DNSSECNone: finding.Pass, finding.DNSSECBogus: c.bogus, finding.NSLame: finding.Pass, finding.NSTransport: finding.Pass, finding.NSDisagree: finding.Pass,
			} {
				f := findingOf(t, &r, id)
				if f.Outcome != want {
					t.Errorf("%s: %v, want %v: %v", id, f.Outcome, want, f.Evidence)
				}
				if id == finding.DNSSECBogus && c.reason != "" && !strings.Contains(evidenceOf(f), c.reason) {
					t.Errorf("%s: %v says nothing of %q", id, f.Evidence, c.reason)
				}
			}
			if c.bogus == finding.Pass {
				expiring := findingOf(t, &r, finding.DNSSECExpiring)
				if (expiring.Outcome == finding.Fail) != c.until.Before(now.Add(soon)) {
					t.Errorf("expiring: %v: %v", expiring.Outcome, expiring.Evidence)
				}
			}
			got := b.Delv(t, "empresa.test", "MX")
			if !strings.Contains(got, c.delv) || strings.Contains(got, "; fully validated") != (c.bogus == finding.Pass) {
				t.Errorf("delv: %q, want %q", got, c.delv)
			}
		})
	}
}

// bindConfig leads the name server's address to BIND, and nothing else anywhere. The
// parent, which BIND does not have, is the resolver's.
func bindConfig(b *bindtest.Signed) Config {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != "203.0.113.53:53" {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
		}
		return new(net.Dialer).DialContext(ctx, network, b.At.String())
	}
	apex := []string{"SECURE", "NS ns1.empresa.test", "MX 10 mx.empresa.test", "TXT v=spf1 mx -all", "SOA ns1.empresa.test. hostmaster.empresa.test. 1 3600 600 86400 300"}
	for _, ds := range b.DS {
		apex = append(apex, "DS "+ds)
	}
	dns := resolver.Static{
		"test": {"NS ns.nic.test"}, "ns.nic.test": {"A 203.0.113.1"}, "empresa.test": apex,
		"ns1.empresa.test": {"A 203.0.113.53"}, "mx.empresa.test": {"A 203.0.113.25"},
	}
	return Config{Resolver: dns, Authority: authority.New(dns, authority.Config{Dial: dial}), Dial: noDoors}
}

func findingOf(t *testing.T, r *Report, id finding.ID) *finding.Finding {
	t.Helper()
	for i := range r.Findings {
		if r.Findings[i].Check == id {
			return &r.Findings[i]
		}
	}
	t.Fatalf("no finding %s", id)
	return nil
}

func evidenceOf(f *finding.Finding) string {
	var b strings.Builder
	for _, e := range f.Evidence {
		b.WriteString(e.What + ": " + e.Seen + "\n")
	}
	return b.String()
}
