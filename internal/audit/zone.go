package audit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"

	"posta/internal/authority"
	"posta/internal/finding"
	"posta/internal/resolver"
)

// nameServers judges the delegation and each server of the zone (CH-DNS-01).
func nameServers(ctx context.Context, a *audit) []finding.Finding {
	z := a.facts.zone()
	if errors.Is(z.err, authority.ErrNoZone) {
		return nil // sender.domain says that there is no such name
	}
	if z.err != nil {
		return unverified(z.err, a.Domain, finding.NSDelegation, finding.NSLame, finding.NSDisagree)
	}
	var out []finding.Finding
	var answers, agree []finding.Finding
	var wg sync.WaitGroup
	wg.Go(func() { answers = a.servers(ctx, &z.Zone) })
	wg.Go(func() { agree = a.agreement(ctx, &z.Zone) })
	out = append(out, delegation(&z.Zone)...)
	out = append(out, glue(&z.Zone)...)
	out = append(out, places(&z.Zone)...)
	wg.Wait()
	return slices.Concat(out, answers, agree)
}

// delegation compares the parent's list with the zone's own.
func delegation(z *authority.Zone) []finding.Finding {
	if z.Delegated == nil {
		err := z.DelegationErr
		if err == nil {
			err = errors.New("the root is delegated by nobody")
		}
		return unverified(err, z.Name, finding.NSDelegation)
	}
	return []finding.Finding{judged(finding.NSDelegation, !slices.Equal(z.Delegated, z.Listed), z.Name,
		"delegated by "+z.Parent, strings.Join(z.Delegated, " "), "NS of "+z.Name, strings.Join(z.Listed, " "))}
}

// glue compares the addresses in the delegation with what the servers' names say.
func glue(z *authority.Zone) (out []finding.Finding) {
	for _, s := range z.Servers {
		ips := slices.SortedFunc(slices.Values(z.Glue[s.Host]), netip.Addr.Compare)
		if len(ips) == 0 || s.Err != nil {
			continue
		}
		foreign := slices.ContainsFunc(ips, func(ip netip.Addr) bool { return !slices.Contains(s.Addrs, ip) })
		out = append(out, judged(finding.NSGlue, foreign, s.Host, "glue", addresses(ips), "addresses", addresses(s.Addrs)))
	}
	return out
}

// places judges whether the servers stand apart, and on both families.
func places(z *authority.Zone) []finding.Finding {
	networks := map[netip.Prefix]bool{}
	var seen []string
	six, failed := false, false
	for _, s := range z.Servers {
		failed = failed || s.Err != nil
		for _, ip := range s.Addrs {
			bits := 24
			if ip.Is6() {
				bits, six = 48, true
			} else {
				p, _ := ip.Prefix(bits)
				networks[p] = true
			}
		}
		seen = append(seen, "server", s.Host+" "+addresses(s.Addrs))
	}
	if failed && (len(networks) < 2 || !six) {
		return unverified(errors.New("the addresses of a name server could not be looked up"), z.Name, finding.NSSingle, finding.NSIPv6)
	}
	return []finding.Finding{
		judged(finding.NSSingle, len(networks) < 2, z.Name, seen...),
		judged(finding.NSIPv6, !six, z.Name, seen...),
	}
}

// servers asks each address for the SOA over UDP and TCP: does it have the zone, and
// does it speak both, and EDNS?
func (a *audit) servers(ctx context.Context, z *authority.Zone) []finding.Finding {
	var udp, tcp []authority.View
	var wg sync.WaitGroup
	wg.Go(func() { udp = a.cfg.Authority.Views(ctx, z, authority.Question{Name: z.Name, Type: resolver.TypeSOA}) })
	wg.Go(func() {
		tcp = a.cfg.Authority.Views(ctx, z, authority.Question{Name: z.Name, Type: resolver.TypeSOA, TCP: true})
	})
	wg.Wait()
	var out []finding.Finding
	for i := range udp {
		if noRoute(&udp[i]) {
			a.probed("no IPv6 here: name servers were not asked over it")
			continue
		}
		out = append(out, server(&udp[i], &tcp[i])...)
	}
	for _, s := range z.Servers {
		if len(s.Addrs) == 0 && s.Err == nil {
			out = append(out, finding.Of(finding.NSLame, finding.Fail, s.Host, "addresses", "none"))
		}
	}
	return out
}

