package policy

import (
	"slices"

	"posta/internal/arc"
	"posta/internal/finding"
	"posta/internal/mail"
)

// Seen is one message or refused transaction of the past, as far as a policy looks
// at it.
type Seen struct {
	Class    mail.Class
	Asked    mail.Action  // what the From domain's DMARC record asked for
	Filter   mail.Action  // what a filter asked for
	Greylist bool         // a scanner would have liked to see it again later
	PerRcpt  bool         // each recipient had a reply of its own (LMTP)
	Whole    bool         // the message was read: its findings are all there
	Chain    *Chain       // nil: no forwarder's word could have been taken
	Findings *finding.Set // but for those that are about one recipient
	To       []SeenRecipient
}

// Chain is an ARC chain that passed beside a failure of DMARC.
type Chain struct {
	Asked  mail.Action   // what is done when nobody's word is taken
	Seals  []arc.Voucher // the newest first
	Passed []bool        // whether each says that DMARC passed
}

// believed reports whether the administrator takes the word of one who says that DMARC
// passed.
func (c *Chain) believed(s Sealers) bool {
	at, ok := arc.Believed(c.Seals, s.Trusts)
	return ok && c.Passed[at]
}

// SeenRecipient is one recipient of it.
type SeenRecipient struct {
	Facts
	Alone  []finding.Finding // about this recipient alone
	Own    *[]finding.ID     // what of spam.score and spam.high fails by his own score; nil: the common one holds
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

// of are the findings that hold for one recipient, of those that hold for all.
func (r *SeenRecipient) of(common *finding.Set) *finding.Set {
	if len(r.Alone) == 0 && r.Own == nil {
		return common
	}
	all := common.Clone()
	for _, f := range r.Alone {
		all.Add(f)
	}
	if r.Own != nil {
		all.Others = slices.DeleteFunc(all.Others, OfScore)
		for _, id := range *r.Own {
			all.Add(finding.Of(id, finding.Fail, ""))
		}
	}
	return &all
}

// trusting is what was found and what DMARC asks for, as far as that depends on whom
// the administrator trusts.
func (s *Seen) trusting(by Sealers) (*finding.Set, mail.Action) {
	if s.Chain == nil {
		return s.Findings, s.Asked
	}
	all := s.Findings.Clone()
	all.Others = slices.DeleteFunc(all.Others, func(f finding.Finding) bool { return f.Check == finding.DMARCFail })
	if s.Chain.believed(by) {
		return &all, mail.Accept
	}
	all.Add(finding.Of(finding.DMARCFail, finding.Fail, ""))
	return &all, s.Chain.Asked
}

// Replay tells what a policy would do with the past, for each recipient.
func (p *Policy) Replay(s *Seen) []Becomes {
	out := make([]Becomes, len(s.To))
	vs := make([]mail.Verdict, 0, len(s.To))
	var settled []int
	common, asked := s.trusting(p.Sealers)
	for i := range s.To {
		r := &s.To[i]
		f := r.Facts
		f.Class, f.DMARC, f.Filter, f.Greylist = s.Class, asked, s.Filter, s.Greylist
		v := p.Fold(r.of(common), f)
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
