package audit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"posta/internal/finding"
	"posta/internal/spf"
)

const maxTree = 60 // lines of an SPF evaluation that are shown

// senderPolicy judges the SPF record by itself, and whether the addresses that send
// may (S28 to S36).
func senderPolicy(ctx context.Context, a *audit) []finding.Finding {
	if a.setup() == absent {
		return nil
	}
	p := a.facts.policy()
	if p.err != nil {
		return unverified(p.err, a.Domain, finding.SPFMissing, finding.SPFMultiple, finding.SPFInvalid, finding.SPFLookups, finding.SPFBroad)
	}
	if len(p.texts) == 0 {
		out := append(a.misspelt(ctx, &p), finding.Of(finding.SPFMissing, finding.Fail, a.Domain, "TXT", "no record begins with v=spf1"))
		return append(out, a.names(ctx)...)
	}
	var facts []string
	for _, t := range p.texts {
		facts = append(facts, "TXT", t)
	}
	out := []finding.Finding{finding.Of(finding.SPFMissing, finding.Pass, a.Domain, facts...), judged(finding.SPFMultiple, len(p.texts) > 1, a.Domain, facts...)}
	if len(p.texts) > 1 {
		return out
	}
	if p.bad != nil {
		return append(out, finding.Of(finding.SPFInvalid, finding.Fail, a.Domain, "TXT", p.texts[0], "error", p.bad.Error()))
	}
	parts := [...]func(context.Context) []finding.Finding{
		a.recordItself, a.permitted, a.wording, a.breadth, a.names,
		func(ctx context.Context) []finding.Finding { return a.misspelt(ctx, &p) },
	}
	var found [len(parts)][]finding.Finding
	var wg sync.WaitGroup
	for i, part := range parts {
		wg.Go(func() { found[i] = part(ctx) })
	}
	wg.Wait()
	return append(out, slices.Concat(found[:]...)...)
}

// crowded is how many look-ups are near the limit.
const crowded = 8

// stranger is an address for documentation (RFC 5737), from which no mail comes: an
// evaluation for it goes through the whole record.
var stranger = netip.MustParseAddr("192.0.2.1")

// recordItself evaluates the record for an address that it cannot mean, so that every
// term is looked at: syntax, limits, and whether it lets everybody send.
func (a *audit) recordItself(ctx context.Context) []finding.Finding {
	r := spf.Check(ctx, a.cfg.Resolver, spf.Args{IP: stranger, HELO: a.Domain, MailFrom: spf.Sender{Local: "postmaster", Domain: a.Domain}, Now: a.cfg.Now()})
	facts := append(tree(&r), "look-ups", fmt.Sprintf("%d of %d, %d void of %d", r.Lookups, spf.MaxLookups, r.VoidLookups, spf.MaxVoidLookups))
	with := func(id finding.ID, bad bool) finding.Finding { return judged(id, bad, a.Domain, facts...) }
	switch {
	case r.Status == spf.TempError:
		return unverified(r.Err, a.Domain, finding.SPFInvalid, finding.SPFLookups, finding.SPFBroad)
	case errors.Is(r.Err, spf.ErrTooManyLookups), errors.Is(r.Err, spf.ErrTooManyVoid), errors.Is(r.Err, spf.ErrTooManyMX):
		return []finding.Finding{with(finding.SPFInvalid, false), with(finding.SPFLookups, true)}
	case r.Status == spf.PermError:
		return []finding.Finding{with(finding.SPFInvalid, true)}
	}
	return []finding.Finding{
		with(finding.SPFInvalid, false), with(finding.SPFLookups, false), with(finding.SPFBroad, r.Status == spf.Pass),
		with(finding.SPFCrowded, r.Lookups >= crowded),
	}
}

// permitted evaluates the record for each address that is known to send. Exchangers
// of a stranger may be for incoming mail alone, so that only addresses that were
// named, or are ours, fail.
func (a *audit) permitted(ctx context.Context) []finding.Finding {
	ips := a.IPs
	if len(ips) == 0 && a.Self != nil {
		ips = a.Self.IPs
	}
	found := make([][]finding.Finding, min(len(ips), maxSenders))
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() {
			name := a.heloOf(ips[i])
			r := spf.Check(ctx, a.cfg.Resolver, spf.Args{IP: ips[i], HELO: name, MailFrom: spf.Sender{Local: "postmaster", Domain: a.Domain}, Now: a.cfg.Now()})
			found[i] = permission(&r, ips[i])
		})
	}
	wg.Wait()
	return slices.Concat(found...)
}

func permission(r *spf.Result, ip netip.Addr) []finding.Finding {
	subject, facts := ip.String(), tree(r)
	switch r.Status {
	case spf.Pass:
		return []finding.Finding{finding.Of(finding.SPFFail, finding.Pass, subject, facts...), finding.Of(finding.SPFSoftFail, finding.Pass, subject, facts...)}
	case spf.SoftFail, spf.Neutral:
		return []finding.Finding{finding.Of(finding.SPFSoftFail, finding.Fail, subject, facts...)}
	case spf.Fail:
		return []finding.Finding{finding.Of(finding.SPFFail, finding.Fail, subject, facts...)}
	case spf.TempError:
		return unverified(r.Err, subject, finding.SPFFail)
	}
	return nil // the record itself is at fault, which is told once
}

// tree is an evaluation as evidence, one fact for each line.
func tree(r *spf.Result) []string {
	lines := r.Tree()
	facts := make([]string, 0, 2*len(lines))
	for i, line := range lines {
		if i == maxTree {
			return append(facts, "SPF", fmt.Sprintf("… and %d lines more", len(lines)-i))
		}
		facts = append(facts, "SPF", line)
	}
	return facts
}
