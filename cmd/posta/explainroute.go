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
	var q command.RouteQuery
	cmd := c.leaf("route ADDRESS|DOMAIN", "explain.route", 1, false, func(cmd *cobra.Command, args []string) error {
		var out command.RoutePlan
		q.To = args[0]
		if err := c.do(cmd.Context(), "explain.route", q, &out); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		c.printRoute(&out)
		return nil
	})
	cmd.Flags().StringVar(&q.From, "from", "", c.lang.Say("flag.explain.from"))
	cmd.Flags().StringVar(&q.Login, "login", "", c.lang.Say("flag.explain.login"))
	return cmd
}

func (c *cli) printRoute(p *command.RoutePlan) {
	if p.Rule != "" {
		c.line(0, "explain.route.rule", p.Domain, p.Rule, p.Way)
		if len(p.Hosts) == 0 && p.Error == "" {
			return
		}
	}
	switch {
	case p.Here:
		c.line(0, "explain.route.here", p.Domain)
		return
	case p.Error != "":
		c.line(0, "explain.route.error", p.Domain, p.Error)
		return
	case p.Rule != "":
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
