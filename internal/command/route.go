package command

import (
	"context"
	"strings"

	"posta/internal/addr"
	"posta/internal/store"
)

// RouteQuery asks where mail goes: an address, or a domain.
type RouteQuery struct {
	To string `json:"to"`
}

// RoutePlan is where mail for a domain would go now, best host first.
type RoutePlan struct {
	Domain string      `json:"domain"`
	Here   bool        `json:"here,omitempty"`  // it is one of our own
	Fixed  bool        `json:"fixed,omitempty"` // by posta.toml, not by MX
	Error  string      `json:"error,omitempty"` // why there is no way
	Hosts  []RouteHost `json:"hosts,omitempty"`
	Notes  []string    `json:"notes,omitempty"`
	// Vouched: the DNS vouches for all hosts, as DANE needs it. If not, Validates tells
	// whether the resolver vouches for anything.
	Vouched   bool `json:"vouched"`
	Validates bool `json:"validates,omitempty"`
}

// RouteHost is a host and how a connection to it must be protected.
type RouteHost struct {
	Name       string   `json:"name"`
	Addrs      []string `json:"addrs,omitempty"`
	Port       uint16   `json:"port"`
	Preference uint16   `json:"preference"`
	TLS        string   `json:"tls"`              // "none", "opportunistic", "required", "verified"; "" with Error
	Source     string   `json:"source,omitempty"` // "dane", "mta-sts", "mta-sts testing", "route"; "": nothing is published
	Policy     []string `json:"policy,omitempty"` // what is published
	Problem    string   `json:"problem,omitempty"`
	Error      string   `json:"error,omitempty"` // why it would not be used
	Authentic  bool     `json:"authentic,omitempty"`
}

var routeCommands = []Command{
	run("explain.route", store.Helpdesk, explainRoute),
}

func explainRoute(ctx context.Context, h *House, _ Principal, q RouteQuery) (any, error) {
	if h.ExplainRoute == nil {
		return nil, fail(ErrUsage, "error.explain.here")
	}
	_, domain, ok := strings.Cut(q.To, "@")
	if !ok {
		domain = q.To
	}
	if _, err := addr.ParseLiteral(domain); err != nil {
		d, err := addr.ParseDomain(domain)
		if err != nil {
			return nil, fail(ErrUsage, "error.destination.domain", domain, err)
		}
		if domain = string(d); h.Directory.View().Local(d) {
			return RoutePlan{Domain: domain, Here: true}, nil
		}
	}
	return h.ExplainRoute(ctx, domain)
}
