package dmarc

import (
	"context"

	"posta/internal/addr"
)

// Alignment is how a domain relates to the author domain.
type Alignment uint8

const (
	NotAligned Alignment = iota
	Aligned
	// AlignmentUnknown: an Organizational Domain could not be found out now.
	AlignmentUnknown
)

// Identifier is the evidence about one domain.
type Identifier struct {
	Method    string // "spf" or "dkim"
	Domain    addr.Domain
	Org       addr.Domain // its Organizational Domain, "" if it was not needed
	Mode      Mode        // how exactly it had to match
	TempError bool        // it is not authenticated: SPF or DKIM failed for now
	Alignment Alignment
}

// align judges the authenticated domains and sets the status (§5.3.4, §5.3.5).
// DKIM needs one aligned domain: when the author domain itself has signed, the
// others are not looked at.
func (e *evaluation) align(ctx context.Context, r *Result) {
	r.SPFAligned = e.args.SPFPass && e.spf != "" && e.judge(ctx, r, "spf", e.spf, false)
	for _, exact := range []bool{true, false} {
		for _, d := range e.dkim {
			if d.pass && !r.DKIMAligned && (d.domain == r.Author) == exact {
				r.DKIMAligned = e.judge(ctx, r, "dkim", d.domain, false)
			}
		}
	}
	if r.SPFAligned || r.DKIMAligned {
		r.Status, r.Reason = StatusPass, ReasonAligned
		return
	}
	e.failed(ctx, r)
}

// failed tells a definite failure from one that might be a pass another time.
func (e *evaluation) failed(ctx context.Context, r *Result) {
	r.Status, r.Reason = StatusFail, ReasonUnauthenticated
	for _, id := range r.Identifiers {
		if id.Alignment == AlignmentUnknown {
			r.Status, r.Reason = StatusTempError, ReasonLookup
			return
		}
		r.Reason = ReasonNotAligned
	}
	before := len(r.Identifiers)
	if e.args.SPFTempError && !e.args.SPFPass && e.spf != "" {
		e.judge(ctx, r, "spf", e.spf, true)
	}
	for _, d := range e.dkim {
		if d.temp && !d.pass {
			e.judge(ctx, r, "dkim", d.domain, true)
		}
	}
	for _, id := range r.Identifiers[before:] {
		if id.Alignment != NotAligned {
			r.Status, r.Reason = StatusTempError, ReasonAuthentication
			return
		}
	}
}

// judge records the evidence about one domain and reports whether it is aligned.
func (e *evaluation) judge(ctx context.Context, r *Result, method string, domain addr.Domain, temp bool) bool {
	mode := r.Record.ADKIM
	if method == "spf" {
		mode = r.Record.ASPF
	}
	id := Identifier{Method: method, Domain: domain, Mode: mode, TempError: temp}
	switch {
	case domain == r.Author:
		id.Alignment = Aligned
	case mode == Relaxed:
		id.Alignment, id.Org = e.relaxed(ctx, r, domain)
	}
	r.Identifiers = append(r.Identifiers, id)
	return id.Alignment == Aligned
}

// relaxed compares Organizational Domains. That of the author comes first, since
// a domain that is not within it cannot have the same, whatever its own DNS says
// or fails to say.
func (e *evaluation) relaxed(ctx context.Context, r *Result, domain addr.Domain) (Alignment, addr.Domain) {
	if lastLabels(domain, 1) != lastLabels(r.Author, 1) {
		return NotAligned, ""
	}
	if r.Org == "" {
		p := e.walk(ctx, r.Author)
		if p.err != nil {
			return AlignmentUnknown, ""
		}
		r.Org = p.org
	}
	if !domain.Within(r.Org) {
		return NotAligned, ""
	}
	p := e.walk(ctx, domain)
	switch {
	case p.err != nil:
		return AlignmentUnknown, ""
	case p.org == r.Org:
		return Aligned, p.org
	}
	return NotAligned, p.org
}
