package audit

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"posta/internal/finding"
	"posta/internal/resolver"
)

// soon is how near the end of a signature is a fault: over a weekend nobody looks.
const soon = 3 * 24 * time.Hour

// signed judges how the zone is signed (CH-DNS-03).
func signed(ctx context.Context, a *audit) []finding.Finding {
	z := a.facts.zone()
	if z.err != nil || z.Name == "." || a.setup() == absent {
		return nil
	}
	ch := a.cfg.Authority.Chain(ctx, &z.Zone, a.cfg.Now(), resolver.TypeMX, resolver.TypeTXT)
	if ch.Err != nil {
		return unverified(ch.Err, z.Name, finding.DNSSECNone, finding.DNSSECBogus)
	}
	if !ch.Signed() {
		return []finding.Finding{finding.Of(finding.DNSSECNone, finding.Fail, z.Name, "DS in "+z.Parent, "none")}
	}
	facts := []string{"DS in " + z.Parent, strings.Join(ch.DS, "; "), "keys", strings.Join(ch.Keys, "; ")}
	out := []finding.Finding{finding.Of(finding.DNSSECNone, finding.Pass, z.Name, facts...)}
	if ch.Bogus != nil {
		return append(out, finding.Of(finding.DNSSECBogus, finding.Fail, z.Name, append(facts, "error", ch.Bogus.Error())...))
	}
	out = append(out, finding.Of(finding.DNSSECBogus, finding.Pass, z.Name, facts...))
	if !ch.Expire.IsZero() {
		left := ch.Expire.Sub(a.cfg.Now())
		out = append(out, judged(finding.DNSSECExpiring, left < soon, z.Name, "ends", ch.Expire.UTC().Format(time.RFC3339)))
	}
	return append(out, judged(finding.DNSSECWeak, len(ch.Weak) > 0, z.Name, append(facts, "SHA-1", strings.Join(ch.Weak, "; "), "NSEC3 iterations", fmt.Sprint(ch.NSEC3))...))
}

// ownResolver judges the resolver of our own host (CH-DNS-04); that of whoever audits
// a stranger says nothing of the stranger.
func ownResolver(ctx context.Context, a *audit) []finding.Finding {
	if a.Self == nil {
		return nil
	}
	var out []finding.Finding
	r, err := a.cfg.Resolver.LookupNS(ctx, ".")
	if err != nil {
		out = unverified(err, a.Self.Hostname, finding.ResolverPlain)
	} else {
		out = append(out, judged(finding.ResolverPlain, !r.Authentic, a.Self.Hostname, "AD for the root", fmt.Sprint(r.Authentic)))
	}
	for _, ip := range a.Self.Resolvers {
		out = append(out, judged(finding.ResolverPublic, slices.ContainsFunc(publicResolvers(), func(p netip.Prefix) bool { return p.Contains(ip) }), ip.String()))
	}
	return out
}

// publicResolvers are the best known ones, by network: Google, Cloudflare, Quad9,
// OpenDNS, AdGuard, Yandex, Level 3.
func publicResolvers() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{
		"8.8.8.8/32", "8.8.4.4/32", "2001:4860:4860::/48", "1.1.1.0/29", "1.0.0.0/29", "2606:4700:4700::/48",
		"9.9.9.0/24", "149.112.112.0/24", "2620:fe::/48", "208.67.222.0/24", "208.67.220.0/24", "2620:119:35::/48", "2620:119:53::/48",
		"94.140.14.0/23", "2a10:50c0::/32", "77.88.8.0/24", "2a02:6b8::feed:0/112", "4.2.2.0/29",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}
