package audit

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"posta/internal/addr"
	"posta/internal/dmarc"
	"posta/internal/finding"
	"posta/internal/resolver"
)

const (
	maxReceivers = 8 // addresses for reports that are looked at
	maxURIs      = 2 // that receivers must send to (RFC 9990 §3)
)

// protection judges the DMARC record that holds for the domain: its own, or that of its
// organisation (RFC 9989 §4.10).
func protection(ctx context.Context, a *audit) []finding.Finding {
	if a.setup() == absent {
		return nil
	}
	p := a.facts.dmarc()
	if p.org.Err != nil && p.query == nil {
		return unverified(p.org.Err, a.Domain, finding.DMARCMissing, finding.DMARCInvalid, finding.DMARCNone)
	}
	out := a.misplaced(ctx)
	if p.query == nil {
		facts := []string{"asked", strings.Join(askedNames(p.org.Asked), " ")}
		return append(out, finding.Of(finding.DMARCMissing, finding.Fail, a.Domain, facts...))
	}
	facts := []string{"_dmarc." + string(p.query.Domain), p.query.Text}
	out = append(out, finding.Of(finding.DMARCMissing, finding.Pass, a.Domain, facts...))
	if p.query.Record == nil || p.query.Record.Invalid {
		if p.query.Count > 1 {
			facts = append(facts, "records", fmt.Sprint(p.query.Count))
		}
		return append(out, finding.Of(finding.DMARCInvalid, finding.Fail, a.Domain, append(facts, problems(p.query.Record)...)...))
	}
	out = append(out, finding.Of(finding.DMARCInvalid, finding.Pass, a.Domain, append(facts, problems(p.query.Record)...)...))
	out = append(out, a.strength(p, facts)...)
	return append(out, a.reporting(ctx, p, facts)...)
}

// dmarcFact is the record that holds for the domain; query is nil where there is none.
type dmarcFact struct {
	org   dmarc.Organization
	query *dmarc.Query
	own   bool // the record is the domain's, not its organisation's
}

// findProtection asks for the domain's own record and for those up the tree.
func findProtection(ctx context.Context, dns resolver.Resolver, domain string) dmarcFact {
	d := addr.Domain(domain)
	f := dmarcFact{org: dmarc.FindOrganization(ctx, dmarc.Lookup{TXT: txtOf(dns)}, d)}
	for _, want := range []addr.Domain{d, f.org.Walk} {
		for i := range f.org.Asked {
			if q := &f.org.Asked[i]; q.Domain == want && q.Count > 0 {
				f.query, f.own = q, want == d
				return f
			}
		}
	}
	return f
}

// txtOf asks a resolver as package dmarc wants to be answered.
func txtOf(dns resolver.Resolver) dmarc.TXTLookup {
	return func(ctx context.Context, name string) ([]string, bool, error) {
		r, err := dns.LookupTXT(ctx, name)
		return r.Records, err == nil && r.State == resolver.Found, err
	}
}

func askedNames(asked []dmarc.Query) []string {
	out := make([]string, len(asked))
	for i, q := range asked {
		out[i] = "_dmarc." + string(q.Domain)
	}
	return out
}

func problems(r *dmarc.Record) (facts []string) {
	if r != nil {
		for _, p := range r.Problems {
			facts = append(facts, "problem", p)
		}
	}
	return facts
}

// misplaced looks where people put the record by mistake (S25): at the domain itself, and
// below a name that was doubled by a missing final dot.
func (a *audit) misplaced(ctx context.Context) []finding.Finding {
	names := []string{a.Domain, "_dmarc." + a.Domain + "." + a.Domain, "dmarc." + a.Domain}
	var facts []string
	for _, name := range names {
		if len(name) > addr.MaxDomain {
			continue
		}
		r, err := a.cfg.Resolver.LookupTXT(ctx, name)
		if err != nil {
			continue // the record's absence is no fault, so nothing hangs on it
		}
		for _, t := range r.Records {
			if strings.HasPrefix(strings.ToLower(strings.TrimSpace(t)), "v=dmarc1") {
				facts = append(facts, name, t)
			}
		}
	}
	return []finding.Finding{judged(finding.DMARCMisplaced, len(facts) > 0, a.Domain, facts...)}
}

