package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"posta/internal/authority"
	"posta/internal/autoconf"
	"posta/internal/command"
	"posta/internal/resolver"
	"posta/internal/rotate"
	"posta/internal/web"
)

// newRotator joins the replacement of DKIM keys with what it needs: the servers of
// zones, one by one, and who writes there.
func (s *server) newRotator() *rotate.Rotator {
	return rotate.New(rotate.Config{
		House: s.house, Jobs: s.state.Store, Node: nodeName(),
		Servers:   rotate.Authorities{Client: authority.New(s.dns, authority.Config{}), DNS: s.dns},
		Publisher: keyPublisher{s.house}, Every: time.Duration(s.cfg.DKIM.Rotate),
		Lifetime: time.Duration(s.cfg.Queue.Lifetime), Now: s.opt.Now, Log: s.log, Fail: s.opt.Failpoints,
	})
}

// keyPublisher writes DKIM records as dns.apply does.
type keyPublisher struct{ house *command.House }

// Keeps implements rotate.Publisher.
func (p keyPublisher) Keeps(domain string) bool { return command.KeepsKeys(p.house, domain) }

// Publish implements rotate.Publisher.
func (p keyPublisher) Publish(ctx context.Context, domain string) error {
	written, err := command.PublishKeys(ctx, p.house, domain)
	if command.DNSLocked(err) {
		return nil // that is no fault of the provider's; the next look writes
	}
	if err == nil && !written {
		err = fmt.Errorf("no DNS provider keeps the zone of %s any more", domain)
	}
	return err
}

// programDoors are the doors that mail programs are told of.
func (s *server) programDoors() []autoconf.Door {
	var out []autoconf.Door
	for _, b := range s.bound {
		if d, ok := web.Door(b.name, b.l.Addr().String()); ok {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, web.Preferred)
	return out
}

// Bounds of what is asked before certificates are renewed.
const (
	maxWebNames = 400
	webLookups  = 8
	webLookup   = 10 * time.Second
)

// webNames are the names of our domains, besides the host's, that lead to us: a
// certificate for one that does not could not be had, and authorities count failures.
func (s *server) webNames(ctx context.Context) ([]string, error) {
	if s.dns == nil || s.state == nil {
		return nil, nil // before anything is open
	}
	host, err := addressesOf(ctx, s.dns, s.cfg.Hostname)
	if err != nil {
		return nil, err
	}
	var names []string
	domains := s.state.Directory.View().Domains()
	slices.Sort(domains)
	for _, d := range domains {
		names = append(append(names, "mta-sts."+d), autoconf.Hosts(d)...)
	}
	return leading(ctx, s.dns, names[:min(len(names), maxWebNames)], slices.Concat(s.ownIPs(), host))
}

// leading are those of some names all of whose addresses are among ours. The error says
// that some could not be looked up; they are left out.
func leading(ctx context.Context, dns resolver.Resolver, names []string, ours []netip.Addr) (out []string, err error) {
	leads, errs := make([]bool, len(names)), make([]error, len(names))
	var wg sync.WaitGroup
	slots := make(chan struct{}, webLookups)
	for i, n := range names {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			at, err := addressesOf(ctx, dns, n)
			errs[i] = err
			leads[i] = len(at) > 0 && !slices.ContainsFunc(at, func(ip netip.Addr) bool { return !slices.Contains(ours, ip) })
		})
	}
	wg.Wait()
	for i, n := range names {
		if leads[i] {
			out = append(out, n)
		}
	}
	return out, errors.Join(errs...)
}

// addressesOf are a name's addresses.
func addressesOf(ctx context.Context, dns resolver.Resolver, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, webLookup)
	defer cancel()
	a, err := dns.LookupA(ctx, name)
	if err != nil {
		return nil, err
	}
	aaaa, err := dns.LookupAAAA(ctx, name)
	if err != nil {
		return nil, err
	}
	return slices.Concat(a.Records, aaaa.Records), nil
}
