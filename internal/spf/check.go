package spf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"

	"posta/internal/resolver"
)

// Check evaluates the MAIL FROM identity, or postmaster at the HELO name when the reverse-path is null (RFC 7208 §2.4). It
// blocks on the resolver; a context that ends gives TempError.
func Check(ctx context.Context, r Resolver, args Args) Result {
	if args.MailFrom == (Sender{}) {
		return CheckHELO(ctx, r, args)
	}
	return check(ctx, r, &args, MailFrom, args.MailFrom)
}

// CheckHELO evaluates the HELO identity (RFC 7208 §2.3). A HELO that is no domain name gives None.
func CheckHELO(ctx context.Context, r Resolver, args Args) Result {
	return check(ctx, r, &args, HELO, Sender{Domain: args.HELO})
}

func check(ctx context.Context, r Resolver, args *Args, id Identity, from Sender) Result {
	local := from.Local
	if local == "" {
		local = "postmaster" // §4.3
	}
	res := Result{Identity: id, Domain: from.Domain, Sender: local + "@" + from.Domain}
	domain, ok := checkable(from.Domain)
	if !ok || !args.IP.IsValid() {
		return res
	}
	if domain != from.Domain {
		res.Domain, res.Sender = domain, local+"@"+domain
	}
	e := evaluation{
		ctx: ctx, dns: r, args: args, ip: args.IP.Unmap().WithZone(""),
		local: local, domain: domain, res: &res,
	}
	res.Authentic = true
	res.Steps = make([]Step, 0, 4)
	d := e.evaluate(domain, 0)
	res.Status, res.Err = d.status, d.err
	if d.term != nil {
		res.Term, res.TermDomain = d.term.Text, d.domain
	}
	if d.status == Fail {
		res.Explanation = e.explain(d)
	}
	return res
}

// aLabels maps U-labels as a look-up does (RFC 5891 §5), with underscores and the like left alone.
var aLabels = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

// checkable gives the domain as the resolver wants it, or false when it is no multi-label domain name (§4.3): malformed,
// a single label, an address literal or a bare address.
func checkable(domain string) (string, bool) {
	name, err := resolver.Normalize(domain)
	if err != nil {
		a, idnaErr := aLabels.ToASCII(domain)
		if idnaErr != nil {
			return "", false
		}
		if name, err = resolver.Normalize(a); err != nil {
			return "", false
		}
	}
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 || name[0] == '[' || strings.Trim(name[dot+1:], "0123456789") == "" {
		return "", false
	}
	return name, true
}

// evaluation is one check_host() with those it calls (§4): what it knows, and what it has used up.
type evaluation struct {
	ctx    context.Context
	dns    Resolver
	args   *Args
	ip     netip.Addr
	local  string // of the sender, never empty
	domain string // of the sender, A-labels
	res    *Result

	reverse *reverse // the client's names, asked for once
}

// decision is how one record ended.
type decision struct {
	status Status
	err    error
	term   *Term  // that decided, or nil
	domain string // whose record has it
	record Record
}

// evaluate is check_host() for a domain (§4.3 to §4.7). depth is the number of includes around it.
func (e *evaluation) evaluate(domain string, depth int) decision {
	d := decision{domain: domain}
	text, status, err := e.fetch(domain, depth)
	if text == "" {
		d.status, d.err = status, err
		return d
	}
	if d.record, err = Parse(text); err != nil {
		e.fail(err)
		d.status, d.err = PermError, fmt.Errorf("%s: %w", domain, err)
		return d
	}
	for i := range d.record.Terms {
		t := &d.record.Terms[i]
		if t.Kind.IsModifier() {
			continue
		}
		matched, failed := e.mechanism(t, domain, depth)
		if failed != nil {
			d.term, d.err, d.status = t, fmt.Errorf("%s: %s: %w", domain, t.Text, failed), statusOf(failed)
			return d
		}
		if matched {
			d.term, d.status = t, t.Qualifier.Status()
			return d
		}
	}
	if t := d.record.Modifier(Redirect); t != nil {
		return e.redirect(t, domain, depth)
	}
	d.status = Neutral // §4.7
	return d
}

