package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"posta/internal/addr"
	"posta/internal/audit"
	"posta/internal/authority"
	"posta/internal/finding"
	"posta/internal/resolver"
)

// auditFlags are what `posta audit` was asked for.
type auditFlags struct {
	world    outside
	ips      []string
	helo     string
	sendOnly bool
	rdap     bool
	html     bool
	all      bool
	failOn   string
}

func (c *cli) auditCommand() *cobra.Command {
	var f auditFlags
	cmd := c.leaf("audit DOMAIN", "audit", 1, false, func(cmd *cobra.Command, args []string) error {
		target, err := c.auditTarget(&f, args[0])
		if err != nil {
			return err
		}
		least, err := c.severityOf(f.failOn)
		if err != nil {
			return err
		}
		report, err := c.runAudit(cmd.Context(), &f, target)
		if err != nil {
			return err
		}
		if err := c.showAudit(&f, &report); err != nil {
			return err
		}
		return auditStatus(&report, least)
	})
	cmd.AddCommand(c.acceptCommands()...)
	f.world.flags(c, cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.ips, "ip", nil, c.lang.Say("flag.audit.ip"))
	flags.StringVar(&f.helo, "helo", "", c.lang.Say("flag.audit.helo"))
	flags.BoolVar(&f.sendOnly, "send-only", false, c.lang.Say("flag.audit.send-only"))
	flags.BoolVar(&f.rdap, "rdap", false, c.lang.Say("flag.audit.rdap"))
	flags.BoolVar(&f.html, "html", false, c.lang.Say("flag.audit.html"))
	flags.BoolVar(&f.all, "all", false, c.lang.Say("flag.audit.all"))
	flags.StringVar(&f.failOn, "fail-on", finding.Medium.String(), c.lang.Say("flag.audit.fail-on"))
	return cmd
}

// auditTarget reads what is to be audited.
func (c *cli) auditTarget(f *auditFlags, domain string) (audit.Target, error) {
	d, err := addr.ParseDomain(domain)
	if err != nil {
		return audit.Target{}, fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.audit.domain", domain))
	}
	t := audit.Target{Domain: string(d), HELO: f.helo, SendOnly: f.sendOnly, RDAP: f.rdap}
	for _, s := range f.ips {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return audit.Target{}, fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.audit.ip", s))
		}
		t.IPs = append(t.IPs, ip.Unmap())
	}
	return t, nil
}

// severityOf reads the word of a severity.
func (c *cli) severityOf(word string) (finding.Severity, error) {
	for s := finding.Info; s <= finding.Critical; s++ {
		if s.String() == word {
			return s, nil
		}
	}
	return 0, fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.audit.severity", word))
}

// runAudit gives an audit its surroundings: the resolver of the flags, everything
// else the world.
func (c *cli) runAudit(ctx context.Context, f *auditFlags, t audit.Target) (audit.Report, error) {
	dns, err := f.world.resolver(c)
	if err != nil {
		return audit.Report{}, err
	}
	defer dns.Close()
	return audit.Run(ctx, auditConfig(dns), t), nil
}

func auditConfig(dns resolver.Resolver) audit.Config {
	hello, err := os.Hostname()
	if err != nil {
		hello = ""
	}
	return audit.Config{Resolver: dns, Authority: authority.New(dns, authority.Config{}), Hello: hello}
}

// auditStatus is 1 when something of the severity failed, 75 when nothing at all could
// be verified.
func auditStatus(r *audit.Report, least finding.Severity) error {
	if worst, any := r.Worst(); any && worst >= least {
		return found{exitFindings}
	}
	known := func(f finding.Finding) bool { return f.Outcome == finding.Pass || f.Outcome == finding.Fail }
	if !slices.ContainsFunc(r.Findings, known) {
		return found{exitLater}
	}
	return nil
}
