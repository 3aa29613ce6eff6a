package audit

import (
	"cmp"
	"slices"
	"time"

	"posta/internal/finding"
)

// Mark grades one area by the worst that follows from it.
type Mark string

// The marks, from best to worst. Unknown says that nothing could be verified, and
// None that nothing was looked at.
const (
	Good    Mark = "good"    // nothing failed but what has no consequence
	Fair    Mark = "fair"    // low or medium
	Poor    Mark = "poor"    // high: large receivers refuse or junk
	Broken  Mark = "broken"  // critical: mail is lost, or the house stands open
	Unknown Mark = "unknown" // nothing that was looked at could be verified
	None    Mark = "none"    // nothing was looked at
)

// Grade is how one area stands.
type Grade struct {
	Area       Area `json:"area"`
	Mark       Mark `json:"mark"`
	Passed     int  `json:"passed"`
	Failed     int  `json:"failed"`
	Unverified int  `json:"unverified"`
}

// Report is the outcome of an audit.
type Report struct {
	Domain string        `json:"domain"`
	Own    bool          `json:"own"`   // it is our own house: the mend is ours
	Setup  string        `json:"setup"` // "mail", "parked", "implicit", "send-only", "absent", "unknown"
	At     time.Time     `json:"at"`
	Took   time.Duration `json:"-"`
	Grades []Grade       `json:"grades"`
	// Findings are all outcomes: fails first, by severity, then what could not be verified, passes, and what does not apply;
	// within these in the order of the catalogue.
	Findings []finding.Finding `json:"findings"`
	Probes   []string          `json:"probes"` // what was asked of their servers beside plain DNS
}

// Worst is the gravest severity that failed; false when nothing did.
func (r *Report) Worst() (finding.Severity, bool) {
	worst, any := finding.Info, false
	for _, f := range r.Findings {
		if f.Outcome == finding.Fail {
			worst, any = max(worst, severity(f.Check)), true
		}
	}
	return worst, any
}

func (a *audit) report(began time.Time, all []finding.Finding) Report {
	order := map[finding.ID]int{}
	for i, c := range finding.All() {
		order[c.ID] = i
	}
	slices.SortStableFunc(all, func(x, y finding.Finding) int {
		return cmp.Or(
			cmp.Compare(rank(x.Outcome), rank(y.Outcome)),
			gravity(x, y),
			cmp.Compare(order[x.Check], order[y.Check]),
			cmp.Compare(x.Subject, y.Subject),
		)
	})
	slices.Sort(a.probes)
	return Report{
		Domain: a.Domain, Own: a.Self != nil, Setup: string(a.setup()), At: began, Took: a.cfg.Now().Sub(began),
		Grades: grades(all), Findings: all, Probes: a.probes,
	}
}

// gravity orders fails by severity; for all other outcomes severity means nothing.
func gravity(x, y finding.Finding) int {
	if x.Outcome != finding.Fail || y.Outcome != finding.Fail {
		return 0
	}
	return -cmp.Compare(severity(x.Check), severity(y.Check))
}

func rank(o finding.Outcome) int {
	return [...]int{finding.Fail: 0, finding.Unverified: 1, finding.Pass: 2, finding.NotApplicable: 3}[o]
}

func severity(id finding.ID) finding.Severity {
	c, _ := finding.Lookup(id)
	return c.Severity
}

// grades counts each area and marks it by its worst fail.
func grades(all []finding.Finding) []Grade {
	out := make([]Grade, 0, len(Areas()))
	for _, area := range Areas() {
		g := Grade{Area: area, Mark: None}
		worst := finding.Info
		for _, f := range all {
			if AreaOf(f.Check) != area {
				continue
			}
			switch f.Outcome {
			case finding.Pass:
				g.Passed++
			case finding.Unverified:
				g.Unverified++
			case finding.Fail:
				g.Failed++
				worst = max(worst, severity(f.Check))
			}
		}
		switch {
		case g.Failed > 0:
			g.Mark = [...]Mark{finding.Info: Good, finding.Low: Fair, finding.Medium: Fair, finding.High: Poor, finding.Critical: Broken}[worst]
		case g.Passed > 0:
			g.Mark = Good
		case g.Unverified > 0:
			g.Mark = Unknown
		}
		out = append(out, g)
	}
	return out
}
