package intake

import (
	"fmt"
	"time"

	"posta/internal/addr"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/ratelimit"
	"posta/internal/reputation"
	"posta/internal/smtp"
)

// overLimit are the checks of strangers' limits, and of whom each is.
var overLimit = map[reputation.Which]finding.ID{
	reputation.NetworkLimit:   finding.RateClient,
	reputation.SenderLimit:    finding.RateSender,
	reputation.RecipientLimit: finding.RateRcpt,
}

// limit counts one recipient against the limits of strangers, and asks policy what
// follows when one is met: by the shipped table, later. Local, authenticated and
// outgoing mail and DSNs are no stranger's (reputation.AsStranger).
func (s *session) limit(e *mail.Envelope, a addr.Address) *smtp.Reply {
	who, ok := reputation.AsStranger(&e.Client, e.ReversePath)
	if !ok {
		return nil
	}
	which, d := s.in.strangers.Take(who, a, s.in.cfg.Now())
	if which == reputation.NoLimit {
		return nil
	}
	f := s.in.overLimit(which, d, e, a)
	// The finding is about this one recipient: the next may have room.
	var only finding.Set
	only.Add(f)
	v := s.tx.verdict(a, &only, mail.Accept)
	s.tx.aside(f)
	if v.Action < mail.Defer {
		return nil
	}
	return s.in.verdictReply(s.place(e, a, f.Check), v, &only, "<"+a.String()+">")
}

func (in *Intake) overLimit(which reputation.Which, d ratelimit.Decision, e *mail.Envelope, a addr.Address) finding.Finding {
	subject, limit := a.String(), in.cfg.Limits.Recipient
	switch which {
	case reputation.NetworkLimit:
		subject, limit = reputation.Network(e.Client.IP).String(), in.cfg.Limits.Network
	case reputation.SenderLimit:
		subject, limit = e.ReversePath.String(), in.cfg.Limits.Sender
	}
	return finding.Of(overLimit[which], finding.Fail, subject,
		"limit", fmt.Sprintf("%d recipients in %s", limit.Count, limit.Period), "room again in", roundUp(d.RetryAfter, time.Second).String())
}

// roundUp rounds a time up to whole units.
func roundUp(d, unit time.Duration) time.Duration { return (d + unit - 1).Truncate(unit) }
