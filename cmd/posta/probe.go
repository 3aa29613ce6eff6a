package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/addr"
	"posta/internal/audit"
	"posta/internal/finding"
	"posta/internal/probe"
	"posta/internal/resolver"
)

// maxProbed bounds how many addresses of a host are probed.
const maxProbed = 4

// probeFlags are what `posta probe` may be told.
type probeFlags struct {
	world     outside
	hello     string // our name in EHLO
	domain    string // for which the host takes mail
	ca        string // file of further authorities
	implicit  bool   // TLS from the first octet, at a port that is none of the usual ones
	relay     bool   // all forms of relaying
	smuggling string // recipient of test messages with false ends
	quick     bool   // one dialogue, and nothing else
}

func (c *cli) probeCommand() *cobra.Command {
	return c.group("probe", "probe", c.probeOf("smtp", 25), c.probeOf("imap", 143), c.probeOf("pop3", 110))
}

func (c *cli) probeOf(protocol string, port uint16) *cobra.Command {
	var f probeFlags
	cmd := c.leaf(protocol+" HOST[:PORT]", "probe."+protocol, 1, false, func(cmd *cobra.Command, args []string) error {
		return c.runProbe(cmd.Context(), protocol, port, &f, args[0])
	})
	f.world.flags(c, cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.hello, "hello", "", c.lang.Say("flag.probe.hello"))
	flags.StringVar(&f.ca, "ca", "", c.lang.Say("flag.probe.ca"))
	flags.BoolVar(&f.implicit, "tls", false, c.lang.Say("flag.probe.tls"))
	flags.BoolVar(&f.quick, "quick", false, c.lang.Say("flag.probe.quick"))
	if protocol == "smtp" {
		flags.StringVar(&f.domain, "domain", "", c.lang.Say("flag.probe.domain"))
		flags.BoolVar(&f.relay, "relay", false, c.lang.Say("flag.probe.relay"))
		flags.StringVar(&f.smuggling, "smuggling", "", c.lang.Say("flag.probe.smuggling"))
	}
	return cmd
}

// probed is what was seen of one address, as programs read it.
type probed struct {
	SMTP      *probe.SMTP      `json:"smtp,omitempty"`
	Mailbox   *probe.Mailbox   `json:"mailbox,omitempty"`
	Smuggling []probe.Smuggled `json:"smuggling,omitempty"`
	Dialogue  []probe.Line     `json:"dialogue"`
	Error     string           `json:"error,omitempty"` // why the dialogue went no further
	Findings  []auditedFinding `json:"findings"`

	connected bool
	target    probe.Target
}

// runProbe probes each address of the host in turn.
func (c *cli) runProbe(ctx context.Context, protocol string, port uint16, f *probeFlags, where string) error {
	host, port, err := c.hostPort(where, port)
	if err != nil {
		return err
	}
	cfg, err := c.probing(f)
	if err != nil {
		return err
	}
	ips, err := c.probeAddresses(ctx, f, host)
	if err != nil {
		return err
	}
	var all []probed
	for _, ip := range ips {
		t := probe.Target{Host: host, Addr: netip.AddrPortFrom(ip, port), Implicit: f.implicit || audit.Implicit(port)}
		p := c.probeOne(ctx, protocol, cfg, f, t)
		if !c.json {
			c.showProbe(protocol, &p)
		}
		all = append(all, p)
	}
	if c.json {
		if err := c.printJSON(all); err != nil {
			return err
		}
	}
	return probeStatus(all)
}

// hostPort parts HOST[:PORT]; an IPv6 address with a port stands in brackets.
func (c *cli) hostPort(where string, port uint16) (string, uint16, error) {
	bad := fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.probe.host", where))
	host := where
	if h, p, err := net.SplitHostPort(where); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return "", 0, bad
		}
		host, port = h, uint16(n)
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String(), port, nil
	}
	d, err := addr.ParseDomain(host)
	if err != nil {
		return "", 0, bad
	}
	return string(d), port, nil
}

