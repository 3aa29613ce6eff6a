package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"posta/internal/dnsbl"
	"posta/internal/finding"
	"posta/internal/jobs"
	"posta/internal/standing"
)

// newListWatch looks every few hours whether our addresses and domains stand in a DNS
// list. Nodes do it in turn, not each for itself.
func (s *server) newListWatch() *jobs.Regular {
	lists := dnsbl.New(s.dns, s.opt.Now)
	return &jobs.Regular{
		Store: s.state.Store, Node: nodeName(), Key: "standing", Now: s.opt.Now, Log: s.log,
		First: 5 * time.Minute, Again: time.Hour, Lease: 30 * time.Minute,
		Every: standing.Every + rand.N(time.Hour), // so that not all of the world's servers ask at once
		Do: func(ctx context.Context) error {
			questions := standing.Questions(s.ownIPs(), s.state.Directory.View().Domains(),
				dnsbl.Lists{IP: s.cfg.Policy.Blocklists, Sender: s.cfg.Policy.DomainBlocklists})
			changed, err := standing.Sweep(ctx, s.state.Store, lists, s.opt.Now(), questions)
			for _, c := range changed {
				s.log.InfoContext(ctx, "our standing in a list has changed", "subject", c.Subject, "list", c.List, "listed", c.Listed, "answers", fmt.Sprint(c.Answers))
			}
			return err
		},
	}
}

// listFindings are the lists in which we stand, as of the last sweep of any node.
func (s *server) listFindings() []finding.Finding {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	states, err := standing.States(ctx, s.state.Store)
	if err != nil {
		s.log.WarnContext(ctx, "our standing in lists is not known", "err", err)
		return nil
	}
	var out []finding.Finding
	for i := range states {
		if states[i].Bad() {
			out = append(out, states[i].Finding())
		}
	}
	return out
}
