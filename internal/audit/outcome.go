package audit

import (
	"posta/internal/finding"
)

// judged is a pass, or a fail when bad is set; the evidence is the same for both,
// for what is well is worth seeing too.
func judged(id finding.ID, bad bool, subject string, facts ...string) finding.Finding {
	o := finding.Pass
	if bad {
		o = finding.Fail
	}
	return finding.Of(id, o, subject, facts...)
}

// unverified says of checks that they could not be made, and why.
func unverified(err error, subject string, ids ...finding.ID) []finding.Finding {
	out := make([]finding.Finding, len(ids))
	for i, id := range ids {
		out[i] = finding.Of(id, finding.Unverified, subject, "look-up", err.Error())
	}
	return out
}
