package audit

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"posta/internal/finding"
	"posta/internal/resolver"
)

// exchangers judges the MX records and where they lead (S9 to S13).
func exchangers(_ context.Context, a *audit) []finding.Finding {
	x := a.facts.mx()
	if x.err != nil {
		return unverified(x.err, a.Domain, finding.SenderDomain, finding.SenderMX, finding.MXNull)
	}
	out := []finding.Finding{judged(finding.SenderDomain, x.state == resolver.NXDomain, a.Domain, "DNS", x.state.String())}
	if x.state == resolver.NXDomain {
		return out
	}
	out = append(out, a.wantsMX(&x)...)
	out = append(out, a.nullMX(&x)...)
	out = append(out, together(&x, a.Domain)...)
	for i := range x.hosts {
		out = append(out, exchanger(&x.hosts[i])...)
	}
	return out
}

// wantsMX judges whether there is an MX record where one is wanted. A domain that
// takes no mail, or only sends, needs none.
func (a *audit) wantsMX(x *exchange) []finding.Finding {
	seen := fmt.Sprintf("%d MX records", len(x.hosts)+x.more)
	if x.null {
		seen += ", and MX 0 ."
	}
	switch a.setup() {
	case withMail:
		out := []finding.Finding{finding.Of(finding.SenderMX, finding.Pass, a.Domain, "MX", seen)}
		if a.SendOnly {
			out = append(out, finding.Of(finding.MXSendOnly, finding.Fail, a.Domain, "declared", "send-only", "MX", seen))
		}
		return out
	case implicit:
		if p := a.facts.policy(); p.err == nil && len(p.texts) > 0 && !p.authorises() {
			return []finding.Finding{finding.Of(finding.SenderMX, finding.NotApplicable, a.Domain, "MX", seen, "SPF", strings.Join(p.texts, "; "))}
		}
		return []finding.Finding{finding.Of(finding.SenderMX, finding.Fail, a.Domain, "MX", seen, "address", addresses(a.facts.own()[0].addrs))}
	case sendOnly:
		return []finding.Finding{finding.Of(finding.SenderMX, finding.NotApplicable, a.Domain, "MX", seen, "declared", "send-only")}
	}
	return []finding.Finding{finding.Of(finding.SenderMX, finding.NotApplicable, a.Domain, "MX", seen)}
}

// nullMX judges what the domain says of taking no mail at all (RFC 7505). A domain
// that sends must be able to hear of bounces, so that its null MX is a fault.
func (a *audit) nullMX(x *exchange) []finding.Finding {
	p := a.facts.policy()
	sends := p.err == nil && p.authorises()
	if x.null {
		return []finding.Finding{
			judged(finding.MXNullMixed, len(x.hosts)+x.more > 0, a.Domain, "MX", fmt.Sprintf("0 . and %d others", len(x.hosts)+x.more)),
			judged(finding.MXNull, sends && !a.SendOnly, a.Domain, "MX", "0 .", "SPF", strings.Join(p.texts, "; ")),
		}
	}
	if a.setup() == implicit && p.err == nil && len(p.texts) > 0 && !sends {
		return []finding.Finding{finding.Of(finding.MXParked, finding.Fail, a.Domain, "MX", "none", "address", addresses(a.facts.own()[0].addrs), "SPF", strings.Join(p.texts, "; "))}
	}
	return nil
}

// together judges the exchangers side by side: each should help when another is away,
// and one should have IPv6.
func together(x *exchange, domain string) []finding.Finding {
	if len(x.hosts) == 0 {
		return nil
	}
	owner := map[netip.Addr]string{}
	var same, seen []string
	six, failed := false, error(nil)
	for _, h := range x.hosts {
		if h.err != nil {
			failed = h.err
		}
		seen = append(seen, "MX", fmt.Sprintf("%d %s %s", h.preference, h.name, addresses(h.addrs)))
		for _, ip := range h.addrs {
			six = six || ip.Is6()
			if other, ok := owner[ip]; ok && other != h.name {
				same = append(same, "both", other+" and "+h.name+" have "+ip.String())
			}
			owner[ip] = h.name
		}
	}
	out := []finding.Finding{judged(finding.MXSame, len(same) > 0, domain, same...)}
	if len(owner) == 0 && failed == nil {
		return out // each has its own finding
	}
	if failed != nil && !six {
		return append(out, unverified(failed, domain, finding.MXIPv6)...)
	}
	return append(out, judged(finding.MXIPv6, !six, domain, seen...))
}

// exchanger judges one MX host: a name and no address, no alias, with addresses that
// the world can reach.
func exchanger(h *host) []finding.Finding {
	subject := h.name
	out := []finding.Finding{judged(finding.MXAddress, h.literal, subject, "MX", fmt.Sprintf("%d %s", h.preference, h.name))}
	if h.literal {
		return out
	}
	if h.state == 0 {
		return append(out, unverified(h.err, subject, finding.MXDangling, finding.MXCNAME, finding.MXPrivate)...)
	}
	out = append(out, judged(finding.MXCNAME, len(h.alias) > 0, subject, "alias of", strings.Join(h.alias, " → ")))
	if len(h.alias) == 0 {
		out[len(out)-1].Evidence = nil
	}
	if h.state != resolver.Found && h.err == nil {
		return append(out, finding.Of(finding.MXDangling, finding.Fail, subject, "A and AAAA", h.state.String()))
	}
	out = append(out, finding.Of(finding.MXDangling, finding.Pass, subject, "addresses", addresses(h.addrs)))
	var private []netip.Addr
	for _, ip := range h.addrs {
		if !public(ip) {
			private = append(private, ip)
		}
	}
	if len(private) == 0 {
		return append(out, finding.Of(finding.MXPrivate, finding.Pass, subject))
	}
	return append(out, judged(finding.MXPrivate, len(private) == len(h.addrs), subject, "not public", addresses(private)))
}

// public tells an address that the Internet can reach.
func public(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !sharedSpace.Contains(ip)
}

// sharedSpace is between a provider and its customers (RFC 6598 §7).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

func addresses(ips []netip.Addr) string {
	if len(ips) == 0 {
		return "none"
	}
	s := make([]string, len(ips))
	for i, ip := range ips {
		s[i] = ip.String()
	}
	return strings.Join(s, " ")
}
