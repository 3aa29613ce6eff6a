package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"posta/internal/addr"
	"posta/internal/app"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/directory"
	"posta/internal/zone"
)

// publicResolvers are asked besides the zone's own servers, so that one sees whether
// the world knows the records yet (S151).
var publicResolvers = []string{"1.1.1.1:53", "8.8.8.8:53", "9.9.9.9:53"}

// dnsFlags are what the sub-commands of dns have in common.
type dnsFlags struct {
	parked                bool
	logo, logoCertificate string
	merge, yes            bool
	format                string
	resolvers             []string
	world                 outside

	// For a domain of which there is no data folder.
	host string
	ips  []string
	dkim []string // SELECTOR=RECORD
}

func (c *cli) dnsCommand() *cobra.Command {
	return c.group("dns", "dns", c.dnsShow(), c.dnsDiff(), c.dnsApply(), c.dnsUndo())
}

// wants adds the flags that say which records a domain wants.
func (c *cli) wants(cmd *cobra.Command, f *dnsFlags) *cobra.Command {
	fs := cmd.Flags()
	fs.BoolVar(&f.parked, "parked", false, c.lang.Say("flag.dns.parked"))
	fs.StringVar(&f.logo, "bimi-logo", "", c.lang.Say("flag.dns.logo"))
	fs.StringVar(&f.logoCertificate, "bimi-certificate", "", c.lang.Say("flag.dns.logo-certificate"))
	return cmd
}

// alone adds the flags with which a command needs no data folder.
func (c *cli) alone(cmd *cobra.Command, f *dnsFlags) *cobra.Command {
	fs := cmd.Flags()
	fs.StringVar(&f.host, "host", "", c.lang.Say("flag.dns.host"))
	fs.StringSliceVar(&f.ips, "ip", nil, c.lang.Say("flag.dns.ip"))
	fs.StringArrayVar(&f.dkim, "dkim", nil, c.lang.Say("flag.dns.dkim"))
	return cmd
}

func (f *dnsFlags) query(cmd *cobra.Command, domain string) command.DNSQuery {
	q := command.DNSQuery{Domain: domain, Logo: f.logo, LogoCertificate: f.logoCertificate, Resolvers: f.resolvers, Merge: f.merge}
	if cmd.Flags().Changed("parked") {
		q.Parked = &f.parked
	}
	return q
}

// isAlone tells whether a command goes by its flags: they are given, or there is
// neither configuration nor data folder.
func (c *cli) isAlone(f *dnsFlags) bool {
	if f.host != "" || len(f.ips)+len(f.dkim) > 0 {
		return true
	}
	_, err := os.Stat(c.configFile)
	return errors.Is(err, os.ErrNotExist) && c.dataDir == ""
}

// recordsAlone says by flags what a domain wants.
func (f *dnsFlags) recordsAlone(domain string) ([]zone.Record, error) {
	d, err := addr.ParseDomain(strings.TrimSuffix(domain, "."))
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", errUsage, domain, err)
	}
	if f.parked {
		return zone.Parked(string(d)), nil
	}
	facts := zone.Facts{
		Domain: string(d), Host: strings.ToLower(f.host), TLSReports: directory.TLSReports + "@" + string(d),
		Services: append(zone.Services(587, 465, 143, 993, 0, 995), zone.Service{Name: "_sieve"}, zone.Service{Name: "_jmap"}),
	}
	if facts.Host == "" {
		facts.Host = "mail." + string(d)
	}
	if why := config.HostnameProblem(facts.Host); why != "" {
		return nil, fmt.Errorf("%w: %s", errUsage, why)
	}
	for _, s := range f.ips {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		facts.IPs = append(facts.IPs, ip.Unmap())
	}
	for _, s := range f.dkim {
		selector, record, ok := strings.Cut(s, "=")
		if !ok || selector == "" || record == "" {
			return nil, fmt.Errorf("%w: --dkim %q", errUsage, s)
		}
		facts.Keys = append(facts.Keys, zone.Key{Selector: selector, Record: record})
	}
	if f.logo != "" && f.logo != "none" {
		facts.BIMI = &zone.BIMI{Logo: f.logo, Certificate: f.logoCertificate}
	}
	facts.Hosted = !zone.Within(facts.Host, facts.Domain)
	return zone.Wanted(facts), nil
}

