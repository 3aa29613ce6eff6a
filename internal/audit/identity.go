package audit

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"posta/internal/finding"
	"posta/internal/helo"
	"posta/internal/iprev"
	"posta/internal/spf"
)

const maxSenders = 16 // addresses judged as senders

// identities judges the reverse names of the addresses that send, and the names that
// they give in HELO (S1 to S8, S14 to S19), all addresses side by side.
func identities(ctx context.Context, a *audit) []finding.Finding {
	if len(a.IPs) == 0 && a.Self == nil && !a.mayAnybodySend() {
		return nil
	}
	ips := a.facts.sends()
	ips = ips[:min(len(ips), maxSenders)]
	found := make([][]finding.Finding, len(ips))
	var wg sync.WaitGroup
	for i, ip := range ips {
		if !public(ip) {
			continue // mx.private says so; nobody outside sees it
		}
		wg.Go(func() { found[i] = a.identity(ctx, ip) })
	}
	wg.Wait()
	return slices.Concat(found...)
}

// mayAnybodySend is false where the domain says that nobody does, by SPF or by having
// neither exchanger nor address.
func (a *audit) mayAnybodySend() bool {
	switch a.setup() {
	case withMail, unknown:
		return true
	case parked, absent:
		return false
	}
	p := a.facts.policy()
	return p.err != nil || len(p.texts) == 0 || p.authorises()
}

func (a *audit) identity(ctx context.Context, ip netip.Addr) []finding.Finding {
	r := iprev.Check(ctx, a.cfg.Resolver, ip)
	out := reverse(&r)
	name := a.heloOf(ip)
	if name == "" {
		return out
	}
	facts := helo.Facts{Arg: name, Client: ip, Confirmed: r.Confirmed, Unverified: r.Status == iprev.TempError}
	s := spf.CheckHELO(ctx, a.cfg.Resolver, spf.Args{IP: ip, HELO: name, Now: a.cfg.Now()})
	facts.SPFPass = s.Status == spf.Pass
	h := helo.Check(ctx, a.cfg.Resolver, facts).WithMX(a.exchangerNames())
	return append(out, greeting(&h, &s, ip)...)
}

// heloOf is the name that an address gives in HELO: what the target says, our own, or
// that of the exchanger which has the address.
func (a *audit) heloOf(ip netip.Addr) string {
	if a.HELO != "" {
		return a.HELO
	}
	if a.Self != nil {
		return a.Self.Hostname
	}
	for _, h := range a.exchangerHosts() {
		if slices.Contains(h.addrs, ip) {
			return h.name
		}
	}
	return ""
}

func (a *audit) exchangerNames() []string {
	var out []string
	for _, h := range a.exchangerHosts() {
		out = append(out, h.name)
	}
	return out
}

// reverse maps reverse DNS to checks (RFC 8601 §2.7.3).
func reverse(r *iprev.Result) []finding.Finding {
	ip := r.IP.String()
	with := func(id finding.ID, bad bool) finding.Finding { return judged(id, bad, ip, r.Facts()...) }
	switch r.Status {
	case iprev.PermError:
		return []finding.Finding{with(finding.PTRMissing, true)}
	case iprev.Fail:
		return []finding.Finding{with(finding.PTRMissing, false), with(finding.PTRMismatch, true)}
	case iprev.TempError:
		return unverified(r.Err, ip, finding.PTRMissing, finding.PTRMismatch)
	}
	kind, reason := iprev.Generic(r.Confirmed[0], r.IP)
	out := []finding.Finding{
		with(finding.PTRMissing, false), with(finding.PTRMismatch, false),
		judged(finding.PTRGeneric, kind > iprev.StaticPool, ip, "name", r.Confirmed[0], "looks", strings.TrimSpace(kind.String()+" "+reason)),
		judged(finding.PTRMany, r.Total > 1, ip, "names", fmt.Sprint(r.Total)),
	}
	return out
}

// greeting maps the HELO name to checks.
func greeting(h *helo.Result, s *spf.Result, ip netip.Addr) []finding.Finding {
	subject := h.Arg + " (" + ip.String() + ")"
	facts := h.Facts()
	with := func(id finding.ID, bad bool) finding.Finding { return judged(id, bad, subject, facts...) }
	literal := h.Shape == helo.LiteralOwn || h.Shape == helo.LiteralOther || h.Shape == helo.LiteralInvalid || h.Shape == helo.BareIP
	if literal {
		return []finding.Finding{with(finding.HELOLiteral, true)}
	}
	if h.Shape != helo.FQDN {
		return []finding.Finding{with(finding.HELOFQDN, true)}
	}
	out := []finding.Finding{with(finding.HELOFQDN, false), with(finding.HELOLiteral, false)}
	switch h.Existence {
	case helo.CannotTell:
		return append(out, unverified(h.Err, subject, finding.HELOUnknown, finding.HELOMismatch)...)
	case helo.Exists:
		out = append(out, with(finding.HELOUnknown, false))
	default:
		return append(out, with(finding.HELOUnknown, true))
	}
	if h.Proof == helo.Unknown {
		out = append(out, unverified(h.Err, subject, finding.HELOMismatch)...)
	} else {
		out = append(out, with(finding.HELOMismatch, h.Proof == helo.Unproven))
	}
	switch s.Status {
	case spf.Fail:
		out = append(out, finding.Of(finding.SPFHELO, finding.Fail, subject, tree(s)...))
	case spf.Pass:
		out = append(out, finding.Of(finding.SPFHELO, finding.Pass, subject, tree(s)...))
	case spf.TempError:
		out = append(out, unverified(s.Err, subject, finding.SPFHELO)...)
	}
	return out
}
