package spam

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"posta/internal/finding"
	"posta/internal/spam/learn"
)

// Row is a line of the table of points: what an outcome of a check is worth. Above
// zero counts towards spam.
type Row struct {
	Check   finding.ID
	Outcome finding.Outcome
	Points  float64
}

const (
	pass = finding.Pass
	fail = finding.Fail
)

// table is every finding that counts. A look-up that failed counts for nothing.
// What policy refuses by itself stands here too: at a level that does not, it
// weighs.
var table = [...]Row{
	// who sends
	{finding.DNSBLListed, fail, 4},
	{finding.DMARCFail, fail, 3},
	{finding.DMARCFail, pass, -0.5},
	{finding.SPFFail, fail, 2.5},
	{finding.SPFFail, pass, -0.2},
	{finding.SPFSoftFail, fail, 1},
	{finding.SPFMissing, fail, 0.5},
	{finding.SPFInvalid, fail, 0.5},
	{finding.DKIMFail, fail, 0.5},
	{finding.DKIMMissing, fail, 0.3},
	{finding.DMARCMissing, fail, 0.3},
	{finding.PTRMissing, fail, 2},
	{finding.PTRMismatch, fail, 1},
	{finding.PTRGeneric, fail, 1.5},
	{finding.HELOSelf, fail, 3},
	{finding.HELOFQDN, fail, 1.5},
	{finding.HELOLiteral, fail, 1},
	{finding.HELOUnknown, fail, 1},
	{finding.HELOMismatch, fail, 0.3},
	{finding.SenderDomain, fail, 3},
	{finding.SenderMX, fail, 1},
	{finding.MXNull, fail, 3},
	{finding.EarlyTalker, fail, 2},
	{finding.Pipelining, fail, 1},
	// the header
	{finding.FromMissing, fail, 2},
	{finding.FromMultiple, fail, 2.5},
	{finding.HeaderID, fail, 0.5},
	{finding.HeaderDate, fail, 0.7},
	{finding.HeaderSyntax, fail, 0.5},
	// links
	{finding.URLAddress, fail, 1.5},
	{finding.URLUserInfo, fail, 2.5},
	{finding.URLScript, fail, 2.5},
	{finding.URLShortener, fail, 0.5},
	{finding.URLMismatch, fail, 0.7},
	{finding.URLFlood, fail, 1},
	// files
	{finding.AttachExecutable, fail, 4},
	{finding.AttachDisguised, fail, 5},
	{finding.AttachMacro, fail, 2},
	{finding.AttachEncrypted, fail, 1},
	{finding.AttachOpaque, fail, 0.5},
	// text
	{finding.ContentHidden, fail, 1.5},
}

// What the learner and what is known of the sender are worth.
const (
	learnedSpam = 6    // at the learner's threshold; enough for Junk by itself
	learnedMost = 9    // however sure it is
	learnedHam  = -2   // at the threshold
	learnedGood = -4   // however sure
	unsureMost  = 2.5  // either way, just before a threshold
	knownSender = -4   // a correspondent of the recipient, proven by DMARC
	knownDomain = -1.5 // a domain with good history here, proven by DMARC
)

// Table is the table of points, in the order of reading.
func Table() []Row { return slices.Clone(table[:]) }

// PrintTable is the table as text, for people.
func PrintTable() string {
	var b strings.Builder
	for _, r := range table {
		fmt.Fprintf(&b, "%+5.1f  %-22s %s\n", r.Points, r.Check, r.Outcome)
	}
	line := func(points float64, what string) { fmt.Fprintf(&b, "%+5.1f  %s\n", points, what) }
	line(learnedSpam, "the learner calls it spam, up to "+fmt.Sprintf("%+.1f", float64(learnedMost)))
	line(learnedHam, "the learner calls it ham, down to "+fmt.Sprintf("%+.1f", float64(learnedGood)))
	line(unsureMost, "the learner is unsure: at most this, either way")
	line(knownSender, "the recipient has written to the sender, and DMARC passes")
	line(knownDomain, "the sender's domain has a good history here, and DMARC passes")
	return b.String()
}

// Facts is what is known of the sender beside the findings. It counts only where
// DMARC passes: a name alone is easily taken.
type Facts struct {
	Known   bool // the recipient has written to the address in From
	History bool // the domain in From has sent here for long, and hardly any spam
}

// Thresholds say what follows from a score. The zero value has the defaults.
type Thresholds struct {
	Junk   float64 // from here on to Junk, 5
	Refuse float64 // from here on held or refused, 15; for the level paranoid only
}

// The defaults.
const (
	DefaultJunk   = 5
	DefaultRefuse = 15
)

// Reason is one line of a score.
type Reason struct {
	Check  finding.ID `json:"check,omitempty"` // empty for facts
	Points float64    `json:"points"`
	Detail string     `json:"detail,omitempty"` // what was seen, of the findings' first evidence
}

// Score is the judgement of a message in points.
type Score struct {
	Points  float64  `json:"points"`
	Reasons []Reason `json:"reasons"` // those that count most first; they add up to Points
}

// Junk tells whether the score is for Junk.
func (s Score) Junk(t Thresholds) bool { return s.Points >= cmp.Or(t.Junk, DefaultJunk) }

// Refuse tells whether a paranoid house would hold or refuse.
func (s Score) Refuse(t Thresholds) bool { return s.Points >= cmp.Or(t.Refuse, DefaultRefuse) }

// Judge adds up. Each check counts once, however many findings it has.
func Judge(set *finding.Set, o learn.Outcome, facts Facts) Score {
	var s Score
	add := func(id finding.ID, points float64, detail string) {
		points = math.Round(points*10) / 10
		if points != 0 {
			s.Points += points
			s.Reasons = append(s.Reasons, Reason{id, points, detail})
		}
	}
	for _, r := range table {
		if set.Outcome(r.Check) == r.Outcome {
			add(r.Check, r.Points, detail(set, r))
		}
	}
	add(finding.ContentLearned, learnedPoints(o), learnedDetail(o))
	if set.Outcome(finding.DMARCFail) == finding.Pass {
		if facts.Known {
			add("", knownSender, "known correspondent")
		}
		if facts.History {
			add("", knownDomain, "good history")
		}
	}
	s.Points = math.Round(s.Points*10) / 10
	slices.SortStableFunc(s.Reasons, func(a, b Reason) int { return cmp.Compare(math.Abs(b.Points), math.Abs(a.Points)) })
	return s
}

func detail(set *finding.Set, r Row) string {
	if f, ok := set.Find(r.Check); ok && r.Outcome == fail && len(f.Evidence) > 0 {
		e := f.Evidence[len(f.Evidence)-1]
		return e.What + ": " + e.Seen
	}
	return ""
}

// learnedPoints turns the learner's outcome into points: in proportion to its
// evidence, with a step where it is sure.
func learnedPoints(o learn.Outcome) float64 {
	if o.Threshold <= 0 || math.IsInf(o.Threshold, 0) || math.IsNaN(o.Evidence) {
		return 0
	}
	x := o.Evidence / o.Threshold
	switch o.Verdict {
	case learn.Spam:
		return min(learnedMost, learnedSpam+(x-1))
	case learn.Ham:
		return max(learnedGood, learnedHam+(x+1)/2)
	}
	return unsureMost * x
}

func learnedDetail(o learn.Outcome) string {
	var b strings.Builder
	for i, r := range o.Reasons[:min(len(o.Reasons), 3)] {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(r.String())
	}
	return b.String()
}
