package app

import (
	"context"
	"errors"

	"posta/internal/allowance"
	"posta/internal/intake"
	"posta/internal/mailbox"
	"posta/internal/policy"
	"posta/internal/remind"
	"posta/internal/store"
	"posta/internal/words"
)

// accountPolicy is what the policy says of our own accounts now. Of a stored policy
// that cannot be read the shipped one holds; intake tells the log.
func (s *server) accountPolicy() policy.Accounts {
	p, _ := s.state.Policies.Of(s.state.Directory.View().Setting(policy.Setting))
	return p.Accounts
}

// newReminder joins what is written to our people with the intake that files it.
func (s *server) newReminder() *remind.Reminder {
	return remind.New(remind.Config{
		Store: s.state.Store, Directory: s.state.Directory, Policy: s.accountPolicy, Hostname: s.cfg.Hostname, Node: nodeName(),
		Language: words.Lang(s.cfg.Language), Now: s.opt.Now, Log: s.log,
		Deposit: func(ctx context.Context, l remind.Letter) error {
			return s.in.Deposit(ctx, intake.Deposit{ID: l.ID, To: l.To, Message: l.Message, UTF8: l.UTF8})
		},
	})
}

// nearLimit has an account told that most of its day is used.
func (s *server) nearLimit(ctx context.Context, account mailbox.AccountID, a allowance.Answer) {
	err := s.remind.Allowance(ctx, account, a.Sent, a.Limit)
	if err != nil && !errors.Is(err, store.ErrExists) {
		s.log.WarnContext(ctx, "an account is not told that it nears its limit", "account", int64(account), "err", err)
	}
}
