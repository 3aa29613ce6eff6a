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
	self     bool
	message  string
	sendOnly bool
	rdap     bool
	html     bool
	letter   bool
	all      bool
	failOn   string
}

func (c *cli) auditCommand() *cobra.Command {
	var f auditFlags
	cmd := c.leaf("audit [DOMAIN]", "audit", 0, true, func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 || len(args) == 0 && !f.self {
			return c.usage(cmd.UseLine())
		}
		least, err := c.severityOf(f.failOn)
		if err != nil {
			return err
		}
		targets, err := c.auditTargets(cmd, &f, args)
		if err != nil {
			return err
		}
		dns, err := f.world.resolver(c)
		if err != nil {
			return err
		}
		defer dns.Close()
		var worst error
		cfg := c.auditConfig(dns)
		for _, t := range targets {
			report := audit.Run(cmd.Context(), cfg, t)
			if err := c.tellAudit(cmd.Context(), &f, dns, &report); err != nil {
				return err
			}
			if err := auditStatus(&report, least); worst == nil {
				worst = err
			}
		}
		return worst
	})
	cmd.AddCommand(c.acceptCommands()...)
	f.world.flags(c, cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.ips, "ip", nil, c.lang.Say("flag.audit.ip"))
	flags.StringVar(&f.helo, "helo", "", c.lang.Say("flag.audit.helo"))
	flags.BoolVar(&f.sendOnly, "send-only", false, c.lang.Say("flag.audit.send-only"))
	flags.BoolVar(&f.rdap, "rdap", false, c.lang.Say("flag.audit.rdap"))
	flags.BoolVar(&f.html, "html", false, c.lang.Say("flag.audit.html"))
	flags.StringVar(&f.message, "message", "", c.lang.Say("flag.audit.message"))
	flags.BoolVar(&f.self, "self", false, c.lang.Say("flag.audit.self"))
	flags.BoolVar(&f.letter, "letter", false, c.lang.Say("flag.audit.letter"))
	flags.BoolVar(&f.all, "all", false, c.lang.Say("flag.audit.all"))
	flags.StringVar(&f.failOn, "fail-on", finding.Medium.String(), c.lang.Say("flag.audit.fail-on"))
	return cmd
}

// auditTargets are the domain that was named, or with --self our own house.
func (c *cli) auditTargets(cmd *cobra.Command, f *auditFlags, args []string) ([]audit.Target, error) {
	if f.self {
		return c.auditSelf(cmd, f, args)
	}
	t, err := c.auditTarget(f, args[0])
	if err != nil {
		return nil, err
	}
	if f.message != "" {
		if t.Found, err = c.auditMessage(cmd.Context(), f, &t); err != nil {
			return nil, err
		}
	}
	return []audit.Target{t}, nil
}

// tellAudit shows a report in the form that was asked for.
func (c *cli) tellAudit(ctx context.Context, f *auditFlags, dns resolver.Resolver, r *audit.Report) error {
	if !f.letter {
		return c.showAudit(f, r)
	}
	x := c.audited(r)
	c.auditLetter(&x, audit.Contacts(ctx, dns, r.Domain))
	return nil
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

// auditConfig is an audit's surroundings: this resolver, everything else the world.
func (c *cli) auditConfig(dns resolver.Resolver) audit.Config {
	hello, err := os.Hostname()
	if err != nil {
		hello = ""
	}
	return audit.Config{Resolver: dns, Authority: authority.New(dns, authority.Config{Dial: c.dial}), Dial: c.dial, Hello: hello, Registries: new(audit.Registries)}
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