func (c *cli) dnsShow() *cobra.Command {
	f := &dnsFlags{}
	cmd := c.leaf("show DOMAIN", "dns.show", 1, false, func(cmd *cobra.Command, args []string) error {
		out := command.DNSRecords{Domain: strings.ToLower(strings.TrimSuffix(args[0], "."))}
		var err error
		if c.isAlone(f) {
			out.Records, err = f.recordsAlone(args[0])
		} else {
			err = c.do(cmd.Context(), "dns.show", f.query(cmd, args[0]), &out)
		}
		if err != nil {
			return err
		}
		return c.printRecords(out, f.format)
	})
	cmd.Flags().StringVar(&f.format, "format", "bind", c.lang.Say("flag.dns.format"))
	return c.alone(c.wants(cmd, f), f)
}

// printRecords prints a domain's records for a zone file, a form or a program.
func (c *cli) printRecords(out command.DNSRecords, format string) error {
	switch {
	case c.json || format == "json":
		return c.printJSON(struct {
			command.DNSRecords
			Forms []zone.Form `json:"forms"`
		}{out, formsOf(out)})
	case format == "form":
		c.printForms(out)
		return nil
	case format == "bind":
		c.printBIND(out)
		return nil
	}
	return fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.dns.format", format))
}

func formsOf(out command.DNSRecords) []zone.Form {
	forms := make([]zone.Form, len(out.Records))
	for i, r := range out.Records {
		forms[i] = r.Form(out.Domain)
	}
	return forms
}

// printBIND prints a fragment of a zone file. What the owner of the address publishes
// is a comment in it.
func (c *cli) printBIND(out command.DNSRecords) {
	why := ""
	for _, r := range out.Records {
		if r.Why != why {
			fmt.Fprintf(c.out, "; %s\n", c.lang.Say(r.Why))
			why = r.Why
		}
		if r.ByProvider {
			fmt.Fprintf(c.out, "; %s: %s\n", c.lang.Say("dns.by-provider"), r.Line())
			continue
		}
		fmt.Fprintln(c.out, r.Line())
	}
}

// printForms prints what to put into the fields of a provider's page.
func (c *cli) printForms(out command.DNSRecords) {
	for i, r := range out.Records {
		f := r.Form(out.Domain)
		if i > 0 {
			fmt.Fprintln(c.out)
		}
		fmt.Fprintf(c.out, "%s: %s\n", f.Type, c.lang.Say(r.Why))
		if r.ByProvider {
			fmt.Fprintf(c.out, "  (%s)\n", c.lang.Say("dns.by-provider"))
		}
		for _, field := range [][2]string{
			{"name", f.Name}, {"priority", f.Priority}, {"weight", f.Weight}, {"port", f.Port},
			{"flags", f.Flags}, {"tag", f.Tag}, {"value", f.Value}, {"pieces", f.Pieces},
		} {
			if field[1] != "" {
				fmt.Fprintf(c.out, "  %s: %s\n", c.lang.Say("dns.field."+field[0]), field[1])
			}
		}
	}
}

func (c *cli) dnsDiff() *cobra.Command {
	f := &dnsFlags{}
	cmd := c.leaf("diff DOMAIN", "dns.diff", 1, false, func(cmd *cobra.Command, args []string) error {
		out := &command.DNSDiff{}
		var err error
		if c.isAlone(f) {
			out, err = c.diffAlone(cmd.Context(), f, args[0])
		} else {
			err = c.do(cmd.Context(), "dns.diff", f.query(cmd, args[0]), out)
		}
		if err != nil {
			return err
		}
		return c.printDiff(out)
	})
	cmd.PreRun = func(cmd *cobra.Command, _ []string) {
		if f.world.servers != nil && !cmd.Flags().Changed("resolver") {
			f.resolvers = f.world.servers // who names a server asks no other
		}
	}
	cmd.Flags().StringSliceVar(&f.resolvers, "resolver", publicResolvers, c.lang.Say("flag.dns.resolver"))
	f.world.flags(c, cmd)
	return c.alone(c.wants(cmd, f), f)
}

