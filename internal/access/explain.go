package access

import (
	"fmt"
	"strings"
)

// Ruleset is what one of sendmail's rulesets asked, in order, and said.
type Ruleset struct {
	Name  string // check_relay, check_mail, check_rcpt, spam friend, spam hater
	Stage Stage
	Steps []Step
	Says  Decision
}

// Explain runs all stages of a session that [Map.Decide] would run, and tells
// each key that is asked for: also those that cannot be in the map, which Decide
// leaves out. It ends with the first stage that refuses.
func (m *Map) Explain(f *Facts, o Options) []Ruleset {
	var out []Ruleset
	var steps []Step
	s := search{m: m, log: &steps}
	for stage := AtConnect; stage <= AtRcpt; stage++ {
		d := s.decide(stage, f, o, func(name string, says Decision) {
			out = append(out, Ruleset{name, stage, steps, says})
			steps = nil
		})
		if d.Outcome == Refused {
			break
		}
	}
	return out
}

// String gives the ruleset as a block of lines.
func (r Ruleset) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Name)
	for _, s := range r.Steps {
		mark := "-"
		if s.Value.Action != None {
			mark = s.Value.String()
		}
		fmt.Fprintf(&b, "  %s  %s\n", s.Key, mark)
	}
	fmt.Fprintf(&b, "  = %s\n", r.Says)
	return b.String()
}

// String gives the decision in one line.
func (d Decision) String() string {
	s := d.Outcome.String()
	switch d.Outcome {
	case Refused:
		s = d.Reply.String()
	case Quarantine:
		s += ": " + d.Reason
	}
	if d.Relay {
		s += ", may relay"
	}
	if !d.Key.IsZero() {
		s += fmt.Sprintf(" (%s %s)", d.Key, d.Value)
	}
	return s
}