// strength judges what the record asks for.
func (a *audit) strength(p dmarcFact, facts []string) []finding.Finding {
	r := p.query.Record
	policy := r.P
	if !p.own && r.SP != dmarc.Unset {
		policy = r.SP
	}
	weaker := p.own && r.P > dmarc.None && (r.SP != dmarc.Unset && r.SP < r.P || r.NP != dmarc.Unset && r.NP < r.P)
	removed := slices.ContainsFunc(r.Problems, func(s string) bool { return strings.HasSuffix(s, ": removed") })
	out := []finding.Finding{
		judged(finding.DMARCNone, policy <= dmarc.None, a.Domain, facts...),
		judged(finding.DMARCSubdomains, weaker, a.Domain, facts...),
		judged(finding.DMARCTesting, r.Testing, a.Domain, facts...),
		judged(finding.DMARCRemoved, removed, a.Domain, facts...),
	}
	if policy == dmarc.Reject && a.setup() == withMail { // of a parked domain nobody writes
		out = append(out, finding.Of(finding.DMARCPeople, finding.Fail, a.Domain, facts...))
	}
	return out
}

// reporting judges where reports go: that somebody gets them, has agreed to, and can.
func (a *audit) reporting(ctx context.Context, p dmarcFact, facts []string) []finding.Finding {
	r := p.query.Record
	out := []finding.Finding{
		judged(finding.DMARCReports, len(r.RUA) == 0 && a.setup() != parked, a.Domain, facts...),
		judged(finding.DMARCAddresses, len(r.RUA) > maxURIs, a.Domain, facts...),
		judged(finding.DMARCFailures, len(r.RUF) > 0, a.Domain, facts...),
	}
	var domains []string
	for _, uri := range r.RUA {
		if d := receiverOf(uri); d != "" && !slices.Contains(domains, d) && len(domains) < maxReceivers {
			domains = append(domains, d)
		}
	}
	found := make([][]finding.Finding, len(domains))
	var wg sync.WaitGroup
	for i, d := range domains {
		wg.Go(func() {
			found[i] = append(a.agreed(ctx, p, d), a.canReceive(ctx, d)...)
		})
	}
	wg.Wait()
	return append(out, slices.Concat(found...)...)
}

// receiverOf is the domain of a mailto: address, "" for anything else.
func receiverOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "mailto" {
		return ""
	}
	_, domain, ok := strings.Cut(u.Opaque, "@")
	if !ok {
		return ""
	}
	domain, _, _ = strings.Cut(domain, "!") // a size, as RFC 7489 had it
	d, err := addr.ParseDomain(domain)
	if err != nil {
		return ""
	}
	return string(d)
}

// agreed asks whether a receiver outside the organisation takes the reports (RFC 9990
// §4): by a record for this domain, or for all.
func (a *audit) agreed(ctx context.Context, p dmarcFact, receiver string) []finding.Finding {
	theirs := dmarc.FindOrganization(ctx, dmarc.Lookup{TXT: txtOf(a.cfg.Resolver)}, addr.Domain(receiver))
	if theirs.Err == nil && theirs.Walk == p.org.Walk {
		return nil // not outside
	}
	name := string(p.query.Domain) + "._report._dmarc." + receiver
	if len(name) > addr.MaxDomain {
		return nil
	}
	r, err := a.cfg.Resolver.LookupTXT(ctx, name)
	if err != nil {
		return unverified(err, receiver, finding.DMARCReceiver)
	}
	yes := slices.ContainsFunc(r.Records, func(t string) bool { return strings.HasPrefix(strings.TrimSpace(t), "v=DMARC1") })
	facts := []string{"asked", name}
	for _, t := range r.Records {
		facts = append(facts, "TXT", t)
	}
	return []finding.Finding{judged(finding.DMARCReceiver, !yes, receiver, facts...)}
}

// canReceive asks whether a receiver's domain takes mail at all.
func (a *audit) canReceive(ctx context.Context, domain string) []finding.Finding {
	x := findExchange(ctx, a.cfg.Resolver, domain)
	if x.err != nil {
		return unverified(x.err, domain, finding.DMARCUnreachable)
	}
	if len(x.hosts) == 0 && !x.null && x.state != resolver.NXDomain {
		h := findHost(ctx, a.cfg.Resolver, domain)
		if h.err != nil {
			return unverified(h.err, domain, finding.DMARCUnreachable)
		}
		return []finding.Finding{judged(finding.DMARCUnreachable, len(h.addrs) == 0, domain, "MX", "none", "addresses", fmt.Sprint(len(h.addrs)))}
	}
	reachable := slices.ContainsFunc(x.hosts, func(h host) bool { return len(h.addrs) > 0 || h.err != nil })
	return []finding.Finding{judged(finding.DMARCUnreachable, !reachable, domain, "MX", fmt.Sprintf("%d hosts, null MX: %v", len(x.hosts), x.null))}
}
