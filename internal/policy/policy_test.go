package policy

import (
	"testing"

	"posta/internal/finding"
	"posta/internal/mail"
)

func set(fs ...finding.Finding) *finding.Set {
	var s finding.Set
	for _, f := range fs {
		s.Add(f)
	}
	return &s
}

func failed(id finding.ID) finding.Finding     { return finding.Of(id, finding.Fail, "") }
func unverified(id finding.ID) finding.Finding { return finding.Of(id, finding.Unverified, "") }

func TestFold(t *testing.T) {
	for _, c := range []struct {
		name string
		set  *finding.Set
		f    Facts
		want mail.Verdict
	}{
		{"nothing found", set(), Facts{}, mail.Verdict{}},
		{"S33: SPF fail is refused", set(failed(finding.SPFFail)), Facts{}, mail.Verdict{Action: mail.Reject, Check: "spf.fail"}},
		{"S33: softfail is accepted and marked", set(failed(finding.SPFSoftFail)), Facts{Level: Strict}, mail.Verdict{Label: "$SPFSoftFail"}},
		{"S33: a permanent error is accepted and marked", set(failed(finding.SPFInvalid)), Facts{}, mail.Verdict{Label: "$SPFInvalid"}},
		{"S33: a temporary error is accepted by the lenient", set(unverified(finding.SPFFail)), Facts{}, mail.Verdict{}},
		{"S33: a temporary error is put off by the strict", set(unverified(finding.SPFFail)), Facts{Level: Strict}, mail.Verdict{Action: mail.Defer, Check: "spf.fail"}},
		{"S2: PC-SECRETARIA is junked by the lenient", set(failed(finding.HELOFQDN), failed(finding.PTRMissing)), Facts{}, mail.Verdict{Action: mail.Junk, Check: "helo.fqdn"}},
		{"S2: PC-SECRETARIA is refused by the strict", set(failed(finding.HELOFQDN)), Facts{Level: Strict}, mail.Verdict{Action: mail.Reject, Check: "helo.fqdn"}},
		{"S4: never for our own users", set(failed(finding.HELOLiteral)), Facts{Class: mail.Authenticated, Level: Paranoid}, mail.Verdict{}},
		{"S5: our own name is refused at every level", set(failed(finding.HELOSelf)), Facts{}, mail.Verdict{Action: mail.Reject, Check: "helo.self"}},
		{"S44: DMARC does what the record asks", set(failed(finding.DMARCFail)), Facts{DMARC: mail.Reject}, mail.Verdict{Action: mail.Reject, Check: "dmarc.fail"}},
		{"DMARC p=none does nothing", set(failed(finding.DMARCFail)), Facts{DMARC: mail.Accept}, mail.Verdict{}},
		{"S53: postmaster@ stays open", set(failed(finding.DNSBLListed)), Facts{Postmaster: true}, mail.Verdict{Action: mail.Accept, Check: "dnsbl.listed"}},
		{"a loop is refused for everybody", set(failed(finding.LoopHops)), Facts{Class: mail.Authenticated}, mail.Verdict{Action: mail.Reject, Check: "loop.hops"}},
		{"the hardest wins", set(failed(finding.PTRMissing), failed(finding.SPFFail)), Facts{}, mail.Verdict{Action: mail.Reject, Check: "spf.fail"}},
	} {
		if got := Fold(c.set, c.f); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

// A look-up that failed never refuses for good, and every row names a check.
func TestTable(t *testing.T) {
	for _, r := range Rules() {
		if _, ok := finding.Lookup(r.Check); !ok {
			t.Errorf("%s is not in the catalogue", r.Check)
		}
		for l, s := range r.Unverified {
			if s.Action == mail.Reject || s.Action == mail.Discard {
				t.Errorf("%s at %s: unverified must not be %s", r.Check, Level(l), s.Action)
			}
		}
	}
}
