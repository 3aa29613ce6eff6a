package main

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"posta/internal/config"
	"posta/internal/resolver"
)

// outside is what a command needs that only looks at the world: no data folder, no configuration.
type outside struct{ servers []string }

// flags gives the command --dns.
func (o *outside) flags(c *cli, cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&o.servers, "dns", nil, c.lang.Say("flag.dns"))
}

// resolver asks the servers of --dns, else those of the configuration where there is one, else those of the system. The
// caller closes it.
func (o *outside) resolver(c *cli) (*resolver.Client, error) {
	servers, err := o.addresses(c)
	if err != nil {
		return nil, err
	}
	return resolver.New(resolver.Config{Servers: servers})
}

// addresses are the servers that were named; none for those of the system.
func (o *outside) addresses(c *cli) ([]netip.AddrPort, error) {
	servers := o.servers
	if len(servers) == 0 {
		if cfg, err := config.Load(c.configFile); err == nil {
			servers = cfg.DNS.Servers
		}
	}
	var out []netip.AddrPort
	for _, s := range servers {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			var ip netip.Addr
			if ip, err = netip.ParseAddr(s); err != nil {
				return nil, fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.dns.server", s))
			}
			ap = netip.AddrPortFrom(ip, 53)
		}
		out = append(out, ap)
	}
	return out, nil
}
