package policy

import (
	"testing"

	"posta/internal/addr"
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
	big := Facts{Class: mail.BigProvider}
	for _, c := range []struct {
		name  string
		level Level
		set   *finding.Set
		f     Facts
		want  mail.Verdict
	}{
		{"nothing found", Lenient, set(), Facts{}, mail.Verdict{}},
		{"S33: SPF fail is refused", Lenient, set(failed(finding.SPFFail)), Facts{}, mail.Verdict{Action: mail.Reject, Check: "spf.fail"}},
		{"S33: softfail is accepted and marked", Strict, set(failed(finding.SPFSoftFail)), Facts{}, mail.Verdict{Label: "$SPFSoftFail"}},
		{"S33: a permanent error is accepted and marked", Lenient, set(failed(finding.SPFInvalid)), Facts{}, mail.Verdict{Label: "$SPFInvalid"}},
		{"S33: a temporary error is accepted by the lenient", Lenient, set(unverified(finding.SPFFail)), Facts{}, mail.Verdict{}},
		{"S33: a temporary error is put off by the strict", Strict, set(unverified(finding.SPFFail)), Facts{}, mail.Verdict{Action: mail.Defer, Check: "spf.fail"}},
		{"S2: PC-SECRETARIA is junked by the lenient", Lenient, set(failed(finding.HELOFQDN), failed(finding.PTRMissing)), Facts{}, mail.Verdict{Action: mail.Junk, Check: "helo.fqdn"}},
		{"S2: PC-SECRETARIA is refused by the strict", Strict, set(failed(finding.HELOFQDN)), Facts{}, mail.Verdict{Action: mail.Reject, Check: "helo.fqdn"}},
		{"S4: never for our own users", Paranoid, set(failed(finding.HELOLiteral)), Facts{Class: mail.Authenticated}, mail.Verdict{}},
		{"S5: our own name is refused at every level", Lenient, set(failed(finding.HELOSelf)), Facts{}, mail.Verdict{Action: mail.Reject, Check: "helo.self"}},
		{"S44: DMARC does what the record asks", Lenient, set(failed(finding.DMARCFail)), Facts{DMARC: mail.Reject}, mail.Verdict{Action: mail.Reject, Check: "dmarc.fail"}},
		{"DMARC p=none does nothing", Lenient, set(failed(finding.DMARCFail)), Facts{DMARC: mail.Accept}, mail.Verdict{}},
		{"S53: postmaster@ stays open", Lenient, set(failed(finding.DNSBLListed)), Facts{Postmaster: true}, mail.Verdict{Action: mail.Accept, Check: "dnsbl.listed"}},
		{"a virus is refused even to postmaster@", Lenient, set(failed(finding.ScanVirus)), Facts{Postmaster: true}, mail.Verdict{Action: mail.Reject, Check: "scan.virus"}},
		{"S53: no filter closes postmaster@", Lenient, set(failed(finding.ScanRefused)), Facts{Postmaster: true, Filter: mail.Reject}, mail.Verdict{Action: mail.Accept, Check: "scan.refused"}},
		{"a filter's refusal holds for everybody", Lenient, set(failed(finding.ScanRefused)), Facts{Class: mail.Authenticated, Filter: mail.Reject}, mail.Verdict{Action: mail.Reject, Check: "scan.refused"}},
		{"a filter that puts off does not refuse", Lenient, set(failed(finding.ScanRefused)), Facts{Filter: mail.Defer}, mail.Verdict{Action: mail.Defer, Check: "scan.refused"}},
		{"a scanner's wish to greylist is heard", Lenient, set(), Facts{Greylist: true}, mail.Verdict{Greylist: "scan.refused"}},
		{"and of a big provider", Lenient, set(failed(finding.SPFSoftFail)), Facts{Class: mail.BigProvider, Greylist: true}, mail.Verdict{Label: "$SPFSoftFail", Greylist: "scan.refused"}},
		{"not of our own network", Paranoid, set(), Facts{Class: mail.LocalNetwork, Greylist: true}, mail.Verdict{}},
		{"not for postmaster@", Lenient, set(), Facts{Postmaster: true, Greylist: true}, mail.Verdict{}},
		{"not for a friend", Lenient, set(), Facts{Friend: true, Greylist: true}, mail.Verdict{}},
		{"one who is refused anyhow need not come again", Lenient, set(failed(finding.SPFFail)), Facts{Greylist: true}, mail.Verdict{Action: mail.Reject, Check: "spf.fail"}},
		{"what a filter holds others may refuse", Lenient, set(failed(finding.ScanRefused), failed(finding.SPFFail)), Facts{Filter: mail.Quarantine}, mail.Verdict{Action: mail.Reject, Check: "spf.fail"}},
		{"a scanner that is down puts off", Lenient, set(failed(finding.ScanDown)), Facts{Class: mail.LocalNetwork}, mail.Verdict{Action: mail.Defer, Check: "scan.down"}},
		{"unless it is set to let pass", Strict, set(unverified(finding.ScanDown)), Facts{}, mail.Verdict{}},
		{"a loop is refused for everybody", Lenient, set(failed(finding.LoopHops)), Facts{Class: mail.Authenticated}, mail.Verdict{Action: mail.Reject, Check: "loop.hops"}},
		{"the hardest wins", Strict, set(failed(finding.PTRMissing), failed(finding.SPFFail)), Facts{}, mail.Verdict{Action: mail.Reject, Check: "spf.fail"}},
		{"S55: strict greylists what is only untidy", Strict, set(failed(finding.PTRGeneric)), Facts{}, mail.Verdict{Greylist: "ptr.generic"}},
		{"one who is refused is not greylisted", Strict, set(failed(finding.PTRGeneric), failed(finding.SPFFail)), Facts{}, mail.Verdict{Action: mail.Reject, Check: "spf.fail"}},
		{"a friend is not greylisted", Strict, set(failed(finding.PTRGeneric)), Facts{Friend: true}, mail.Verdict{}},
		{"S56: the guides hold a big provider's unsigned mail", Guia, set(failed(finding.DKIMMissing)), big, mail.Verdict{Action: mail.Quarantine, Check: "dkim.missing"}},
		{"S56: and one without SPF", Guia, set(failed(finding.SPFMissing)), big, mail.Verdict{Action: mail.Quarantine, Check: "spf.missing"}},
		{"S57: a server of one's own needs a PTR", Guia, set(failed(finding.PTRMissing)), Facts{}, mail.Verdict{Action: mail.Reject, Check: "ptr.missing"}},
		{"S57: a big provider does not", Guia, set(failed(finding.PTRMissing)), big, mail.Verdict{}},
		{"S58: unsigned mail is held by the paranoid too", Paranoid, set(failed(finding.DMARCMissing)), Facts{}, mail.Verdict{Action: mail.Quarantine, Check: "dmarc.missing"}},
	} {
		p := &Policy{Changes: Changes{Level: c.level}}
		if got := p.Fold(c.set, c.f); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

// An exception holds for its recipients only: an address before its domain, its own
// steps before the policy's, a level of its own before both.
func TestExceptions(t *testing.T) {
	p, err := Parse(`
level = "strict"
[rules]
"ptr.missing" = "junk"
[[exception]]
for = ["@filial.test"]
level = "lenient"
[[exception]]
for = ["ventas@filial.test", "Ana@Empresa.test"]
rules = { "ptr.missing" = "accept" }
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		to   string
		fail finding.ID
		want mail.Action
	}{
		{"luis@empresa.test", finding.PTRMissing, mail.Junk},
		{"ana@empresa.test", finding.PTRMissing, mail.Accept},
		{"ana@empresa.test", finding.HELOFQDN, mail.Reject},
		{"otro@filial.test", finding.HELOFQDN, mail.Junk},
		{"ventas@filial.test", finding.PTRMissing, mail.Accept},
		{"ventas@filial.test", finding.HELOFQDN, mail.Reject},
	} {
		a, err := addr.ParseAddress(c.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Fold(set(failed(c.fail)), Facts{Recipient: a}); got.Action != c.want {
			t.Errorf("%s to %s: %s, want %s", c.fail, c.to, got.Action, c.want)
		}
	}
}

// A look-up that failed never refuses for good, no row stands twice, every row names
// a check, and strict refuses no more than paranoid.
func TestTable(t *testing.T) {
	seen := map[finding.ID]bool{}
	for _, r := range Rules() {
		if _, ok := finding.Lookup(r.Check); !ok {
			t.Errorf("%s is not in the catalogue", r.Check)
		}
		if seen[r.Check] {
			t.Errorf("%s has two rows", r.Check)
		}
		seen[r.Check] = true
		for l, s := range r.Unverified {
			if s.Action == mail.Reject || s.Action == mail.Discard {
				t.Errorf("%s at %s: unverified must not be %s", r.Check, Level(l), s.Action)
			}
		}
		for class, steps := range r.Steps {
			if steps[Lenient].Action > steps[Strict].Action || steps[Strict].Action > steps[Paranoid].Action {
				t.Errorf("%s for %s grows milder with the level: %v", r.Check, mail.Class(class), steps)
			}
		}
	}
}

// Over SMTP one reply is for all: who accepts gets the message, the others have it
// held, and nobody's bounce is made.
func TestSettle(t *testing.T) {
	vs := []mail.Verdict{{Action: mail.Reject}, {Action: mail.Junk}, {Action: mail.Defer}}
	Settle(vs)
	if vs[0].Action != mail.Quarantine || vs[1].Action != mail.Junk || vs[2].Action != mail.Quarantine {
		t.Errorf("some accept: %v", vs)
	}
	vs = []mail.Verdict{{Action: mail.Reject}, {Action: mail.Defer}}
	Settle(vs)
	if vs[0].Action != mail.Reject || vs[1].Action != mail.Defer {
		t.Errorf("none accepts: %v", vs)
	}
}
