package app

import (
	"context"
	"path/filepath"
	"time"

	"posta/internal/allowance"
	"posta/internal/dnsbl"
	"posta/internal/intake"
	"posta/internal/letter"
	"posta/internal/ratelimit"
	"posta/internal/reputation"
)

// intakeConfig is what the way in is told.
func (s *server) intakeConfig() intake.Config {
	cfg := s.cfg
	domains := cfg.Policy.DomainBlocklists
	return intake.Config{
		Hostname: cfg.Hostname, WhyURL: s.whyURL(), PasswordPage: s.passwordPage(), Policies: s.state.Policies, Access: s.state.Access, Trusted: s.trust, OwnIPs: s.ownIPs(),
		Lists: dnsbl.Lists{IP: cfg.Policy.Blocklists, HELO: domains, Sender: domains, Body: domains},
		Limits: reputation.Limits{
			Network: perMinute(cfg.Limits.NetworkRate), Sender: perMinute(cfg.Limits.SenderRate), Recipient: perMinute(cfg.Limits.RecipientRate),
		},
		Memory:   reputation.New(s.state.Store, reputation.Grey{Delay: time.Duration(cfg.Policy.Greylist)}, s.opt.Now),
		Lifetime: time.Duration(cfg.Queue.Lifetime), TempDir: filepath.Join(cfg.Data, tempDir), Shared: cfg.Store.PostgreSQL != "",
		Scanners: s.scanners, Learner: s.state.Learner, Scripts: s.scripts, Forwards: s.forwards, Answers: s.train, Sent: allowance.New(s.state.Store, s.opt.Now), NearLimit: s.nearLimit, Judged: s.reports.Judged, Now: s.opt.Now, Log: s.log,
	}
}

// perMinute is a rate of strangers, of which ten minutes' worth may come at once: a
// list server delivers its letter to all our members within seconds.
func perMinute(n int) ratelimit.Limit {
	return ratelimit.Limit{Count: n, Period: time.Minute, Burst: 10 * n}
}

// deposit files a letter of ours to our own people, durably; store.ErrExists if one of its
// id was before.
func (s *server) deposit(ctx context.Context, l letter.Letter) error {
	return s.in.Deposit(ctx, intake.Deposit{ID: l.ID, To: l.To, Message: l.Message, UTF8: l.UTF8})
}
