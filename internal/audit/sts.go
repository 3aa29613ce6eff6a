package audit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"posta/internal/finding"
	"posta/internal/mtasts"
	"posta/internal/resolver"
)

// enforcedFor is the least max_age with which a policy protects much: an attacker who stops
// the look-ups for so long is noticed (RFC 8461 §10.2 wants weeks).
const enforcedFor = 7 * 24 * time.Hour

// transport judges the domain's MTA-STS policy: what is published, and whether its mail
// exchangers are as it says (RFC 8461).
func transport(ctx context.Context, a *audit) []finding.Finding {
	if s := a.setup(); s != withMail {
		return nil // who has no MX cannot have a policy that anybody passes (§4.1)
	}
	txt, err := a.cfg.Resolver.LookupTXT(ctx, mtasts.Name(a.Domain))
	if err != nil {
		return unverified(err, a.Domain, finding.MTASTSMissing, finding.MTASTSRecord, finding.MTASTSPolicy)
	}
	record, err := mtasts.ParseRecord(txt.Records)
	if errors.Is(err, mtasts.ErrNoRecord) {
		return []finding.Finding{finding.Of(finding.MTASTSMissing, finding.Fail, a.Domain, mtasts.Name(a.Domain), txt.State.String())}
	}
	facts := []string{mtasts.Name(a.Domain), strings.Join(txt.Records, " | ")}
	out := []finding.Finding{finding.Of(finding.MTASTSMissing, finding.Pass, a.Domain, facts...)}
	if err != nil {
		return append(out, finding.Of(finding.MTASTSRecord, finding.Fail, a.Domain, append(facts, "fault", err.Error())...))
	}
	out = append(out, finding.Of(finding.MTASTSRecord, finding.Pass, a.Domain, "id", record.ID))
	a.probed("HTTPS: " + mtasts.Host(a.Domain))
	policy, err := (&mtasts.Fetcher{Dial: a.dialName, Roots: a.cfg.Roots, Now: a.cfg.Now}).Fetch(ctx, a.Domain)
	if err != nil {
		return append(out, a.noPolicy(ctx, err))
	}
	out = append(out, finding.Of(finding.MTASTSPolicy, finding.Pass, a.Domain, "policy", strings.Join(policy.Lines(), "; ")))
	return append(out, a.judgePolicy(ctx, &policy)...)
}

// joinPolicy joins what the doors and the policy say of the same certificate: on its own a
// certificate that nobody vouches for hardly matters at an exchanger (cert.unverified),
// under a policy that is enforced it stops mail (mtasts.certificate).
func joinPolicy(found []finding.Finding) {
	if !slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Check == finding.MTASTSMode && f.Outcome == finding.Pass }) {
		return
	}
	for i := range found {
		f := &found[i]
		if f.Check == finding.CertUnverified && f.Outcome == finding.Fail {
			f.Evidence = append(slices.Clip(f.Evidence), finding.Fact{What: "MTA-STS", Seen: "the policy is enforced: senders that know it do not deliver here (" + string(finding.MTASTSCert) + ")"})
		}
	}
}

// noPolicy: that our own time or network failed is no fault of theirs.
func (a *audit) noPolicy(ctx context.Context, err error) finding.Finding {
	_, dns := errors.AsType[*resolver.Error](err)
	if ctx.Err() != nil || dns {
		return unverified(err, a.Domain, finding.MTASTSPolicy)[0]
	}
	return finding.Of(finding.MTASTSPolicy, finding.Fail, a.Domain, mtasts.URL(a.Domain), err.Error())
}

// judgePolicy compares a policy with the exchangers.
func (a *audit) judgePolicy(ctx context.Context, p *mtasts.Policy) []finding.Finding {
	out := []finding.Finding{
		judged(finding.MTASTSMode, p.Mode != mtasts.Enforce, a.Domain, "mode", p.Mode.String()),
		judged(finding.MTASTSAge, p.MaxAge < enforcedFor, a.Domain, "max_age", p.MaxAge.String()),
	}
	if p.Mode == mtasts.None {
		return out
	}
	var strange []string
	hosts := a.facts.mx().hosts
	for i := range hosts {
		if !p.Lists(hosts[i].name) {
			strange = append(strange, hosts[i].name)
		}
	}
	facts := []string{"mx", strings.Join(p.MX, " ")}
	if len(strange) > 0 {
		facts = append(facts, "not listed", strings.Join(strange, " "))
	}
	out = append(out, judged(finding.MTASTSHosts, len(strange) > 0, a.Domain, facts...))
	for _, s := range a.shown(ctx) {
		if slices.Contains(strange, s.host) {
			continue
		}
		subject := s.host + " (" + s.ip.String() + ")"
		switch {
		case s.err != nil && !s.answered:
			out = append(out, unverified(s.err, subject, finding.MTASTSCert)...)
		case s.err != nil:
			out = append(out, finding.Of(finding.MTASTSCert, finding.Fail, subject, "TLS", s.err.Error()))
		default:
			err := s.trusted(a.cfg.Roots, a.cfg.Now())
			facts := []string{"names", strings.Join(s.chain[0].DNSNames, " "), "until", s.chain[0].NotAfter.UTC().Format(time.DateOnly)}
			if err != nil {
				facts = append(facts, "fault", err.Error())
			}
			out = append(out, judged(finding.MTASTSCert, err != nil, subject, facts...))
		}
	}
	return out
}

// dialName opens a connection to "host:port" by the audit's own resolver.
func (a *audit) dialName(ctx context.Context, network, address string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	h := findHost(ctx, a.cfg.Resolver, name)
	if len(h.addrs) == 0 {
		return nil, errors.Join(fmt.Errorf("%s has no address", name), h.err)
	}
	var errs []error
	for _, ip := range h.addrs[:min(len(h.addrs), 2)] {
		c, err := a.cfg.Dial(ctx, network, net.JoinHostPort(ip.String(), port))
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
