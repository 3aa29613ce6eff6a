package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"posta/internal/intake"
	"posta/internal/policy"
	"posta/internal/quarantine"
	"posta/internal/store"
	"posta/internal/words"
)

// newKeeper joins the daily work of the quarantine with what it needs: the terms of
// the policy that is live, and intake for what it writes.
func (s *server) newKeeper() *quarantine.Keeper {
	c := quarantine.Config{
		Store: s.state.Store, Directory: s.state.Directory, Policy: s.state.quarantineTerms, Depositor: digests{s}, Node: nodeName(),
		Hostname: s.cfg.Hostname, Language: words.Parse(s.cfg.Language), Now: s.opt.Now, Log: s.log,
	}
	if s.cfg.Listen.HTTPS != "" || s.cfg.Listen.HTTP != "" {
		c.Link = "https://" + s.cfg.Hostname + "/quarantine/"
	}
	return quarantine.New(c)
}

// quarantineTerms are those of the live policy. A stored policy that cannot be read
// is told of by intake; the shipped one holds.
func (s *State) quarantineTerms() policy.Quarantine {
	p, _ := s.Policies.Of(s.Directory.View().Setting(policy.Setting))
	return p.Quarantine
}

// digests delivers what the quarantine has to tell.
type digests struct{ s *server }

// Deposit implements quarantine.Depositor.
func (d digests) Deposit(ctx context.Context, m quarantine.Mail) error {
	return d.s.in.Deposit(ctx, intake.Deposit{ID: m.ID, To: m.To, Message: m.Message, UTF8: m.UTF8, Digest: m.Digest})
}

// quarantineMetrics tells how full the quarantine is, as of the keeper's last look.
func (s *server) quarantineMetrics() {
	gauge := func(name, help string, sum func(store.HeldStat) float64) {
		s.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "posta", Name: name, Help: help}, func() (n float64) {
			for _, st := range s.keeper.Stats() {
				n += sum(st)
			}
			return n
		}))
	}
	gauge("quarantine_messages", "Messages that are held, by recipient.", func(st store.HeldStat) float64 { return float64(st.Count) })
	gauge("quarantine_octets", "Octets of held messages.", func(st store.HeldStat) float64 { return float64(st.Octets) })
	gauge("quarantine_unreviewed", "Held messages that nobody has looked at.", func(st store.HeldStat) float64 { return float64(st.Waiting) })
	s.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "posta", Name: "quarantine_overdue_domains", Help: "Domains with held mail that nobody has looked at in time (quarantine.overdue).",
	}, func() float64 { return float64(len(s.keeper.Findings())) }))
}
