package route

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"posta/internal/resolver"
	"posta/internal/smtp"
)

// byMX finds the hosts of a domain (RFC 5321 §5.1).
func (f *finder) byMX(ctx context.Context, domain string, port uint16) (*Route, error) {
	res, err := f.r.dns.LookupMX(ctx, domain)
	switch {
	case resolver.Temporary(err):
		return nil, unanswered(domain, err)
	case err != nil:
		return nil, &Error{smtp.New(550, "5.1.2", "The domain "+domain+" is not a name of the DNS."), err}
	case res.State == resolver.NXDomain:
		return nil, &Error{smtp.New(550, "5.1.2", "The domain "+domain+" does not exist."), nil}
	case res.State == resolver.NoData:
		return f.implicit(ctx, domain, port, true)
	}
	if nullMX(res.Records) {
		return nil, &Error{smtp.New(556, "5.1.10", "The domain "+domain+" takes no mail (null MX)."), nil}
	}
	hosts := f.resolveAll(ctx, f.ordered(res.Records), port, res.Authentic)
	hosts, looped := f.beforeUs(hosts)
	f.rt.Hosts = slices.DeleteFunc(hosts, func(h Host) bool { return len(h.Addrs) == 0 })
	switch {
	case len(f.rt.Hosts) > 0:
		return f.rt, nil
	case f.temp != nil:
		return nil, unanswered("the mail exchangers of "+domain, f.temp)
	case looped:
		return nil, loops(domain)
	}
	return nil, &Error{smtp.New(550, "5.4.4", "No mail exchanger of "+domain+" has an address."), nil}
}

// nullMX: RFC 7505 §3, one record whose host is the root. A root beside other
// hosts is a mistake; it is passed over like any host without an address.
func nullMX(mx []resolver.MX) bool { return len(mx) == 1 && mx[0].Host == "." }

// ordered gives the records by preference, each name once, shuffled within one
// preference, at most MaxHosts.
func (f *finder) ordered(records []resolver.MX) []resolver.MX {
	mx := make([]resolver.MX, 0, len(records))
	for _, m := range records {
		if m.Host != "." && !slices.ContainsFunc(mx, func(o resolver.MX) bool { return o.Host == m.Host }) {
			mx = append(mx, m)
		}
	}
	for i := len(mx) - 1; i > 0; i-- {
		j := f.r.cfg.ShuffleBy(i + 1)
		mx[i], mx[j] = mx[j], mx[i]
	}
	slices.SortStableFunc(mx, func(a, b resolver.MX) int { return int(a.Preference) - int(b.Preference) })
	if len(mx) > MaxHosts {
		f.note("%d of %d MX hosts are used", MaxHosts, len(mx))
		mx = mx[:MaxHosts]
	}
	return mx
}

// resolveAll looks the addresses of all hosts up, side by side.
func (f *finder) resolveAll(ctx context.Context, mx []resolver.MX, port uint16, authentic bool) []Host {
	found := make([]found, len(mx))
	var wg sync.WaitGroup
	for i := 1; i < len(mx); i++ {
		wg.Go(func() { found[i] = f.addresses(ctx, mx[i].Host) })
	}
	if len(mx) > 0 {
		found[0] = f.addresses(ctx, mx[0].Host)
	}
	wg.Wait()
	hosts := make([]Host, len(mx))
	for i, m := range mx {
		a := found[i]
		hosts[i] = Host{Name: m.Host, Addrs: a.addrs, Port: portOr25(port), Preference: m.Preference, Authentic: authentic && a.authentic}
		f.remark(m.Host, a)
	}
	return hosts
}

// remark keeps what is worth telling about a host's look-up.
func (f *finder) remark(host string, a found) {
	if a.err != nil && f.temp == nil {
		f.temp = a.err
	}
	switch {
	case a.literal:
		f.note("the MX %s is an address, not a name (RFC 5321 §5.1)", host)
	case a.alias:
		f.note("the MX %s is an alias (RFC 2181 §10.3)", host)
	}
	if len(a.addrs) == 0 && a.err != nil {
		f.note("the MX %s: %v", host, a.err)
	} else if len(a.addrs) == 0 {
		f.note("the MX %s has no address", host)
	}
}

