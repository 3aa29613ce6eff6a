// Package policy folds findings into one verdict for each recipient (DESIGN
// §2.3): a table of check × class of sender × level that an administrator reads,
// changes and tries on past traffic. The table is in rules.go, the values of the
// guides beside it in guide.go, the form in which a changed policy is written in
// text.go.
//
// Policy is a pure function: findings in, verdict out. It knows no protocol and
// does not look anything up.
package policy

import (
	"posta/internal/addr"
	"posta/internal/finding"
	"posta/internal/mail"
)

// Level is how strict we are with strangers.
type Level uint8

// The levels. Strict, the default, refuses only what an RFC, the sender's own
// published policy or the administrator's lists give reason to refuse, and marks
// the rest. Guia has the values of the five guides.
const (
	Lenient Level = iota
	Strict
	Paranoid
	Guia
)

var levelNames = [...]string{"lenient", "strict", "paranoid", "guia"}

func (l Level) String() string { return levelNames[l] }

// Levels lists the levels in their order.
func Levels() []Level { return []Level{Lenient, Strict, Paranoid, Guia} }

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
// delivered all the same, a keyword on it. The zero Step is "accept".
type Step struct {
	Action mail.Action
	Mark   string // keyword, e.g. "$SPFSoftFail"
	// Published means: what the domain's own DMARC record asks for.
	Published bool
	// Greylist means: put off until the same network comes again for the same
	// sender and recipient, as every mail server does and few spammers do.
	Greylist bool
}

// Rule is one row of the table.
type Rule struct {
	Check finding.ID
	// Steps is what follows at each level for strangers: with a server of their own,
	// and at one of the big providers.
	Steps [strangers][4]Step
	// Unverified is what follows when the check could not be verified; never a
	// refusal for good.
	Unverified [4]Step
	// Everyone applies the row to local and authenticated senders too.
	Everyone bool
}

// strangers is how many classes of sender the table tells apart: mail.OwnServer
// and mail.BigProvider. Those above are ours, and only rows for everyone touch them.
const strangers = 2

// Rules lists the table as it is shipped.
func Rules() []Rule { return append([]Rule(nil), rules[:]...) }

// Facts are what rules need besides the findings.
type Facts struct {
	Class mail.Class
	// Recipient chooses among the exceptions.
	Recipient addr.Address
	// DMARC is what the From domain's record asks for when dmarc.fail holds.
	DMARC mail.Action
	// Filter is what a filter asked for when scan.refused holds: Quarantine, Discard,
	// Defer or Reject. The table may make it milder, not harder. Accept, the zero
	// value, leaves it to the table.
	Filter mail.Action
	// Greylist is set when a scanner would like to see the message again later, and
	// refuses nothing. It is heard of strangers, where the table lets filters put off:
	// scan.refused greylists, defers or does more.
	Greylist bool
	// Postmaster is set for postmaster@ and abuse@, which take mail from clients
	// that are refused elsewhere (RFC 5321 §4.5.1, RFC 2142).
	Postmaster bool
	// Friend is set for recipients who asked for all their mail (SPAMFRIEND in the
	// access map) and for senders whom the administrator's access map takes (OK).
	Friend bool
}

// Policy is the table with what an administrator changed in it. It is not changed
// once it is in use. The zero Policy is the shipped table at the level lenient.
type Policy struct {
	Changes
	Exceptions []Exception // the first that names the recipient holds; an address before a domain
	Spam       Spam
	Quarantine Quarantine
	Accounts   Accounts
	Sealers    Sealers
}

// Changes are a level and single steps that differ from it.
type Changes struct {
	Level Level
	Steps Steps
}

// Steps are the cells that were changed.
type Steps map[Cell]Step

// Cell is one place of the table at the chosen level.
type Cell struct {
	Check      finding.ID
	Class      mail.Class // OwnServer or BigProvider
	Unverified bool
}

// Exception holds other values for some recipients of ours. Whatever it does not
// name is as in the policy itself.
type Exception struct {
	For []string // "ana@example.org", or "@example.org" for a whole domain; lower case
	Changes
	HasLevel bool
}

