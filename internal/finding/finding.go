// Package finding has Posta's one catalogue of rules and the outcomes of looking
// at them (DESIGN §1). A Check is a rule with a stable dotted id; a Finding is
// its outcome on one subject, with the evidence that was seen. The same checks
// judge an incoming message (findings about them), audit our own house (findings
// about us) and audit any domain on request.
//
// Texts for people (title, why, how to mend it) are in English and Spanish, in
// texts/*.json; a test keeps ids, texts and the documentation in step.
package finding

import "strings"

// ID names a check for ever: "ptr.missing". It says what is wrong, in words.
type ID string

// Severity is defined by consequence, not by taste.
type Severity uint8

// The severities.
const (
	Info     Severity = iota // nothing follows from it
	Low                      // untidy; some scorers count it
	Medium                   // some receivers junk or delay for it
	High                     // large receivers refuse or junk for it
	Critical                 // mail is lost, or the house stands open
)

var severityNames = [...]string{"info", "low", "medium", "high", "critical"}

func (s Severity) String() string { return severityNames[s] }

// Outcome of a check on a subject. A look-up that failed is Unverified, never
// Fail: a timeout does not mean "missing".
type Outcome uint8

// The outcomes; the zero value is NotApplicable.
const (
	NotApplicable Outcome = iota
	Pass
	Fail
	Unverified
)

var outcomeNames = [...]string{"not applicable", "pass", "fail", "could not verify"}

func (o Outcome) String() string { return outcomeNames[o] }

// Check is one entry of the catalogue.
type Check struct {
	ID       ID
	Bit      int // position in a Set's bitset; never reused, never changed
	Severity Severity
	Standard string // RFC and section, or the provider's rule
	Ref      string // row of the union table (CH-…) or practice line (S…)
}

// Fact is one piece of evidence: what was looked at and what was seen.
type Fact struct {
	What string `json:"what"`
	Seen string `json:"seen"`
}

// Finding is one check's outcome.
type Finding struct {
	Check    ID      `json:"check"`
	Outcome  Outcome `json:"outcome"`
	Subject  string  `json:"subject,omitempty"`
	Evidence []Fact  `json:"evidence,omitempty"`
}

// Of makes a finding; facts come in pairs: what, seen.
func Of(id ID, o Outcome, subject string, facts ...string) Finding {
	f := Finding{Check: id, Outcome: o, Subject: subject}
	for i := 0; i+1 < len(facts); i += 2 {
		f.Evidence = append(f.Evidence, Fact{facts[i], facts[i+1]})
	}
	return f
}

// String is one line for logs.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(string(f.Check) + ": " + f.Outcome.String())
	if f.Subject != "" {
		b.WriteString(" (" + f.Subject + ")")
	}
	for _, e := range f.Evidence {
		b.WriteString("; " + e.What + ": " + e.Seen)
	}
	return b.String()
}
