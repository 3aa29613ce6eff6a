package policy

import (
	"posta/internal/finding"
	"posta/internal/mail"
)

// Steps by short names, so that the table below reads as a table.
var (
	fine   = Step{}
	junk   = Step{Action: mail.Junk}
	hold   = Step{Action: mail.Quarantine}
	later  = Step{Action: mail.Defer}
	refuse = Step{Action: mail.Reject}
	asks   = Step{Published: true}
)

func mark(keyword string) Step { return Step{Mark: keyword} }

// row is a check whose unverified outcome has no consequence.
func row(id finding.ID, lenient, strict, paranoid, guia Step) Rule {
	return Rule{Check: id, Strangers: [4]Step{lenient, strict, paranoid, guia}}
}

// rules is the table of what follows from a failed check, in order of weight.
// The defaults for SPF are those of the guide (S33): fail is refused, softfail
// is accepted and marked, an invalid record is accepted and marked, and a
// look-up that failed is accepted by the lenient and put off by the strict.
var rules = [...]Rule{
	//                        lenient                strict                 paranoid  guia
	everyone(row(finding.LoopHops, refuse, refuse, refuse, refuse)),
	row(finding.HELOSelf, refuse, refuse, refuse, refuse),
	row(finding.DNSBLListed, refuse, refuse, refuse, refuse),
	row(finding.SenderDomain, refuse, refuse, refuse, refuse),
	row(finding.MXNull, refuse, refuse, refuse, refuse),
	{
		Check:      finding.SPFFail,
		Strangers:  [4]Step{refuse, refuse, refuse, refuse},
		Unverified: [4]Step{fine, later, later, fine},
	},
	row(finding.DMARCFail, asks, asks, asks, asks),
	row(finding.HELOFQDN, junk, refuse, refuse, refuse),
	row(finding.HELOLiteral, junk, refuse, refuse, refuse),
	row(finding.PTRMissing, junk, refuse, refuse, refuse),
	row(finding.PTRMismatch, fine, junk, refuse, refuse),
	row(finding.PTRGeneric, fine, junk, refuse, junk),
	row(finding.HELOUnknown, fine, junk, refuse, refuse),
	row(finding.SenderMX, fine, junk, refuse, refuse),
	row(finding.FromMultiple, junk, refuse, refuse, junk),
	row(finding.FromMissing, junk, refuse, refuse, junk),
	row(finding.EarlyTalker, fine, junk, refuse, fine),
	row(finding.SPFSoftFail, mark("$SPFSoftFail"), mark("$SPFSoftFail"), junk, mark("$SPFSoftFail")),
	row(finding.SPFInvalid, mark("$SPFInvalid"), mark("$SPFInvalid"), junk, mark("$SPFInvalid")),
	row(finding.SPFMissing, fine, fine, junk, hold),
	row(finding.DKIMFail, fine, fine, junk, fine),
	row(finding.DKIMMissing, fine, fine, junk, hold),
	row(finding.DMARCMissing, fine, fine, junk, hold),
	row(finding.DMARCInvalid, fine, fine, junk, fine),
	row(finding.HELOMismatch, fine, fine, junk, fine),
}

func everyone(r Rule) Rule {
	r.Everyone = true
	return r
}
