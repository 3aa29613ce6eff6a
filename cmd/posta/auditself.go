package main

import (
	"context"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"posta/internal/audit"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/finding"
	"posta/internal/resolver"
)

// auditSelf audits our own house: the domain that was named, or each of ours, with what
// only the running server (or its data folder) knows.
func (c *cli) auditSelf(cmd *cobra.Command, f *auditFlags, args []string) ([]audit.Target, error) {
	cfg, err := c.loadConfig()
	if err != nil {
		return nil, err
	}
	dns, err := f.world.resolver(c)
	if err != nil {
		return nil, err
	}
	defer dns.Close()
	do, done := c.conversation(cmd.Context())
	defer done()
	var domains []command.Domain
	var keys []command.Key
	var found []finding.Finding
	for name, out := range map[string]any{"domain.ls": &domains, "dkim.ls": &keys, "check.self": &found} {
		if err := do(name, struct{}{}, out); err != nil {
			return nil, err
		}
	}
	self := audit.Self{Hostname: cfg.Hostname, IPs: ownAddresses(cmd.Context(), cfg, dns), Resolvers: resolversOf(cfg)}
	for _, d := range domains {
		self.Domains = append(self.Domains, d.Name)
	}
	names := args
	if len(names) == 0 {
		names = self.Domains
	}
	var out []audit.Target
	for i, name := range names {
		t, err := c.auditTarget(f, name)
		if err != nil {
			return nil, err
		}
		own := self
		own.Selectors = map[string]string{}
		for _, k := range keys {
			if k.Domain == t.Domain && k.Active {
				own.Selectors[k.Selector] = k.Record
			}
		}
		if i == 0 {
			t.Found = found // the house is one: told with its first domain
		}
		t.Self = &own
		out = append(out, t)
	}
	return out, nil
}

// ownAddresses are those that the configuration names, else those of our host name,
// which is what the world sees.
func ownAddresses(ctx context.Context, cfg *config.Config, dns resolver.Resolver) []netip.Addr {
	var out []netip.Addr
	for _, s := range cfg.Network.Public {
		if ip, err := netip.ParseAddr(s); err == nil {
			out = append(out, ip.Unmap())
		}
	}
	if len(out) > 0 {
		return out
	}
	if r, err := dns.LookupA(ctx, cfg.Hostname); err == nil {
		out = append(out, r.Records...)
	}
	if r, err := dns.LookupAAAA(ctx, cfg.Hostname); err == nil {
		out = append(out, r.Records...)
	}
	return slices.Clone(out)
}

// resolversOf are the servers that the configuration names, else those of the system.
func resolversOf(cfg *config.Config) []netip.Addr {
	var out []netip.Addr
	for _, s := range cfg.DNS.Servers {
		if ap, err := netip.ParseAddrPort(s); err == nil {
			out = append(out, ap.Addr())
		}
	}
	if len(out) > 0 {
		return out
	}
	if conf, err := resolver.ReadResolvConf("/etc/resolv.conf"); err == nil {
		for _, ap := range conf.Servers {
			out = append(out, ap.Addr())
		}
	}
	return out
}
