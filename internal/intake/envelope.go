package intake

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"posta/internal/finding"
	"posta/internal/resolver"
	"posta/internal/spf"
)

// maxExchangers is how many MX hosts of a sender's domain are looked at, the first by
// preference: a domain with fifty must not cost fifty look-ups.
const maxExchangers = 5

// senderDomain is what DNS has of a reverse-path's domain (S9–S13).
type senderDomain struct {
	exists, hasMX, nullMX bool
	hosts                 []string // that its MX records name
	faults                exchangerFaults
	err                   error // could not verify
}

// exchangerFaults are the MX hosts that others could not deliver to, each with what
// was seen.
type exchangerFaults struct {
	address, alias, dangling, private []string
	public                            bool  // one of them has a public address
	err                               error // one of them could not be looked up
}

// lookSender asks for MX and where they lead, and for the domain's own addresses
// only where there is none.
func lookSender(ctx context.Context, dns resolver.Resolver, domain string) senderDomain {
	mx, err := dns.LookupMX(ctx, domain)
	if err != nil {
		return senderDomain{err: err}
	}
	if mx.State == resolver.Found {
		if len(mx.Records) == 1 && isRoot(mx.Records[0].Host) {
			return senderDomain{exists: true, nullMX: true}
		}
		s := senderDomain{exists: true, hasMX: true, hosts: make([]string, len(mx.Records))}
		for i, m := range mx.Records {
			s.hosts[i] = m.Host
		}
		s.faults = lookExchangers(ctx, dns, s.hosts)
		return s
	}
	if mx.State == resolver.NXDomain {
		return senderDomain{}
	}
	a, err := dns.LookupA(ctx, domain)
	if err != nil {
		return senderDomain{err: err}
	}
	if a.State == resolver.Found {
		return senderDomain{exists: true}
	}
	aaaa, err := dns.LookupAAAA(ctx, domain)
	// A name without MX and address cannot receive, but it exists.
	return senderDomain{exists: err != nil || aaaa.State != resolver.NXDomain, err: err}
}

// isRoot tells a null MX (RFC 7505 §3).
func isRoot(host string) bool { return host == "." || host == "" }

// lookExchangers looks at the first few MX hosts. What is not in the cache is asked
// for all hosts at once, by a first round that does not wait.
func lookExchangers(ctx context.Context, dns resolver.Resolver, hosts []string) exchangerFaults {
	if len(hosts) == 1 {
		return exchangers(ctx, dns, hosts)
	}
	var probe resolver.Probe
	f := exchangers(probe.Context(ctx), dns, hosts)
	if probe.Missed() {
		f = exchangers(ctx, dns, hosts)
	}
	return f
}

func exchangers(ctx context.Context, dns resolver.Resolver, hosts []string) (f exchangerFaults) {
	var private []string
	for _, host := range hosts[:min(len(hosts), maxExchangers)] {
		if isRoot(host) {
			continue
		}
		if _, err := netip.ParseAddr(strings.TrimSuffix(host, ".")); err == nil {
			f.address = append(f.address, "MX "+host)
			continue
		}
		r, err := dns.LookupA(ctx, host)
		if err == nil && r.State == resolver.NoData {
			r, err = dns.LookupAAAA(ctx, host)
		}
		switch {
		case err != nil && !resolver.Temporary(err):
			f.dangling = append(f.dangling, host+": "+err.Error())
			continue
		case err != nil:
			f.err = err
			continue
		case r.State != resolver.Found:
			f.dangling = append(f.dangling, host+": "+r.State.String())
			continue
		}
		if len(r.Chain) > 0 {
			f.alias = append(f.alias, host+" is an alias of "+strings.Join(r.Chain, " "))
		}
		for _, ip := range r.Records {
			if isPublic(ip) {
				f.public = true
			} else {
				private = append(private, host+" has "+ip.String())
			}
		}
	}
	if !f.public {
		f.private = private
	}
	return f
}

// senderDomain awaits what DNS has of the reverse-path's domain. Of the null one it
// has nothing to say.
func (j *txJudge) senderDomain(ctx context.Context) senderDomain {
	if j.sender.done == nil {
		return senderDomain{}
	}
	s, ok := j.sender.await(ctx)
	if !ok {
		s.err = context.DeadlineExceeded
	}
	return s
}

func addSender(set *finding.Set, domain string, s senderDomain) {
	if s.err != nil {
		set.Add(finding.Of(finding.SenderDomain, finding.Unverified, domain, "DNS", s.err.Error()))
		return
	}
	result := func(id finding.ID, good bool, seen string) {
		if good {
			set.Add(finding.Finding{Check: id, Outcome: finding.Pass})
			return
		}
		set.Add(finding.Of(id, finding.Fail, domain, "DNS", seen))
	}
	result(finding.SenderDomain, s.exists, "no such name")
	if !s.exists {
		return
	}
	result(finding.MXNull, !s.nullMX, "MX 0 .")
	result(finding.SenderMX, s.hasMX || s.nullMX, "no MX record")
	if s.hasMX {
		addExchangers(set, domain, &s.faults, len(s.hosts))
	}
}

