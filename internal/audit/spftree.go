package audit

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"posta/internal/resolver"
	"posta/internal/spf"
)

const (
	maxSPFRecords = 40 // records that a tree follows; the standard allows 11
	maxSPFDepth   = 10
)

// spfTree is everything that a domain's SPF record refers to, whoever sends: not an
// evaluation for one address, but what all of them together could be.
type spfTree struct {
	includes []string       // names of include and redirect, in the order met
	dead     []string       // of these, each with why it is no record
	own      []netip.Prefix // authorised by the domain's own records
	foreign  []netip.Prefix // by those of others
	ptr      []string       // records that use ptr
	web      []string       // own terms a that name the domain itself
	all      spf.Qualifier  // of the top record's all, or where redirect leads; 0 without
	open     bool           // it has terms that depend on the message, or lets everybody send
	err      error          // something could not be looked up, so that the tree is not whole
	seen     map[string]bool
}

// spfTree walks the record. It blocks for the look-ups.
func (a *audit) spfTree(ctx context.Context) spfTree {
	t := spfTree{seen: map[string]bool{a.Domain: true}}
	p := a.facts.policy()
	if p.err != nil || len(p.texts) != 1 || p.bad != nil {
		t.err = cmp.Or(p.err, p.bad)
		return t
	}
	t.walk(ctx, a.cfg.Resolver, a.Domain, a.Domain, p.record, 0)
	return t
}

// within tells a name of the domain or below it.
func within(name, domain string) bool { return name == domain || strings.HasSuffix(name, "."+domain) }

// walk adds the terms of one record, which stands at name.
func (t *spfTree) walk(ctx context.Context, dns resolver.Resolver, domain, name string, rec spf.Record, depth int) {
	for _, term := range rec.Terms {
		if term.Spec.HasMacro() {
			t.open = true
			continue
		}
		target := cmp.Or(strings.ToLower(strings.TrimSuffix(string(term.Spec), ".")), name)
		switch {
		case term.Kind == spf.Include:
			t.follow(ctx, dns, domain, target, term, depth+1)
		case term.Kind == spf.Redirect && !hasAll(rec):
			t.follow(ctx, dns, domain, target, term, depth)
		case term.Kind == spf.All:
			t.open = t.open || term.Qualifier == spf.QPass
			if depth == 0 {
				t.all = term.Qualifier
			}
		case term.Kind == spf.Exists:
			t.open = true
		case term.Kind == spf.PTR:
			t.open = true
			t.ptr = append(t.ptr, name+": "+term.Text)
		case term.Qualifier == spf.QPass:
			t.authorise(ctx, dns, domain, name, target, term)
		}
	}
}

// hasAll tells a record with the mechanism all, which makes its redirect void
// (RFC 7208 §6.1).
func hasAll(rec spf.Record) bool {
	return slices.ContainsFunc(rec.Terms, func(t spf.Term) bool { return t.Kind == spf.All })
}

// follow walks the record that an include or redirect names.
func (t *spfTree) follow(ctx context.Context, dns resolver.Resolver, domain, target string, term spf.Term, depth int) {
	if t.seen[target] || len(t.seen) >= maxSPFRecords || depth > maxSPFDepth {
		return
	}
	t.seen[target] = true
	t.includes = append(t.includes, target)
	p := findPolicy(ctx, dns, target)
	switch {
	case p.err != nil && resolver.Temporary(p.err):
		t.err = p.err
	case p.err != nil:
		t.dead = append(t.dead, term.Text+": "+p.err.Error())
	case len(p.texts) == 0:
		why := "no SPF record"
		if r, err := dns.LookupTXT(ctx, target); err == nil && r.State == resolver.NXDomain {
			why = "the name does not exist"
		}
		t.dead = append(t.dead, term.Text+": "+why)
	case len(p.texts) == 1 && p.bad == nil:
		t.walk(ctx, dns, domain, target, p.record, depth)
	}
}

// authorise adds the addresses of a term.
func (t *spfTree) authorise(ctx context.Context, dns resolver.Resolver, domain, name, target string, term spf.Term) {
	add := func(p netip.Prefix) {
		if within(name, domain) {
			t.own = append(t.own, p.Masked())
		} else {
			t.foreign = append(t.foreign, p.Masked())
		}
	}
	hosts := []host{}
	switch term.Kind {
	case spf.IP4, spf.IP6:
		add(term.Prefix)
		return
	case spf.A:
		h := findHost(ctx, dns, target)
		if target == domain && within(name, domain) {
			t.web = append(t.web, term.Text)
		}
		hosts = append(hosts, h)
	case spf.MX:
		x := findExchange(ctx, dns, target)
		if x.err != nil {
			t.err = x.err
		}
		hosts = x.hosts
	}
	for _, h := range hosts {
		if h.err != nil {
			t.err = h.err
		}
		for _, ip := range h.addrs {
			bits := int(term.Bits4)
			if ip.Is6() {
				bits = int(term.Bits6)
			}
			if p, err := ip.Prefix(bits); err == nil {
				add(p)
			}
		}
	}
}

// count4 is how many IPv4 addresses the prefixes hold, each counted once.
func count4(prefixes []netip.Prefix) uint64 {
	sorted := slices.Clone(prefixes)
	slices.SortFunc(sorted, func(x, y netip.Prefix) int {
		return cmp.Or(cmp.Compare(x.Bits(), y.Bits()), x.Addr().Compare(y.Addr()))
	})
	var kept []netip.Prefix // the widest first, so that one that lies in another comes after it
	n := uint64(0)
	for _, p := range sorted {
		if !p.Addr().Is4() || slices.ContainsFunc(kept, func(k netip.Prefix) bool { return k.Contains(p.Addr()) }) {
			continue
		}
		kept = append(kept, p)
		n += 1 << (32 - p.Bits())
	}
	return n
}

// widest lists the few largest networks, for people.
func widest(prefixes []netip.Prefix) string {
	sorted := slices.Clone(prefixes)
	slices.SortFunc(sorted, func(x, y netip.Prefix) int {
		return cmp.Or(cmp.Compare(x.Addr().BitLen()-x.Bits(), y.Addr().BitLen()-y.Bits())*-1, x.Addr().Compare(y.Addr()))
	})
	sorted = slices.Compact(sorted)
	var out []string
	for _, p := range sorted[:min(len(sorted), 5)] {
		out = append(out, p.String())
	}
	if len(sorted) > 5 {
		out = append(out, fmt.Sprintf("and %d more", len(sorted)-5))
	}
	return strings.Join(out, " ")
}
