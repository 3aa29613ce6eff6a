// Package policy folds findings into one verdict for each recipient (DESIGN
// §2.3): a table of check × level, by class of sender, that an administrator
// reads. The table is in rules.go.
//
// Policy is a pure function: findings in, verdict out. It knows no protocol and
// does not look anything up.
package policy

import (
	"posta/internal/finding"
	"posta/internal/mail"
)

// Level is how strict we are with strangers.
type Level uint8

// The levels; Guia has the values of the five guides.
const (
	Lenient Level = iota
	Strict
	Paranoid
	Guia
)

var levelNames = [...]string{"lenient", "strict", "paranoid", "guia"}

func (l Level) String() string { return levelNames[l] }

// ParseLevel is the inverse of String.
func ParseLevel(s string) (Level, bool) {
	for i, n := range levelNames {
		if n == s {
			return Level(i), true
		}
	}
	return 0, false
}

// Step is what follows when a check fails: an action and, when the message is
// delivered all the same, a keyword on it.
type Step struct {
	Action mail.Action
	Mark   string // keyword, e.g. "$SPFSoftFail"
	// Published means: what the domain's own DMARC record asks for.
	Published bool
}

// Rule is one row of the table.
type Rule struct {
	Check finding.ID
	// Strangers is what follows at each level for senders that are neither
	// authenticated nor of the local network.
	Strangers [4]Step
	// Unverified is what follows when the check could not be verified; never a
	// refusal for good.
	Unverified [4]Step
	// Everyone applies the row to local and authenticated senders too.
	Everyone bool
}

// Rules lists the table.
func Rules() []Rule { return append([]Rule(nil), rules[:]...) }

// Facts are what rules need besides the findings.
type Facts struct {
	Class mail.Class
	Level Level
	// DMARC is what the From domain's record asks for when dmarc.fail holds.
	DMARC mail.Action
	// Postmaster is set for postmaster@ and abuse@, which take mail from clients
	// that are refused elsewhere (RFC 5321 §4.5.1, RFC 2142).
	Postmaster bool
}

// Fold takes the hardest step of all rules that apply; of equal ones the first
// in the table.
func Fold(s *finding.Set, f Facts) mail.Verdict {
	var v mail.Verdict
	if len(s.Others) == 0 {
		return v
	}
	for i := range rules {
		r := &rules[i]
		step, ok := r.step(s, f)
		if !ok {
			continue
		}
		if step.Action > v.Action {
			v.Action, v.Check = step.Action, string(r.Check)
		}
		if step.Mark != "" && v.Label == "" {
			v.Label = step.Mark
		}
	}
	if f.Postmaster && v.Action > mail.Junk {
		v.Action = mail.Accept
	}
	return v
}

// step is what one row says, and whether it says anything.
func (r *Rule) step(s *finding.Set, f Facts) (Step, bool) {
	if f.Class >= mail.LocalNetwork && !r.Everyone {
		return Step{}, false
	}
	switch s.Outcome(r.Check) {
	case finding.Fail:
		st := r.Strangers[f.Level]
		if st.Published {
			st.Action = f.DMARC
		}
		return st, true
	case finding.Unverified:
		return r.Unverified[f.Level], true
	}
	return Step{}, false
}