// probing gives a probe its surroundings.
func (c *cli) probing(f *probeFlags) (probe.Config, error) {
	if f.domain != "" {
		d, err := addr.ParseDomain(f.domain)
		if err != nil {
			return probe.Config{}, fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.probe.host", f.domain))
		}
		f.domain = string(d)
	}
	if f.smuggling != "" {
		if _, err := addr.ParseAddress(f.smuggling); err != nil {
			return probe.Config{}, fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.probe.recipient", f.smuggling))
		}
	}
	cfg := probe.Config{Hello: f.hello}
	if cfg.Hello == "" {
		if name, err := os.Hostname(); err == nil && strings.Contains(name, ".") {
			cfg.Hello = name
		}
	} else if strings.ContainsFunc(cfg.Hello, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return cfg, fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.probe.host", cfg.Hello))
	}
	if f.ca == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(f.ca)
	if err != nil {
		return cfg, fmt.Errorf("%w: %w", errUsage, err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return cfg, fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.probe.ca", f.ca))
	}
	cfg.Roots = roots
	return cfg, nil
}

// probeAddresses are those of the host, IPv4 first.
func (c *cli) probeAddresses(ctx context.Context, f *probeFlags, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	if host == "localhost" { // RFC 6761 §6.3: never asked of DNS
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
	dns, err := f.world.resolver(c)
	if err != nil {
		return nil, err
	}
	defer dns.Close()
	v4, err4 := dns.LookupA(ctx, host)
	v6, err6 := dns.LookupAAAA(ctx, host)
	ips := append(v4.Records, v6.Records...)
	switch {
	case len(ips) > 0:
		return ips[:min(len(ips), maxProbed)], nil
	case err4 != nil && resolver.Temporary(err4), err6 != nil && resolver.Temporary(err6):
		c.say("probe.dns", host)
		return nil, found{exitLater}
	}
	return nil, fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.probe.unknown", host))
}

// probeOne makes the probe of one address, and its findings. The dialogue is printed
// as it happens.
func (c *cli) probeOne(ctx context.Context, protocol string, cfg probe.Config, f *probeFlags, t probe.Target) probed {
	out := probed{target: t, Dialogue: []probe.Line{}}
	cfg.Saw = func(l probe.Line) {
		out.Dialogue = append(out.Dialogue, l)
		if !c.json {
			c.showLine(l)
		}
	}
	var all []finding.Finding
	var err error
	switch protocol {
	case "smtp":
		opt := probe.SMTPOptions{Versions: !f.quick, Inject: !f.quick, Domain: f.domain}
		if f.relay {
			opt.Relay = len(probe.RelayForms())
		}
		r := probe.ProbeSMTP(ctx, cfg, t, opt)
		all = audit.JudgeSMTP(r, time.Now())
		out.SMTP, out.connected, err = r, r.Connected, r.Error
		if f.smuggling != "" && r.Connected {
			out.Smuggling = probe.ProbeSmuggling(ctx, cfg, t, f.smuggling)
			all = append(all, audit.JudgeSmuggling(t, out.Smuggling)...)
		}
	case "imap":
		out.Mailbox = probe.ProbeIMAP(ctx, cfg, t, probe.MailboxOptions{Versions: !f.quick, Inject: !f.quick})
	default:
		out.Mailbox = probe.ProbePOP3(ctx, cfg, t, probe.MailboxOptions{Versions: !f.quick, Inject: !f.quick})
	}
	if m := out.Mailbox; m != nil {
		all = audit.JudgeMailbox(m, time.Now())
		out.connected, err = m.Connected, m.Error
	}
	if err != nil {
		out.Error = err.Error()
	}
	out.Findings = c.audited(&audit.Report{Findings: all}).Findings
	return out
}

// probeStatus is 1 when something is to be mended (what is for information only does
// not count), 75 when nothing could be reached.
func probeStatus(all []probed) error {
	reached := false
	for i := range all {
		reached = reached || all[i].connected
		for _, f := range all[i].Findings {
			if f.Outcome == finding.Fail.String() && f.Severity != finding.Info.String() {
				return found{exitFindings}
			}
		}
	}
	if !reached {
		return found{exitLater}
	}
	return nil
}