// statusOf tells an error of the record from one of DNS.
func statusOf(err error) Status {
	if _, ok := errors.AsType[*resolver.Error](err); ok {
		return TempError
	}
	for _, perm := range []error{ErrSyntax, ErrMultipleRecords, ErrTooManyLookups, ErrTooManyVoid, ErrTooManyMX, ErrNoTarget} {
		if errors.Is(err, perm) {
			return PermError
		}
	}
	return TempError
}

// fetch gets the domain's one SPF record (§4.4, §4.5). When there is none, text is empty and status says why.
func (e *evaluation) fetch(domain string, depth int) (text string, status Status, err error) {
	step := Step{Depth: depth, Domain: domain, Target: domain}
	defer func() { e.res.Steps = append(e.res.Steps, step) }()
	ans, err := e.dns.LookupTXT(e.ctx, domain)
	if err != nil {
		step.Outcome, step.Err = Failed, err
		return "", TempError, fmt.Errorf("%s: %w", domain, err)
	}
	step.State = ans.State
	e.res.Authentic = e.res.Authentic && ans.Authentic
	first, found := 0, 0
	for i, txt := range ans.Records {
		if IsRecord(txt) {
			if found++; found == 1 {
				first = i
			}
		}
	}
	switch {
	case found == 0:
		return "", None, nil
	case found == 1:
		step.Outcome, step.Texts = Match, ans.Records[first:first+1:first+1]
		return ans.Records[first], None, nil
	}
	for _, txt := range ans.Records {
		if IsRecord(txt) {
			step.Texts = append(step.Texts, txt)
		}
	}
	step.Outcome, step.Err = Failed, ErrMultipleRecords
	return "", PermError, fmt.Errorf("%s: %w", domain, ErrMultipleRecords)
}

// redirect replaces the result by that of another domain (§6.1).
func (e *evaluation) redirect(t *Term, domain string, depth int) decision {
	step := Step{Depth: depth, Domain: domain, Term: t.Text}
	d := decision{domain: domain, term: t, status: PermError}
	err := e.count(&step)
	target, ok := "", false
	if err == nil {
		step.Target, ok = e.target(t, domain)
		if target, _ = checkable(step.Target); !ok || target == "" {
			err = ErrNoTarget
		}
	}
	if err != nil {
		step.Outcome, step.Err = Failed, err
		e.res.Steps = append(e.res.Steps, step)
		d.err = fmt.Errorf("%s: %s: %w", domain, t.Text, err)
		return d
	}
	step.Outcome = Match
	e.res.Steps = append(e.res.Steps, step)
	if to := e.evaluate(target, depth); to.status != None {
		return to
	}
	e.fail(ErrNoTarget)
	d.err = fmt.Errorf("%s: %s: %w", domain, t.Text, ErrNoTarget)
	return d
}

// fail marks the last step as the one where the evaluation ended.
func (e *evaluation) fail(err error) {
	last := &e.res.Steps[len(e.res.Steps)-1]
	last.Outcome, last.Err = Failed, err
}

// count takes one look-up from the budget (§4.6.4).
func (e *evaluation) count(step *Step) error {
	if e.res.Lookups == MaxLookups {
		return ErrTooManyLookups
	}
	e.res.Lookups++
	step.Lookup = uint8(e.res.Lookups)
	return nil
}

// void takes one void look-up from the budget when the answer is empty (§4.6.4).
func (e *evaluation) void(step *Step) error {
	if step.State == resolver.Found {
		return nil
	}
	e.res.VoidLookups++
	step.Void = uint8(e.res.VoidLookups)
	if e.res.VoidLookups > MaxVoidLookups {
		return ErrTooManyVoid
	}
	return nil
}
