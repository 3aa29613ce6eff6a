package intake

import (
	"slices"

	"posta/internal/addr"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/smtp"
	"posta/internal/srs"
)

// forwarded is the reverse-path with which an effect leaves. What an alias or a script of
// ours sends on for somebody elsewhere leaves from our domain (SRS), for the sender's SPF
// knows nothing of us; its bounces come back through us. Mail of our own domains and
// bounces leave as they are.
func (k *sink) forwarded(filed *mail.Envelope, ef *mail.Effect) addr.Address {
	from := k.tx.reversePath()
	if ef.From != nil && !from.IsZero() { // a bounce stays one
		return *ef.From
	}
	ours := filed.Recipients[ef.Recipient].Address.Domain
	if !ef.Relayed || from.IsZero() || ours == "" || k.s.in.cfg.Forwards == nil || k.tx.view.Local(from.Domain) {
		return from
	}
	if out, err := k.s.in.cfg.Forwards.Forward(from, ours, k.s.in.cfg.Now()); err == nil {
		return out
	}
	return from // too long: as it came
}

// forwards reports whether an address is of the form in which our reverse-paths of
// forwarded mail are (SRS). Nobody of ours has such an address, and no catch-all takes it.
func (s *session) forwards(a addr.Address) bool {
	return s.in.cfg.Forwards != nil && srs.Is(a) && s.tx.view.Local(a.Domain)
}

// toSender takes a bounce to an SRS address of ours for whom it stands for, and refuses
// everything else.
func (s *session) toSender(e *mail.Envelope, a addr.Address) *smtp.Reply {
	subject := "<" + a.String() + ">"
	if !e.ReversePath.IsZero() {
		return s.refusal(e, a, finding.RcptSRS, 550, subject, "this address takes bounces only")
	}
	to, err := s.in.cfg.Forwards.Reverse(a, s.in.cfg.Now())
	if err != nil {
		return s.refusal(e, a, finding.RcptSRS, 550, subject, "no mail was forwarded under this address, or too long ago")
	}
	if s.tx.bounces == nil {
		s.tx.bounces = map[addr.Address]addr.Address{}
	}
	s.tx.bounces[a] = to
	return nil
}

// StandsFor is the sender for whom an SRS address of ours stands; any other address is
// itself. A notice about mail that we forwarded goes to him.
func (in *Intake) StandsFor(a addr.Address) addr.Address {
	if in.cfg.Forwards == nil || !srs.Is(a) || !in.dir.View().Local(a.Domain) {
		return a
	}
	if to, err := in.cfg.Forwards.Reverse(a, in.cfg.Now()); err == nil {
		return to
	}
	return a
}

// withSenders is an envelope in which those for whom SRS addresses stand are in their
// place.
func (tx *transaction) withSenders(e *mail.Envelope) *mail.Envelope {
	if len(tx.bounces) == 0 {
		return e
	}
	out := *e
	out.Recipients = slices.Clone(e.Recipients)
	for i, r := range out.Recipients {
		if to, ok := tx.bounces[r.Address]; ok {
			out.Recipients[i].Address = to
		}
	}
	return &out
}
