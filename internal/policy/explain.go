package policy

import (
	"posta/internal/finding"
)

// Said is a row of the table that has something to say of a message.
type Said struct {
	Check   finding.ID
	Outcome finding.Outcome
	Step    Step
	// Changed is set where the step is not the level's own: the administrator
	// changed it, or the recipient is an exception.
	Changed bool
}

// Explain lists the rows that Fold looks at and that say anything, in the order of
// the table.
func (p *Policy) Explain(s *finding.Set, f Facts) []Said {
	var out []Said
	ex := p.exception(f.Recipient)
	for i := range rules {
		r := &rules[i]
		st, ok := p.step(r, ex, s, f)
		if !ok {
			continue
		}
		o := s.Outcome(r.Check)
		own := r.shipped(p.Level, cellOf(r, f, o))
		if own.Published {
			own.Action = f.DMARC
		}
		out = append(out, Said{Check: r.Check, Outcome: o, Step: st, Changed: st != own})
	}
	return out
}
