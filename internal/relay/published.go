package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"time"

	"posta/internal/dane"
	"posta/internal/mtasts"
	"posta/internal/resolver"
	"posta/internal/route"
)

// DANE is the Policy of hosts with TLSA records (RFC 7672). Where the DNS does not vouch for
// the way to a host, it says nothing.
type DANE struct {
	DNS resolver.Resolver
	Now func() time.Time // nil is time.Now
}

// TLS implements Policy.
func (d DANE) TLS(ctx context.Context, domain string, h route.Host) (Rule, error) {
	if !h.Authentic || h.Implicit {
		return Rule{}, nil
	}
	r, err := dane.Find(ctx, d.DNS, h.Name, h.Port)
	switch {
	case err != nil:
		return Rule{}, &PolicyError{
			Text: "Whether " + h.Name + " has TLSA records (DANE) cannot be found out", Err: err,
			Applied: Applied{Type: "tlsa", Domain: h.Name}, Result: DNSSECInvalid,
		}
	case r.Security != dane.Present:
		return Rule{}, nil
	}
	rule := Rule{Source: "dane", ServerName: r.Base, Applied: Applied{Type: "tlsa", Domain: r.Base}}
	for _, t := range r.TLSA {
		rule.Applied.Text = append(rule.Applied.Text, dane.Text(t))
	}
	usable := r.Usable()
	if len(usable) == 0 { // RFC 7672 §2.2: encrypted, by whomever
		rule.Level = route.Encrypt
		rule.Applied.Result, rule.Applied.Reason = TLSAInvalid, "none of the TLSA records is usable: "+dane.Unusable(r.TLSA[0])
		return rule, nil
	}
	rule.Level = route.Verify
	var names []string
	for _, t := range usable {
		if t.Usage == dane.TA && domain != "" {
			names, rule.For = []string{domain}, domain // RFC 7672 §3.2.2
		}
	}
	now := d.Now
	if now == nil {
		now = time.Now
	}
	rule.Verify = verifier(r, names, now)
	return rule, nil
}

// STS is the Policy of domains with MTA-STS (RFC 8461).
type STS struct {
	Policies interface {
		Policy(ctx context.Context, domain string) (mtasts.Answer, error)
	}
}

// TLS implements Policy.
func (s STS) TLS(ctx context.Context, domain string, h route.Host) (Rule, error) {
	if domain == "" {
		return Rule{}, nil
	}
	a, err := s.Policies.Policy(ctx, domain)
	if err != nil {
		return Rule{}, &PolicyError{Text: "The MTA-STS policy of " + domain + " cannot be read here", Err: err}
	}
	applied := Applied{Type: "sts", Domain: domain}
	if a.Kept == nil {
		if applied.Result = stsResult(a.Problem); applied.Result == "" {
			return Rule{}, nil
		}
		applied.Reason = a.Problem.Error()
		return Rule{Applied: applied}, nil
	}
	p := &a.Kept.Policy
	applied.Text, applied.MX = p.Lines(), p.MX
	listed := p.Lists(h.Name)
	switch {
	case p.Mode == mtasts.None:
		return Rule{}, nil
	case p.Mode == mtasts.Testing:
		applied.Testing = true
		if !listed {
			applied.Result, applied.Reason = Failed, h.Name+" is not among the mx of the policy"
		}
		return Rule{Level: route.May, Source: "mta-sts testing", Applied: applied}, nil
	case !listed:
		return Rule{}, &PolicyError{
			Text:    "The MTA-STS policy of " + domain + " (enforce) does not list " + h.Name + "; it lists " + strings.Join(p.MX[:min(len(p.MX), 5)], ", "),
			Applied: applied, Result: Failed,
		}
	}
	return Rule{Level: route.Verify, Source: "mta-sts", Applied: applied}, nil
}

// stsResult is what a report says of a policy that could not be had; "": nothing, as there
// is none, or as the DNS was down.
func stsResult(err error) Result {
	if e, ok := errors.AsType[*mtasts.FetchError](err); ok {
		return Result(e.Kind)
	}
	if err == nil || errors.Is(err, mtasts.ErrNoRecord) {
		return ""
	}
	if _, ok := errors.AsType[*resolver.Error](err); ok {
		return ""
	}
	return STSInvalid
}

// verifier judges a connection by the records of a host.
func verifier(r dane.Records, names []string, now func() time.Time) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error { return r.Verify(cs, names, now()) }
}
