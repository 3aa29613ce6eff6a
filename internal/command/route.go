package command

import (
	"cmp"
	"context"
	"strings"

	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/mailbox"
	"posta/internal/rules"
	"posta/internal/store"
)

// RouteQuery asks where mail goes: an address, or a domain.
type RouteQuery struct {
	To    string `json:"to"`
	From  string `json:"from,omitempty"`  // reverse-path, for rules of senders
	Login string `json:"login,omitempty"` // the account that submits it
}

// RoutePlan is where mail for a domain would go now, best host first.
type RoutePlan struct {
	Domain string      `json:"domain"`
	Here   bool        `json:"here,omitempty"`  // it is one of our own
	Fixed  bool        `json:"fixed,omitempty"` // by posta.toml or a rule, not by MX
	Rule   string      `json:"rule,omitempty"`  // that says its way; without hosts it is not asked further
	Way    string      `json:"way,omitempty"`   // "smtp:[host]:port", "pipe:NAME"
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
	local, domain, ok := strings.Cut(q.To, "@")
	if !ok {
		local, domain = "", q.To
	}
	v := h.Directory.View()
	if _, err := addr.ParseLiteral(domain); err != nil {
		d, err := addr.ParseDomain(domain)
		if err != nil {
			return nil, fail(ErrUsage, "error.destination.domain", domain, err)
		}
		if domain = string(d); v.Local(d) {
			return RoutePlan{Domain: domain, Here: true}, nil
		}
	}
	to := v.Renamed(addr.Address{Local: addr.Localpart(local), Domain: addr.Domain(domain)})
	from, account, err := routeSender(v, q)
	if err != nil {
		return nil, err
	}
	w, by, ok := v.Way(from, account, to)
	switch {
	case !ok:
		return h.ExplainRoute(ctx, string(to.Domain))
	case by.Kind == rules.Transport && !strings.Contains(by.Key, "@") && (w.By == rules.SMTP || w.By == rules.Direct || w.By == rules.Refused):
		plan, err := h.ExplainRoute(ctx, string(to.Domain))
		if err == nil {
			plan.Rule, plan.Way = by.Name(), w.String()
		}
		return plan, err
	}
	return RoutePlan{Domain: string(to.Domain), Rule: by.Name(), Way: w.String()}, nil
}

// routeSender reads who sends.
func routeSender(v *directory.View, q RouteQuery) (from addr.Address, account mailbox.AccountID, err error) {
	if q.Login != "" {
		acc := v.ByLogin(q.Login)
		if acc == nil {
			return from, 0, fail(ErrMissing, "error.account.missing", q.Login)
		}
		account, q.From = acc.ID, cmp.Or(q.From, acc.Login)
	}
	if q.From != "" {
		if from, err = addr.ParseAddress(q.From); err != nil {
			return from, 0, fail(ErrUsage, "error.address.syntax", q.From, err)
		}
	}
	return from, account, nil
}
