package app

import (
	"context"
	"encoding/json"
	"slices"

	"posta/internal/audit"
	"posta/internal/authority"
	"posta/internal/command"
	"posta/internal/drift"
	"posta/internal/finding"
	"posta/internal/store"
	"posta/internal/words"
)

// newDrift joins the daily look at our domains with what it looks at and with the
// intake that files its letters.
func (s *server) newDrift() *drift.Watch {
	return drift.New(drift.Config{
		Store: s.state.Store, Directory: s.state.Directory, Hostname: s.cfg.Hostname, Node: nodeName(),
		Language: words.Parse(s.cfg.Language), Now: s.opt.Now, Log: s.log,
		Sources: []drift.Source{drift.DNS{Diff: s.diffDNS}, auditor{s}},
		Deposit: s.deposit,
	})
}

// diffDNS is the command dns.diff, given by the house itself.
func (s *server) diffDNS(ctx context.Context, domain string) (*command.DNSDiff, error) {
	args, err := json.Marshal(command.DNSQuery{Domain: domain})
	if err != nil {
		return nil, err
	}
	out, err := command.Do(ctx, s.house, command.Principal{Name: "system", Role: store.Helpdesk}, "dns.diff", args)
	d, _ := out.(*command.DNSDiff)
	return d, err
}

// auditor is the audit as a source of the daily look, with what only we know.
type auditor struct{ s *server }

// Findings implements drift.Source. Of what nothing follows no mail is written.
func (a auditor) Findings(ctx context.Context, domain string) ([]finding.Finding, error) {
	s := a.s
	v, err := s.state.Store.LoadDirectory(ctx)
	if err != nil {
		return nil, err
	}
	self := &audit.Self{Hostname: s.cfg.Hostname, IPs: PublicIPs(s.cfg), Selectors: map[string]string{}}
	for i := range v.Domains {
		d := &v.Domains[i]
		self.Domains = append(self.Domains, d.Name)
		if d.Name != domain {
			continue
		}
		keys, err := command.PublishedKeys(v, d)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			self.Selectors[k.Selector] = k.Record
		}
	}
	r := audit.Run(ctx, audit.Config{
		Resolver: s.dns, Authority: authority.New(s.dns, authority.Config{}), Hello: s.cfg.Hostname, Dial: s.opt.Dial, Now: s.opt.Now,
	}, audit.Target{Domain: domain, HELO: s.cfg.Hostname, IPs: self.IPs, Self: self})
	return slices.DeleteFunc(r.Findings, func(f finding.Finding) bool {
		c, ok := finding.Lookup(f.Check)
		return ok && c.Severity == finding.Info
	}), ctx.Err()
}
