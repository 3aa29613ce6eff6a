package intake

import (
	"context"
	"strconv"
	"time"

	"posta/internal/addr"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/reputation"
	"posta/internal/smtp"
	"posta/internal/spf"
)

// greylist puts a suspicious stranger off once (RFC 6647); nil when the recipient may
// have its mail. check is why it is suspicious. Policy does not ask for it on behalf
// of postmaster@ or friends.
func (s *session) greylist(ctx context.Context, e *mail.Envelope, a addr.Address, check string) *smtp.Reply {
	if s.mayCome(ctx, e, a, check) {
		return nil
	}
	return s.refusal(e, a, finding.Greylisted, 451, "<"+a.String()+">", "")
}

// mayCome asks whether a stranger is known, or has waited long enough by now; then
// it is remembered. Whoever the recipient's circle writes to does not wait for it,
// where SPF proves that it is he. A memory that cannot be asked puts nobody off.
func (s *session) mayCome(ctx context.Context, e *mail.Envelope, a addr.Address, check string) bool {
	memory := s.in.cfg.Memory
	if memory == nil || e.Client.Door != mail.MX || e.Client.Class >= mail.LocalNetwork {
		return true
	}
	if s.tx.cameAgain || s.knownSender(ctx, e, a) {
		s.tx.greylisted = true
		return true
	}
	attempt := reputation.Attempt{IP: e.Client.IP, From: e.ReversePath, To: a}
	if r := &s.tx.judge.spfSeen; r.Status == spf.Pass {
		attempt.SPFDomain = addr.Domain(r.Domain)
	}
	ans, err := memory.Greylist(ctx, attempt)
	if err != nil {
		s.in.cfg.Log.WarnContext(ctx, "greylist not asked", "err", err)
	}
	if ans.Pass {
		s.tx.cameAgain, s.tx.greylisted = true, true
		return true
	}
	s.tx.aside(finding.Of(finding.Greylisted, finding.Fail, a.String(), "because of", check,
		"first attempt", ans.First.UTC().Format(time.RFC3339), "attempts", strconv.Itoa(ans.Tries), "wait", roundUp(ans.Wait, time.Second).String()))
	return false
}

// knownSender reports whether those of a recipient's circle wrote to a reverse-path
// that SPF proves.
func (s *session) knownSender(ctx context.Context, e *mail.Envelope, a addr.Address) bool {
	r := &s.tx.judge.spfSeen
	if r.Status != spf.Pass || r.Identity != spf.MailFrom {
		return false
	}
	return s.in.written.knows(ctx, s.tx.party(a).Circle, e.ReversePath).ByCircle
}

// greylist does the same for what only the message showed, when an administrator
// greylists that. There is one reply for all recipients: one whose mail need not wait
// carries the others.
func (k *sink) greylist(ctx context.Context, verdicts []mail.Verdict) {
	for _, v := range verdicts {
		if v.Action >= mail.Defer || v.Greylist == "" || k.env.Client.Door != mail.MX {
			return
		}
	}
	for i, v := range verdicts {
		if k.s.mayCome(ctx, k.env, k.env.Recipients[i].Address, v.Greylist) {
			return
		}
	}
	for i := range verdicts {
		verdicts[i] = mail.Verdict{Action: mail.Defer, Check: string(finding.Greylisted)}
	}
}
