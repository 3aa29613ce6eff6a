package audit

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"

	"posta/internal/dane"
	"posta/internal/finding"
	"posta/internal/resolver"
)

// manyTLSA is how many records some senders read of a host, and no more.
const manyTLSA = 10

// keysOfHosts judges the TLSA records of the exchangers, and whether what each shows
// matches them (RFC 7672).
func keysOfHosts(ctx context.Context, a *audit) []finding.Finding {
	if a.setup() != withMail {
		return nil
	}
	hosts := a.facts.mx().hosts
	found := make([][]finding.Finding, len(hosts))
	var wg sync.WaitGroup
	for i := range hosts {
		if !hosts[i].literal {
			wg.Go(func() { found[i] = a.keysOf(ctx, hosts[i].name) })
		}
	}
	wg.Wait()
	var out []finding.Finding
	for _, f := range found {
		out = append(out, f...)
	}
	return out
}

func (a *audit) keysOf(ctx context.Context, name string) []finding.Finding {
	r, err := dane.Find(ctx, a.cfg.Resolver, name, 25)
	if err != nil {
		return unverified(err, name, finding.DANEMissing, finding.DANEMismatch)
	}
	switch r.Security {
	case dane.Insecure:
		return a.insecureKeys(ctx, name, r.Why)
	case dane.Absent:
		return []finding.Finding{finding.Of(finding.DANEMissing, finding.Fail, name, dane.Name(name, 25), "no TLSA record, and the zone is signed")}
	}
	facts := []string{dane.Name(r.Base, 25), texts(r.TLSA)}
	out := []finding.Finding{finding.Of(finding.DANEMissing, finding.Pass, name, facts...), finding.Of(finding.DANEUnsigned, finding.Pass, name)}
	out = append(out, recordsOf(name, &r)...)
	return append(out, a.matches(ctx, name, &r)...)
}

// insecureKeys: records in a zone that nobody signed are looked at by nobody. Whether a zone
// is signed can only be told by a resolver that validates.
func (a *audit) insecureKeys(ctx context.Context, name, why string) []finding.Finding {
	root, err := a.cfg.Resolver.Lookup(ctx, ".", resolver.TypeSOA)
	if err != nil || !root.Authentic {
		return []finding.Finding{finding.Of(finding.DANEMissing, finding.Unverified, name, "resolver", "it does not validate DNSSEC, or is not trusted to say so")}
	}
	t, err := a.cfg.Resolver.LookupTLSA(ctx, dane.Name(name, 25))
	if err != nil || t.State != resolver.Found {
		return []finding.Finding{finding.Of(finding.DANEMissing, finding.NotApplicable, name, "DNSSEC", why)}
	}
	return []finding.Finding{finding.Of(finding.DANEUnsigned, finding.Fail, name, dane.Name(name, 25), texts(t.Records), "DNSSEC", why)}
}

func texts(records []resolver.TLSA) string {
	var out []string
	for _, t := range records {
		s := dane.Text(t)
		out = append(out, s[:min(len(s), 24)])
	}
	return strings.Join(out, "; ")
}

// recordsOf judges the records by themselves.
func recordsOf(name string, r *dane.Records) []finding.Finding {
	var useless []string
	ee, ta := 0, 0
	for _, t := range r.TLSA {
		if why := dane.Unusable(t); why != "" {
			useless = append(useless, fmt.Sprintf("%d %d %d: %s", t.Usage, t.Selector, t.MatchingType, why))
		} else if t.Usage == dane.EE {
			ee++
		} else {
			ta++
		}
	}
	facts := []string{"records", texts(r.TLSA)}
	return []finding.Finding{
		judged(finding.DANEUnusable, len(useless) > 0, name, append(facts, "of no use", strings.Join(useless, "; "))...),
		judged(finding.DANERollover, ee+ta == 1, name, facts...),
		judged(finding.DANEAuthority, ta > 0 && ee == 0, name, facts...),
		judged(finding.DANEMany, len(r.TLSA) > manyTLSA, name, "records", fmt.Sprint(len(r.TLSA))),
	}
}

// matches compares the records with what each address of the host shows.
func (a *audit) matches(ctx context.Context, name string, r *dane.Records) (out []finding.Finding) {
	usable := r.Usable()
	for _, s := range a.shown(ctx) {
		if s.host != name || len(usable) == 0 {
			continue
		}
		subject := name + " (" + s.ip.String() + ")"
		switch {
		case s.err != nil && !s.answered:
			out = append(out, unverified(s.err, subject, finding.DANEMismatch)...)
		case s.err != nil:
			out = append(out, finding.Of(finding.DANEMismatch, finding.Fail, subject, "TLS", s.err.Error()))
		default:
			facts := []string{"TLSA", texts(r.TLSA)}
			err := r.Verify(tls.ConnectionState{PeerCertificates: s.chain}, []string{a.Domain}, a.cfg.Now())
			if err != nil {
				facts = append(facts, "fault", err.Error())
			}
			out = append(out, judged(finding.DANEMismatch, err != nil, subject, facts...))
		}
	}
	return out
}

// outbound judges how our own server can protect what it sends: DANE needs a resolver that
// validates (CH-TLS-07).
func outbound(ctx context.Context, a *audit) []finding.Finding {
	if a.Self == nil {
		return nil
	}
	root, err := a.cfg.Resolver.Lookup(ctx, ".", resolver.TypeSOA)
	if err != nil {
		return unverified(err, a.Self.Hostname, finding.TLSOutbound)
	}
	return []finding.Finding{judged(finding.TLSOutbound, !root.Authentic, a.Self.Hostname, "AD for the signed root", map[bool]string{true: "yes", false: "no"}[root.Authentic])}
}
