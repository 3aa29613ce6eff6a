package policy

import (
	"posta/internal/finding"
	"posta/internal/mail"
)

// Seen is one message or refused transaction of the past, as far as a policy looks
// at it.
type Seen struct {
	Class    mail.Class
	Asked    mail.Action  // what the From domain's DMARC record asked for
	Filter   mail.Action  // what a filter asked for
	PerRcpt  bool         // each recipient had a reply of its own (LMTP)
	Whole    bool         // the message was read: its findings are all there
	Findings *finding.Set // but for those of checks that are Alone
	To       []SeenRecipient
}

// SeenRecipient is one recipient of it.
type SeenRecipient struct {
	Facts
	Alone  []finding.Finding // about this recipient alone
	Early  bool              // it was refused before the message came
	Action mail.Action       // what was done
}

// Becomes is what a policy would do for a recipient.
type Becomes struct {
	mail.Verdict
	// Unknown is set when the transaction would get further than it did: what the
	// message would have shown was never seen.
	Unknown bool
}

// of are the findings that hold for one recipient.
func (s *Seen) of(r *SeenRecipient) *finding.Set {
	if len(r.Alone) == 0 {
		return s.Findings
	}
	all := s.Findings.Clone()
	for _, f := range r.Alone {
		all.Add(f)
	}
	return &all
}

// Replay tells what a policy would do with the past, for each recipient.
func (p *Policy) Replay(s *Seen) []Becomes {
	out := make([]Becomes, len(s.To))
	vs := make([]mail.Verdict, 0, len(s.To))
	var settled []int
	for i := range s.To {
		r := &s.To[i]
		f := r.Facts
		f.Class, f.DMARC, f.Filter = s.Class, s.Asked, s.Filter
		v := p.Fold(s.of(r), f)
		out[i].Verdict = v
		switch {
		case v.Action >= mail.Defer && r.Early: // refused again, as early
		case r.Early && !s.Whole:
			out[i].Unknown = true
		default:
			vs, settled = append(vs, v), append(settled, i)
		}
	}
	if !s.PerRcpt {
		Settle(vs)
	}
	for j, i := range settled {
		out[i].Verdict = vs[j]
	}
	return out
}