// beforeUs leaves out ourselves and all that are not preferred to us (RFC 5321
// §5.1): what is left is strictly better than our own preference.
func (f *finder) beforeUs(hosts []Host) (better []Host, looped bool) {
	at := slices.IndexFunc(hosts, func(h Host) bool {
		return slices.Contains(f.r.cfg.Own, h.Name) || slices.ContainsFunc(h.Addrs, f.own)
	})
	if at < 0 {
		for i := range hosts {
			hosts[i].Addrs = slices.DeleteFunc(hosts[i].Addrs, func(ip netip.Addr) bool { return !f.usable(ip) })
		}
		return hosts, false
	}
	ours := hosts[at].Preference
	f.note("this host is the MX %s with preference %d", hosts[at].Name, ours)
	hosts = slices.DeleteFunc(hosts, func(h Host) bool { return h.Preference >= ours })
	return hosts, true
}

// implicit is the domain's own host; mx tells that it stands for a missing MX.
func (f *finder) implicit(ctx context.Context, host string, port uint16, mx bool) (*Route, error) {
	a := f.addresses(ctx, host)
	if len(a.addrs) > 0 && slices.ContainsFunc(a.addrs, f.own) && mx {
		return nil, loops(host)
	}
	a.addrs = slices.DeleteFunc(a.addrs, func(ip netip.Addr) bool { return !f.usable(ip) })
	switch {
	case len(a.addrs) > 0:
		f.rt.Hosts = []Host{{Name: host, Addrs: a.addrs, Port: portOr25(port), Authentic: a.authentic}}
		if mx {
			f.note("%s has no MX; its own address is used (RFC 5321 §5.1)", host)
		}
		return f.rt, nil
	case a.err != nil:
		return nil, unanswered(host, a.err)
	case a.missing:
		return nil, &Error{smtp.New(550, "5.1.2", "The domain "+host+" does not exist."), nil}
	}
	return nil, &Error{smtp.New(550, "5.4.4", "The domain "+host+" has neither MX nor address."), nil}
}

func portOr25(p uint16) uint16 {
	if p == 0 {
		return Port
	}
	return p
}

// found is what the DNS tells of a host.
type found struct {
	addrs     []netip.Addr // IPv6 first
	authentic bool
	alias     bool
	literal   bool  // the "name" is an address
	missing   bool  // the name does not exist
	err       error // a failure that may pass; addresses may be there all the same
}

// addresses looks both families up, side by side.
func (f *finder) addresses(ctx context.Context, host string) found {
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return found{addrs: []netip.Addr{ip.Unmap().WithZone("")}, literal: true}
	}
	var v6, v4 resolver.Result[netip.Addr]
	var err6, err4 error
	var wg sync.WaitGroup
	wg.Go(func() { v6, err6 = f.r.dns.LookupAAAA(ctx, host) })
	v4, err4 = f.r.dns.LookupA(ctx, host)
	wg.Wait()
	a := found{
		authentic: (err6 != nil || v6.Authentic) && (err4 != nil || v4.Authentic) && (err6 == nil || err4 == nil),
		alias:     len(v6.Chain) > 0 || len(v4.Chain) > 0,
		missing:   err6 == nil && err4 == nil && v6.State == resolver.NXDomain && v4.State == resolver.NXDomain,
	}
	for _, err := range []error{err6, err4} {
		if resolver.Temporary(err) {
			a.err = errors.Join(a.err, err)
		}
	}
	a.addrs = append(append(a.addrs, limited(v6.Records, MaxAddrs/2)...), limited(v4.Records, MaxAddrs/2)...)
	return a
}

func limited(ips []netip.Addr, n int) []netip.Addr { return ips[:min(n, len(ips))] }