// server judges one address. A server that did not answer at all is not known to be
// lame: it may be our way to it.
func server(udp, tcp *authority.View) []finding.Finding {
	subject := udp.Host + " (" + udp.Addr.String() + ")"
	if refused, ok := errors.AsType[*authority.Refused](udp.Err); ok {
		return []finding.Finding{finding.Of(finding.NSLame, finding.Fail, subject, "SOA", refused.Error())}
	}
	if udp.Err != nil && tcp.Err != nil {
		return unverified(udp.Err, subject, finding.NSLame, finding.NSTransport)
	}
	view := udp
	if udp.Err != nil {
		view = tcp
	}
	if !view.Authoritative || view.State != resolver.Found {
		return []finding.Finding{finding.Of(finding.NSLame, finding.Fail, subject, "SOA", "not authoritative, "+view.State.String())}
	}
	out := []finding.Finding{finding.Of(finding.NSLame, finding.Pass, subject, "SOA", view.Records[0].Data)}
	switch {
	case errors.Is(tcp.Err, syscall.ECONNREFUSED):
		return append(out, finding.Of(finding.NSTransport, finding.Fail, subject, "TCP", tcp.Err.Error()))
	case tcp.Err != nil:
		return append(out, unverified(tcp.Err, subject, finding.NSTransport)...)
	case udp.Err != nil:
		return append(out, unverified(udp.Err, subject, finding.NSTransport)...)
	}
	return append(out, judged(finding.NSTransport, !udp.EDNS, subject, "EDNS", fmt.Sprint(udp.EDNS), "TCP", "true"))
}

// noRoute tells that this machine has no way to the address's family.
func noRoute(v *authority.View) bool {
	return v.Addr.Is6() && (errors.Is(v.Err, syscall.ENETUNREACH) || errors.Is(v.Err, syscall.EADDRNOTAVAIL) || errors.Is(v.Err, syscall.EHOSTUNREACH) || errors.Is(v.Err, syscall.EAFNOSUPPORT))
}

// agreement compares what mail needs, as each server tells it.
func (a *audit) agreement(ctx context.Context, z *authority.Zone) []finding.Finding {
	questions := []authority.Question{
		{Name: a.Domain, Type: resolver.TypeMX}, {Name: a.Domain, Type: resolver.TypeTXT},
		{Name: "_dmarc." + a.Domain, Type: resolver.TypeTXT}, {Name: "_mta-sts." + a.Domain, Type: resolver.TypeTXT},
	}
	found := make([][]finding.Finding, len(questions))
	var wg sync.WaitGroup
	for i, q := range questions {
		wg.Go(func() { found[i] = compare(q, a.cfg.Authority.Views(ctx, z, q)) })
	}
	wg.Wait()
	return slices.Concat(found...)
}

// compare judges the answers of the servers that have the zone; the others are
// ns.lame's matter.
func compare(q authority.Question, views []authority.View) []finding.Finding {
	subject := q.Name + " " + q.Type.String()
	answers := map[string]bool{}
	var seen []string
	for i := range views {
		if v := &views[i]; v.Err == nil && v.Authoritative {
			text := shown(v)
			answers[text] = true
			seen = append(seen, v.Host+" ("+v.Addr.String()+")", text)
		}
	}
	if len(answers) == 0 {
		return unverified(errors.New("no server of the zone answered"), subject, finding.NSDisagree)
	}
	return []finding.Finding{judged(finding.NSDisagree, len(answers) > 1, subject, seen...)}
}

// shown is an answer in one line, its records sorted.
func shown(v *authority.View) string {
	if len(v.Records) == 0 {
		return v.State.String()
	}
	var lines []string
	for _, r := range v.Records {
		lines = append(lines, r.Type.String()+" "+r.Data)
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}
