package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"posta/internal/command"
)

// explainRoute tells where mail for a domain goes, and which policy protects the way.
func (c *cli) explainRoute() *cobra.Command {
	return c.leaf("route ADDRESS|DOMAIN", "explain.route", 1, false, func(cmd *cobra.Command, args []string) error {
		var out command.RoutePlan
		if err := c.do(cmd.Context(), "explain.route", command.RouteQuery{To: args[0]}, &out); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		c.printRoute(&out)
		return nil
	})
}

func (c *cli) printRoute(p *command.RoutePlan) {
	switch {
	case p.Here:
		c.line(0, "explain.route.here", p.Domain)
		return
	case p.Error != "":
		c.line(0, "explain.route.error", p.Domain, p.Error)
		return
	case p.Fixed:
		c.line(0, "explain.route.fixed", p.Domain)
	default:
		c.line(0, "explain.route.mx", p.Domain)
	}
	for i := range p.Hosts {
		c.printRouteHost(&p.Hosts[i])
	}
	for _, n := range p.Notes {
		c.line(0, "explain.route.note", n)
	}
	switch {
	case p.Vouched:
	case p.Validates:
		c.say("explain.route.unsigned")
	default:
		c.say("explain.route.novalidation")
	}
}

func (c *cli) printRouteHost(h *command.RouteHost) {
	c.line(1, "explain.route.host", h.Name, fmt.Sprint(h.Port), strings.Join(h.Addrs, " "))
	if h.Error != "" {
		c.line(2, "explain.route.unused", h.Error)
		return
	}
	c.line(2, "explain.route.tls", c.lang.Say("explain.tls."+cmp.Or(h.TLS, "opportunistic")), c.lang.Say("explain.source."+cmp.Or(strings.ReplaceAll(h.Source, " ", "-"), "default")))
	for _, text := range h.Policy {
		c.line(3, "explain.route.policy", text)
	}
	if h.Problem != "" {
		c.line(2, "explain.route.problem", h.Problem)
	}
}
