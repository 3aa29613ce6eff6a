package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"posta/internal/allowance"
	"posta/internal/mailbox"
	"posta/internal/policy"
	"posta/internal/remind"
	"posta/internal/store"
	"posta/internal/web"
	"posta/internal/words"
)

// accountPolicy is what the policy says of our own accounts now. Of a stored policy
// that cannot be read the shipped one holds; intake tells the log.
func (s *server) accountPolicy() policy.Accounts {
	p, _ := s.state.Policies.Of(s.state.Directory.View().Setting(policy.Setting))
	return p.Accounts
}

// passwordTerm is how long passwords may be used now.
func (s *server) passwordTerm() store.PasswordTerm {
	return s.accountPolicy().Term(s.state.Directory.View().Setting(policy.TermSetting))
}

// passwordPage is where people change their password, "" where there is no HTTPS.
func (s *server) passwordPage() string {
	if s.cfg.Listen.HTTPS == "" {
		return ""
	}
	return "https://" + s.cfg.Hostname + web.PasswordPath
}

// overdue tells people who log in, once a day, that their password is older than it
// may be. Mail programs log in all day, and show each time what they are told.
type overdue struct {
	s    *server
	mu   sync.Mutex
	told map[mailbox.AccountID]time.Time
}

// notice implements imapserver.Server.Notice.
func (o *overdue) notice(account mailbox.AccountID) string {
	acc, term, now := o.s.state.Directory.View().Account(account), o.s.passwordTerm(), o.s.opt.Now()
	if acc == nil {
		return ""
	}
	due := acc.PasswordDue(term)
	if due.IsZero() || now.Before(due) {
		return ""
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if last, ok := o.told[account]; ok && now.Sub(last) < 24*time.Hour {
		return ""
	}
	o.told[account] = now
	text := "this password is too old and can be used until " + acc.PasswordEnds(term).UTC().Format("2006-01-02 15:04 UTC")
	if page := o.s.passwordPage(); page != "" {
		return text + "; change it at " + page
	}
	return text + "; ask your administrator for a new one"
}

// newReminder joins what is written to our people with the intake that files it.
func (s *server) newReminder() *remind.Reminder {
	return remind.New(remind.Config{
		Store: s.state.Store, Directory: s.state.Directory, Term: s.passwordTerm, PasswordPage: s.passwordPage(), Hostname: s.cfg.Hostname, Node: nodeName(),
		Language: words.Lang(s.cfg.Language), Now: s.opt.Now, Log: s.log,
		Deposit: s.deposit,
	})
}

// nearLimit has an account told that most of its day is used.
func (s *server) nearLimit(ctx context.Context, account mailbox.AccountID, a allowance.Answer) {
	err := s.remind.Allowance(ctx, account, a.Sent, a.Limit)
	if err != nil && !errors.Is(err, store.ErrExists) {
		s.log.WarnContext(ctx, "an account is not told that it nears its limit", "account", int64(account), "err", err)
	}
}
