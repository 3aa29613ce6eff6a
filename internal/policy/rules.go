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
	grey   = Step{Greylist: true}
)

func mark(keyword string) Step { return Step{Mark: keyword} }

// row is a check whose unverified outcome has no consequence.
func row(id finding.ID, lenient, strict, paranoid, guia Step) Rule {
	steps := [4]Step{lenient, strict, paranoid, guia}
	return Rule{Check: id, Steps: [strangers][4]Step{mail.OwnServer: steps, mail.BigProvider: steps}}
}

// big gives the row other values for the big providers.
func (r Rule) big(lenient, strict, paranoid, guia Step) Rule {
	r.Steps[mail.BigProvider] = [4]Step{lenient, strict, paranoid, guia}
	return r
}

// unverified says what follows when the check could not be verified.
func (r Rule) unverified(lenient, strict, paranoid, guia Step) Rule {
	r.Unverified = [4]Step{lenient, strict, paranoid, guia}
	return r
}

// everyone applies the row to our own people too.
func (r Rule) everyone() Rule {
	r.Everyone = true
	return r
}

// rules is the table of what follows from a failed check, in order of weight. The
// defaults for SPF are those of the guide (S33): fail is refused, softfail is
// accepted and marked, an invalid record is accepted and marked, and a look-up that
// failed is accepted by the lenient and put off by the strict. What has no row, or
// "fine" in it, follows from nothing by itself: it counts in the score of
// spam.score.
var rules = [...]Rule{
	//                        lenient  strict  paranoid  guia
	row(finding.LoopHops, refuse, refuse, refuse, refuse).everyone(),
	row(finding.ScanVirus, refuse, refuse, refuse, refuse).everyone(),
	row(finding.ScanRefused, refuse, refuse, refuse, refuse).everyone(),
	row(finding.ScanDown, later, later, later, later).everyone(),
	row(finding.RateClient, later, later, later, later),
	row(finding.RateSender, later, later, later, later),
	row(finding.RateRcpt, later, later, later, later),

	row(finding.HELOSelf, refuse, refuse, refuse, refuse),
	row(finding.DNSBLListed, refuse, refuse, refuse, refuse),
	row(finding.DNSBLHELO, junk, refuse, refuse, refuse),
	row(finding.DNSBLDomain, junk, refuse, refuse, refuse),
	row(finding.DNSBLBody, fine, junk, refuse, junk),

	row(finding.SenderDomain, refuse, refuse, refuse, refuse),
	row(finding.MXNull, refuse, refuse, refuse, refuse),
	row(finding.SPFFail, refuse, refuse, refuse, refuse).unverified(fine, later, later, fine),
	row(finding.DMARCFail, asks, asks, asks, asks),
	row(finding.HELOFQDN, junk, refuse, refuse, refuse),
	row(finding.HELOLiteral, junk, refuse, refuse, refuse),
	row(finding.PTRMissing, junk, refuse, refuse, refuse).big(fine, junk, refuse, fine),
	row(finding.FromMultiple, junk, refuse, refuse, refuse),
	row(finding.FromMissing, junk, refuse, refuse, refuse),

	row(finding.SenderMX, fine, grey, refuse, refuse).big(fine, grey, refuse, hold),
	row(finding.MXAddress, fine, grey, refuse, refuse),
	row(finding.MXPrivate, fine, grey, refuse, grey),
	row(finding.MXDangling, fine, grey, refuse, grey),
	row(finding.PTRMismatch, fine, grey, refuse, refuse).big(fine, fine, junk, fine),
	row(finding.PTRGeneric, fine, grey, refuse, junk),
	row(finding.HELOUnknown, fine, grey, refuse, refuse),
	row(finding.EarlyTalker, fine, junk, refuse, junk),
	row(finding.ReputationBad, fine, grey, junk, grey),
	row(finding.HELOMismatch, fine, fine, junk, fine),

	row(finding.ContentExecutable, junk, hold, refuse, hold),
	row(finding.ContentArchive, junk, hold, hold, hold),
	row(finding.ContentMacro, fine, junk, hold, junk),
	row(finding.ContentName, junk, junk, hold, junk),
	row(finding.ContentEncrypted, fine, mark("$Encrypted"), hold, mark("$Encrypted")),
	row(finding.URLCredential, fine, junk, junk, junk),
	row(finding.SpamHigh, junk, junk, refuse, junk),
	row(finding.SpamScore, junk, junk, junk, junk),

	row(finding.SPFSoftFail, mark("$SPFSoftFail"), mark("$SPFSoftFail"), junk, mark("$SPFSoftFail")),
	row(finding.SPFInvalid, mark("$SPFInvalid"), mark("$SPFInvalid"), junk, mark("$SPFInvalid")),
	row(finding.SPFLookups, mark("$SPFInvalid"), mark("$SPFInvalid"), junk, mark("$SPFInvalid")),
	row(finding.SPFMultiple, mark("$SPFInvalid"), mark("$SPFInvalid"), junk, mark("$SPFInvalid")),
	row(finding.SPFMissing, fine, fine, junk, fine).big(fine, fine, junk, hold),
	row(finding.SPFBroad, fine, fine, junk, fine),
	row(finding.DKIMMissing, fine, fine, hold, hold),
	row(finding.DKIMFail, fine, fine, hold, hold),
	row(finding.DKIMKey, fine, fine, hold, hold),
	row(finding.DKIMExpired, fine, fine, hold, hold),
	row(finding.DKIMSHA1, fine, fine, hold, hold),
	row(finding.DKIMLength, fine, fine, hold, hold),
	row(finding.DKIMClock, fine, fine, hold, hold),
	row(finding.DMARCMissing, fine, fine, hold, hold),
	row(finding.DMARCInvalid, fine, fine, junk, fine),
	row(finding.HeaderDuplicate, fine, fine, junk, fine),
}

// Decides reports whether what was done can come from policy by a check: it has a
// row, or there is none (""), or it is greylisting, for which others ask.
func Decides(id finding.ID) bool {
	return id == "" || id == finding.Greylisted || byCheck(id) != nil
}

// Alone reports whether a check is about one recipient of a transaction, and is not
// held against the others: a limit may be met by the fifth.
func Alone(id finding.ID) bool {
	return id == finding.RateClient || id == finding.RateSender || id == finding.RateRcpt
}

// OfScore reports whether a finding comes of the score of the whole message, which some
// recipients have one of their own instead of. That of a scanner, which names itself,
// holds for everybody.
func OfScore(f finding.Finding) bool {
	return (f.Check == finding.SpamScore || f.Check == finding.SpamHigh) && f.Subject == ""
}

// byCheck finds a row; nil where a check has no consequence.
func byCheck(id finding.ID) *Rule {
	for i := range rules {
		if rules[i].Check == id {
			return &rules[i]
		}
	}
	return nil
}