// addExchangers maps where the MX records lead (S11–S13).
func addExchangers(set *finding.Set, domain string, f *exchangerFaults, total int) {
	for _, c := range [...]struct {
		id   finding.ID
		seen []string
	}{
		{finding.MXAddress, f.address}, {finding.MXCNAME, f.alias}, {finding.MXDangling, f.dangling}, {finding.MXPrivate, f.private},
	} {
		switch {
		case len(c.seen) > 0 && (c.id != finding.MXPrivate || f.err == nil):
			set.Add(finding.Finding{Check: c.id, Outcome: finding.Fail, Subject: domain, Evidence: seenFacts(c.seen, total)})
		case f.err != nil && c.id != finding.MXAddress && !(c.id == finding.MXPrivate && f.public):
			set.Add(finding.Of(c.id, finding.Unverified, domain, "DNS", f.err.Error()))
		default:
			set.Add(finding.Finding{Check: c.id, Outcome: finding.Pass})
		}
	}
}

func seenFacts(seen []string, total int) []finding.Fact {
	var facts []finding.Fact
	for _, s := range seen {
		facts = append(facts, finding.Fact{What: "DNS", Seen: s})
	}
	if total > maxExchangers {
		facts = append(facts, finding.Fact{What: "looked at", Seen: fmt.Sprintf("%d MX hosts of %d", maxExchangers, total)})
	}
	return facts
}

// maxTree bounds the lines of an SPF evaluation that are kept as evidence.
const maxTree = 40

// spfFacts is the evaluation as a tree, a line for each step.
func spfFacts(r *spf.Result) []string {
	tree := r.Tree()
	facts := make([]string, 0, 2*min(len(tree), maxTree)+4)
	for i, line := range tree {
		if i == maxTree {
			facts = append(facts, "SPF", fmt.Sprintf("… and %d lines more", len(tree)-i))
			break
		}
		facts = append(facts, "SPF", line)
	}
	if r.Explanation != "" {
		facts = append(facts, "the domain says", r.Explanation)
	}
	return facts
}

// addSPF maps the seven results (RFC 7208 §8, S33), and what the record itself is
// like: one fault, one check.
func addSPF(set *finding.Set, r *spf.Result) {
	with := func(id finding.ID, o finding.Outcome) { set.Add(finding.Of(id, o, r.Domain, spfFacts(r)...)) }
	pass := func(ids ...finding.ID) {
		for _, id := range ids {
			set.Add(finding.Finding{Check: id, Outcome: finding.Pass})
		}
	}
	switch r.Status {
	case spf.Pass, spf.Neutral:
		pass(finding.SPFFail, finding.SPFSoftFail)
	case spf.Fail:
		with(finding.SPFFail, finding.Fail)
	case spf.SoftFail:
		pass(finding.SPFFail)
		with(finding.SPFSoftFail, finding.Fail)
	case spf.None:
		with(finding.SPFMissing, finding.Fail)
		return
	case spf.PermError:
		pass(finding.SPFMissing)
		with(permError(r.Err), finding.Fail)
		return
	case spf.TempError:
		with(finding.SPFFail, finding.Unverified)
		return
	}
	pass(finding.SPFMissing, finding.SPFInvalid, finding.SPFLookups, finding.SPFMultiple)
	if broad(r) {
		with(finding.SPFBroad, finding.Fail)
	} else {
		pass(finding.SPFBroad)
	}
}

// permError tells which fault of the record it was.
func permError(err error) finding.ID {
	switch {
	case errors.Is(err, spf.ErrMultipleRecords):
		return finding.SPFMultiple
	case errors.Is(err, spf.ErrTooManyLookups), errors.Is(err, spf.ErrTooManyVoid), errors.Is(err, spf.ErrTooManyMX):
		return finding.SPFLookups
	}
	return finding.SPFInvalid
}

// broad reports whether a record that was seen lets everybody send: its all has the
// sign + or none. Within an include it makes the include match everybody.
func broad(r *spf.Result) bool {
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.Term != "" {
			continue
		}
		for _, text := range s.Texts {
			for term := range strings.FieldsSeq(text) {
				if strings.EqualFold(strings.TrimPrefix(term, "+"), "all") {
					return true
				}
			}
		}
	}
	return false
}

// addSPFOfHELO maps the SPF of the name of the greeting (RFC 7208 §2.3): only a
// record that forbids the client is a fault.
func addSPFOfHELO(set *finding.Set, r *spf.Result) {
	switch r.Status {
	case spf.Pass, spf.Neutral, spf.SoftFail:
		set.Add(finding.Finding{Check: finding.SPFHELO, Outcome: finding.Pass})
	case spf.Fail:
		set.Add(finding.Of(finding.SPFHELO, finding.Fail, r.Domain, spfFacts(r)...))
	case spf.TempError:
		set.Add(finding.Of(finding.SPFHELO, finding.Unverified, r.Domain, spfFacts(r)...))
	}
}
