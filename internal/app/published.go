package app

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"

	"posta/internal/command"
	"posta/internal/mtasts"
	"posta/internal/relay"
	"posta/internal/resolver"
	"posta/internal/route"
	"posta/internal/rules"
)

// joinPublished makes what finds out where mail goes and how its way must be protected:
// routes, DANE, MTA-STS. DANE goes before MTA-STS (RFC 8461 §2).
func (s *server) joinPublished() error {
	rc := route.Config{
		Own: []string{strings.ToLower(s.cfg.Hostname)}, OwnAddrs: s.ownIPs(),
		// With a dialer of one's own, where addresses lead is the dialer's matter.
		Loopback: s.opt.Dial != nil,
		Ways: func(domain string, all bool) (rules.Way, bool) {
			return s.state.Directory.View().RouteOf(domain, all)
		},
	}
	var err error
	if rc.Default, err = smartHost(&s.cfg.Queue); err != nil {
		return err
	}
	s.router = route.New(rc, s.dns)
	s.sts = mtasts.NewCache(mtasts.Config{
		DNS: s.dns, Facts: s.state.Store, Now: s.opt.Now, Log: s.log,
		Source: &mtasts.Fetcher{Dial: s.dialName, Roots: s.opt.Roots, Now: s.opt.Now},
	})
	s.published = relay.InOrder{relay.DANE{DNS: s.dns, Now: s.opt.Now}, relay.STS{Policies: s.sts}}
	s.house.ExplainRoute = s.explainRoute
	return nil
}

// dialName opens a connection to "host:port" by our own resolver, since the system's may
// know other names than the one that mail goes by.
func (s *server) dialName(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	v4, err4 := s.dns.LookupA(ctx, host)
	v6, err6 := s.dns.LookupAAAA(ctx, host)
	addrs := append(v6.Records[:len(v6.Records):len(v6.Records)], v4.Records...)
	if len(addrs) == 0 {
		return nil, errors.Join(&net.DNSError{Err: "no address", Name: host, IsNotFound: err4 == nil && err6 == nil}, err4, err6)
	}
	dial := s.opt.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	var errs []error
	for _, ip := range addrs[:min(len(addrs), 4)] {
		c, err := dial(ctx, network, net.JoinHostPort(ip.String(), port))
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// tlsConfig is the base of every connection to another mail server.
func (s *server) tlsConfig() *tls.Config {
	return &tls.Config{RootCAs: s.opt.Roots, MinVersion: tls.VersionTLS12}
}

// explainRoute tells where mail for a domain would go now, and what the way must be like.
// It connects to no mail server.
func (s *server) explainRoute(ctx context.Context, domain string) (*command.RoutePlan, error) {
	plan := &command.RoutePlan{Domain: domain, Vouched: true}
	rt, err := s.router.Route(ctx, domain)
	if err != nil {
		plan.Error = err.Error()
		return plan, nil
	}
	plan.Fixed, plan.Notes = rt.Fixed, rt.Notes
	ruled := domain
	if rt.Fixed || strings.HasPrefix(domain, "[") {
		ruled = ""
	}
	for _, h := range rt.Hosts {
		p := command.RouteHost{Name: h.Name, Port: h.Port, Preference: h.Preference, TLS: h.TLS.String(), Source: "route", Authentic: h.Authentic}
		for _, ip := range h.Addrs {
			p.Addrs = append(p.Addrs, ip.String())
		}
		if h.TLS == route.Unset {
			rule, err := s.published.TLS(ctx, ruled, h)
			if err != nil {
				p.Error = err.Error()
			}
			p.TLS, p.Source, p.Policy, p.Problem = rule.Level.String(), rule.Source, rule.Applied.Text, rule.Applied.Reason
		}
		plan.Vouched = plan.Vouched && h.Authentic
		plan.Hosts = append(plan.Hosts, p)
	}
	if !plan.Vouched {
		plan.Validates = s.validates(ctx)
	}
	return plan, nil
}

// validates says whether the resolver vouches for a zone that is signed for certain: the
// root (RFC 4035 §3.2.3).
func (s *server) validates(ctx context.Context) bool {
	r, err := s.dns.Lookup(ctx, ".", resolver.TypeSOA)
	return err == nil && r.Authentic
}
