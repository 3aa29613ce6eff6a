package intake

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"posta/internal/allowance"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/smtp"
	"posta/internal/trace"
)

// giveWait bounds how long the end of a transaction waits for the store.
const giveWait = 5 * time.Second

// takeOne takes a message of the account that submits it from its day (S84), or puts it
// off: a mail program keeps it in its outbox. Whatever is not submitted with a login (what
// comes in, the sendmail socket, LMTP, our own DSNs) is not counted; a null
// reverse-path is, since anybody with the password can write one.
func (s *session) takeOne(ctx context.Context, e *mail.Envelope) *smtp.Reply {
	acc := s.tx.view.Account(AccountID(e.Client.Account))
	if s.in.cfg.Sent == nil || acc == nil {
		return nil
	}
	limit := allowance.Limit(acc.MessagesPerDay, s.tx.policy.Accounts.MessagesPerDay)
	if limit == 0 {
		return nil
	}
	a, at, err := s.in.cfg.Sent.Take(ctx, int64(acc.ID), limit)
	if err != nil { // no reason to put anybody off
		s.in.cfg.Log.WarnContext(ctx, "messages of an account not counted", "account", acc.Login, "err", err)
		return nil
	}
	if !a.OK {
		return s.dayUsed(e, acc.Login, a)
	}
	s.tx.taken = at
	if a.Warn && s.in.cfg.NearLimit != nil {
		s.in.cfg.NearLimit(ctx, acc.ID, a)
	}
	return nil
}

// dayUsed is the answer to one message too many: the number, and when the next may go.
func (s *session) dayUsed(e *mail.Envelope, login string, a allowance.Answer) *smtp.Reply {
	free := a.Free.UTC().Format("2006-01-02 15:04 UTC")
	text := fmt.Sprintf("%d messages sent in a day, of %d that may be; the next one may go at %s", a.Sent, a.Limit, free)
	f := finding.Of(finding.RateAccount, finding.Fail, login,
		"sent", strconv.Itoa(a.Sent), "limit", strconv.Itoa(a.Limit), "free", free)
	s.in.counts.refused(string(finding.RateAccount))
	return s.keepUnlessMany(s.baseRecord(e), trace.AtMail, f, smtp.New(450, "4.7.1", "<"+login+">: "+text))
}

// giveBack gives a message back that was taken and is not accepted, though the
// connection may be gone by now.
func (s *session) giveBack(ctx context.Context) {
	if s.tx.taken.IsZero() {
		return
	}
	gctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveWait)
	defer cancel()
	if err := s.in.cfg.Sent.Give(gctx, s.tx.env.Client.Account, s.tx.taken); err != nil {
		s.in.cfg.Log.WarnContext(ctx, "message of an account not given back", "login", s.tx.env.Client.Login, "err", err)
	}
}