// Fold takes the hardest step of all rules that apply; of equal ones the first
// in the table.
func (p *Policy) Fold(s *finding.Set, f Facts) mail.Verdict {
	var v mail.Verdict
	if len(s.Others) == 0 && !f.Greylist {
		return v
	}
	ex := p.exception(f.Recipient)
	for i := range rules {
		r := &rules[i]
		step, ok := p.step(r, ex, s, f)
		if !ok {
			continue
		}
		if step.Action > v.Action {
			v.Action, v.Check = step.Action, string(r.Check)
		}
		if step.Mark != "" && v.Label == "" {
			v.Label = step.Mark
		}
		if step.Greylist && v.Greylist == "" {
			v.Greylist = string(r.Check)
		}
	}
	if v.Greylist == "" && p.wished(ex, f) {
		v.Greylist = string(finding.ScanRefused)
	}
	if (f.Postmaster || f.Friend) && v.Action > mail.Junk && !hard(finding.ID(v.Check)) {
		v.Action = mail.Accept
	}
	if f.Postmaster || f.Friend || v.Action > mail.Junk {
		v.Greylist = "" // one who is refused anyhow is not put off
	}
	return v
}

// Settle makes the verdicts for the recipients of one message one answer. Over SMTP
// there is one reply for all: when some accept, one whose verdict is a refusal gets
// the message into quarantine, never a bounce (DESIGN §2.5).
func Settle(vs []mail.Verdict) {
	accepts := false
	for _, v := range vs {
		accepts = accepts || v.Action < mail.Defer
	}
	for i := range vs {
		if accepts && vs[i].Action >= mail.Defer {
			vs[i].Action = mail.Quarantine
		}
	}
}

// wished reports whether a scanner's wish to greylist is heard.
func (p *Policy) wished(ex *Exception, f Facts) bool {
	if !f.Greylist || f.Class >= mail.LocalNetwork {
		return false
	}
	r := byCheck(finding.ScanRefused)
	st := p.at(r, ex, cellOf(r, f, finding.Fail))
	return st.Greylist || st.Action >= mail.Defer
}

// hard reports whether a check refuses even mail to postmaster@: a loop, and what a
// scanner found.
func hard(id finding.ID) bool { return id == finding.LoopHops || id == finding.ScanVirus }

// step is what one row says, and whether it says anything.
func (p *Policy) step(r *Rule, ex *Exception, s *finding.Set, f Facts) (Step, bool) {
	if f.Class >= mail.LocalNetwork && !r.Everyone {
		return Step{}, false
	}
	o := s.Outcome(r.Check)
	if o != finding.Fail && o != finding.Unverified {
		return Step{}, false
	}
	st := p.at(r, ex, cellOf(r, f, o))
	if st.Published {
		st.Action = f.DMARC
	}
	if r.Check == finding.ScanRefused && f.Filter != mail.Accept {
		st.Action = min(st.Action, f.Filter)
	}
	return st, true
}

// cellOf is the cell of a row for a class of sender and an outcome.
func cellOf(r *Rule, f Facts, o finding.Outcome) Cell {
	return Cell{Check: r.Check, Class: min(f.Class, mail.BigProvider), Unverified: o == finding.Unverified}
}

// at is what stands in a cell: the exception's own step, the policy's, or the
// table's at the level that holds.
func (p *Policy) at(r *Rule, ex *Exception, c Cell) Step {
	level := p.Level
	if ex != nil {
		if st, ok := ex.Steps[c]; ok {
			return st
		}
		if ex.HasLevel {
			level = ex.Level
			return r.shipped(level, c)
		}
	}
	if st, ok := p.Steps[c]; ok {
		return st
	}
	return r.shipped(level, c)
}

// shipped is the table's own step.
func (r *Rule) shipped(l Level, c Cell) Step {
	if c.Unverified {
		return r.Unverified[l]
	}
	return r.Steps[c.Class][l]
}

// At is what stands in a cell for everybody who is no exception, and whether the
// administrator changed it.
func (p *Policy) At(c Cell) (Step, bool) {
	_, changed := p.Steps[c]
	for i := range rules {
		if rules[i].Check == c.Check {
			return p.at(&rules[i], nil, c), changed
		}
	}
	return Step{}, false
}

// exception finds the one that holds for a recipient: of its address, else of its
// domain.
func (p *Policy) exception(a addr.Address) *Exception {
	if len(p.Exceptions) == 0 || a.IsZero() {
		return nil
	}
	folded := a.Fold()
	full, domain := folded.String(), "@"+string(folded.Domain)
	var found *Exception
	for i := range p.Exceptions {
		for _, n := range p.Exceptions[i].For {
			if n == full {
				return &p.Exceptions[i]
			}
			if n == domain && found == nil {
				found = &p.Exceptions[i]
			}
		}
	}
	return found
}