func (c *cli) diffAlone(ctx context.Context, f *dnsFlags, domain string) (*command.DNSDiff, error) {
	wanted, err := f.recordsAlone(domain)
	if err != nil {
		return nil, err
	}
	r, err := f.world.resolver(c)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	look := func(ctx context.Context, qs []zone.Question, resolvers []string) ([]zone.View, error) {
		return app.LookDNS(ctx, r, qs, resolvers)
	}
	return command.CompareDNS(ctx, look, strings.ToLower(strings.TrimSuffix(domain, ".")), wanted, nil, f.resolvers)
}

// printDiff prints what the world shows. The exit status is 1 where something
// differs, 75 where it is only not known everywhere yet.
func (c *cli) printDiff(d *command.DNSDiff) error {
	if c.json {
		if err := c.printJSON(d); err != nil {
			return err
		}
	} else {
		for _, it := range d.Items {
			c.printItem(d.Domain, it)
		}
		c.say("dns.diff.asked", strings.Join(d.Servers, ", "))
		c.say("dns.diff.result." + string(d.Result))
	}
	switch d.Result {
	case zone.Different:
		return found{exitFindings}
	case zone.Pending, zone.Unverified:
		return found{exitLater}
	}
	return nil
}

func (c *cli) printItem(domain string, it zone.Item) {
	fmt.Fprintf(c.out, "%s: %s %s\n", c.lang.Say("dns.state."+string(it.State)), it.Type, zone.Relative(it.Name, domain))
	if it.State == zone.Present {
		return
	}
	field := func(key string, value any) {
		fmt.Fprintf(c.out, "  %s: %s\n", c.lang.Say(key), printable(fmt.Sprint(value)))
	}
	field("dns.diff.wanted", it.Data())
	for _, s := range it.Seen {
		field("dns.diff.seen", s)
	}
	if it.Merge != "" {
		field("dns.diff.merge", it.Merge)
	}
	if len(it.Behind) > 0 {
		field("dns.diff.behind", strings.Join(it.Behind, ", "))
	}
	if it.Left > 0 {
		fmt.Fprintf(c.out, "  %s\n", c.lang.Say("dns.diff.left", it.Left))
	}
}

func (c *cli) dnsApply() *cobra.Command {
	f := &dnsFlags{}
	cmd := c.leaf("apply DOMAIN", "dns.apply", 1, false, func(cmd *cobra.Command, args []string) error {
		name := "dns.plan"
		if f.yes {
			name = "dns.apply"
		}
		var out command.DNSPlan
		if err := c.do(cmd.Context(), name, f.query(cmd, args[0]), &out); err != nil {
			return err
		}
		return c.printPlan(out)
	})
	cmd.Flags().BoolVar(&f.merge, "merge-spf", false, c.lang.Say("flag.dns.merge"))
	cmd.Flags().BoolVar(&f.yes, "yes", false, c.lang.Say("flag.dns.yes"))
	return c.wants(cmd, f)
}

func (c *cli) dnsUndo() *cobra.Command {
	var yes bool
	cmd := c.leaf("undo DOMAIN", "dns.undo", 1, false, func(cmd *cobra.Command, args []string) error {
		var out command.DNSPlan
		if err := c.do(cmd.Context(), "dns.undo", command.DNSUndo{Domain: args[0], Preview: !yes}, &out); err != nil {
			return err
		}
		return c.printPlan(out)
	})
	cmd.Flags().BoolVar(&yes, "yes", false, c.lang.Say("flag.dns.yes"))
	return cmd
}

// printPlan prints the steps, and whether they are done.
func (c *cli) printPlan(p command.DNSPlan) error {
	if c.json {
		return c.printJSON(p)
	}
	n := 0
	for _, s := range p.Steps {
		if s.Action == zone.Nothing {
			continue
		}
		if s.Changes() {
			n++
		}
		fmt.Fprintf(c.out, "%s: %s\n", c.lang.Say("dns.action."+string(s.Action)), printable(s.Line()))
		if s.Old != "" {
			fmt.Fprintf(c.out, "  %s: %s\n", c.lang.Say("dns.diff.seen"), printable(s.Old))
		}
	}
	for _, r := range p.ByHand {
		fmt.Fprintf(c.out, "%s: %s\n", c.lang.Say("dns.action.hand"), printable(r.Line()))
	}
	switch {
	case n == 0:
		c.say("dns.plan.nothing")
	case p.Done:
		c.say("dns.plan.done", n)
	default:
		c.say("dns.plan.preview", n)
	}
	return nil
}
