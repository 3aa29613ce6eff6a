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
	{finding.DNSBLDomain, fail, 3},
	{finding.DNSBLBody, fail, 3},
	{finding.DNSBLHELO, fail, 2},
	{finding.ReputationBad, fail, 3},
	{finding.DMARCFail, fail, 3},
	{finding.DMARCFail, pass, -0.5},
	{finding.SPFFail, fail, 2.5},
	{finding.SPFFail, pass, -0.2},
	{finding.SPFSoftFail, fail, 1},
	{finding.SPFMissing, fail, 0.5},
	{finding.SPFInvalid, fail, 0.5},
	{finding.DKIMFail, fail, 0.5},
	{finding.DKIMMissing, fail, 0.3},
	{finding.DKIMExpired, fail, 0.3},
	{finding.SPFMultiple, fail, 0.5},
	{finding.DMARCMissing, fail, 0.3},
	{finding.PTRMissing, fail, 2},
	{finding.PTRMismatch, fail, 1},
	{finding.PTRMany, fail, 0.3},
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
	{finding.HeaderDuplicate, fail, 1.5},
	{finding.Header8Bit, fail, 0.7},
	{finding.HeaderLine, fail, 0.3},
	{finding.DateSkew, fail, 0.7},
	{finding.ListUnsubscribe, fail, 0.5},
	// links
	{finding.URLAddress, fail, 1.5},
	{finding.URLCredential, fail, 2.5},
	{finding.URLScript, fail, 2.5},
	{finding.URLMismatch, fail, 0.7},
	{finding.URLMany, fail, 1},
	// files
	{finding.ContentExecutable, fail, 4},
	{finding.ContentName, fail, 4},
	{finding.ContentMacro, fail, 2},
	{finding.ContentEncrypted, fail, 1},
	{finding.ContentArchive, fail, 2},
}

// What the learner and the facts are worth.
const (
	learnedSpam = 6    // at the learner's threshold; enough for Junk by itself
	learnedMost = 9    // however sure it is
	learnedHam  = -2   // at the threshold
	learnedGood = -4   // however sure
	unsureMost  = 2.5  // either way, just before a threshold
	knownSender = -4   // a correspondent of the recipient, proven by DMARC
	knownDomain = -1.5 // a domain with good history here, proven by DMARC
	shortener   = 0.5
	hidden      = 1.5
)

// Table is the table of points, in the order of reading.
func Table() []Row { return slices.Clone(table[:]) }

// PrintTable is the table as text, for people, in a language ("en", "es").
func PrintTable(lang string) string {
	var b strings.Builder
	for _, r := range table {
		fmt.Fprintf(&b, "%+5.1f  %-22s %-5s %s\n", r.Points, r.Check, r.Outcome, finding.TextOf(r.Check, lang).Title)
	}
	line := func(from, to float64, what string) {
		points := fmt.Sprintf("%+5.1f", from)
		if to != from {
			points += fmt.Sprintf(" … %+.1f", to)
		}
		fmt.Fprintf(&b, "%s  %s\n", points, textOf(lang, what))
	}
	line(learnedSpam, learnedMost, Learned)
	line(learnedHam, learnedGood, Learned)
	line(-unsureMost, unsureMost, Unsure)
	line(knownSender, knownSender, Known)
	line(knownDomain, knownDomain, History)
	line(shortener, shortener, Shortener)
	line(hidden, hidden, Hidden)
	return b.String()
}

// Facts is what counts beside the findings.
type Facts struct {
	// Known: the recipient has written to the address in From. History: the domain in
	// From has sent here for long, and hardly any spam. They count only where DMARC
	// passes: a name alone is easily taken.
	Known, History bool
	// Shortener: a link hides its target behind a shortener. Hidden: HTML hides more
	// text than it shows. Examine tells.
	Shortener, Hidden bool
}

// The names of what counts and is no check.
const (
	Learned   = "learned" // the learner is sure
	Unsure    = "unsure"  // and here it is not
	Known     = "known"
	History   = "history"
	Shortener = "shortener"
	Hidden    = "hidden"
)

// Reason is one line of a score.
type Reason struct {
	Check  finding.ID `json:"check,omitempty"` // or:
	Fact   string     `json:"fact,omitempty"`  // one of the names above
	Points float64    `json:"points"`
	Detail string     `json:"detail,omitempty"` // what was seen
}

// Text is a reason as people read it, in a language ("en", "es"; another gets
// English).
func (r Reason) Text(lang string) string {
	title := textOf(lang, r.Fact)
	if r.Check != "" {
		title = finding.TextOf(r.Check, lang).Title
	}
	if r.Detail != "" {
		title += " (" + r.Detail + ")"
	}
	return fmt.Sprintf("%+.1f %s", r.Points, title)
}

// Score is the judgement of a message in points.
type Score struct {
	Points  float64  `json:"points"`
	Reasons []Reason `json:"reasons"` // those that count most first; they add up to Points
}

// Findings are the outcomes of spam.score and spam.high for thresholds, with the
// reasons that count most as evidence. junk is where mail goes to Junk, high where a
// paranoid house refuses.
func (s Score) Findings(junk, high float64) []finding.Finding {
	one := func(id finding.ID, threshold float64) finding.Finding {
		if s.Points < threshold {
			return finding.Of(id, finding.Pass, "")
		}
		f := finding.Of(id, finding.Fail, "", "points", fmt.Sprintf("%.1f of %.1f", s.Points, threshold))
		for _, r := range s.Reasons[:min(len(s.Reasons), 8)] {
			what := string(r.Check)
			if what == "" {
				what = r.Fact
			}
			seen := fmt.Sprintf("%+.1f", r.Points)
			if r.Detail != "" {
				seen += " " + r.Detail
			}
			f.Evidence = append(f.Evidence, finding.Fact{What: what, Seen: seen})
		}
		return f
	}
	return []finding.Finding{one(finding.SpamScore, junk), one(finding.SpamHigh, high)}
}

// Judge adds up. Each check counts once, however many findings it has.
func Judge(set *finding.Set, o learn.Outcome, facts Facts) Score {
	var s Score
	add := func(r Reason) {
		r.Points = math.Round(r.Points*10) / 10
		if r.Points != 0 {
			s.Points += r.Points
			s.Reasons = append(s.Reasons, r)
		}
	}
	for _, r := range table {
		if set.Outcome(r.Check) == r.Outcome {
			add(Reason{Check: r.Check, Points: r.Points, Detail: detail(set, r)})
		}
	}
	add(learned(o))
	proven := set.Outcome(finding.DMARCFail) == finding.Pass
	fact := func(holds bool, name string, points float64) {
		if holds {
			add(Reason{Fact: name, Points: points})
		}
	}
	fact(proven && facts.Known, Known, knownSender)
	fact(proven && facts.History, History, knownDomain)
	fact(facts.Shortener, Shortener, shortener)
	fact(facts.Hidden, Hidden, hidden)
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

// learned turns the learner's outcome into points: in proportion to its evidence,
// with a step where it is sure.
func learned(o learn.Outcome) Reason {
	if o.Threshold <= 0 || math.IsInf(o.Threshold, 0) || math.IsNaN(o.Evidence) {
		return Reason{}
	}
	r := Reason{Fact: Learned, Detail: learnedDetail(o)}
	x := o.Evidence / o.Threshold
	switch o.Verdict {
	case learn.Spam:
		r.Points = min(learnedMost, learnedSpam+(x-1))
	case learn.Ham:
		r.Points = max(learnedGood, learnedHam+(x+1)/2)
	default:
		r.Fact, r.Points = Unsure, unsureMost*x
	}
	return r
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
