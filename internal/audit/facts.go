package audit

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"posta/internal/authority"
	"posta/internal/resolver"
	"posta/internal/spf"
)

const (
	maxHosts = 20 // exchangers of a domain that are looked at
	maxAddrs = 8  // addresses of one exchanger
)

// facts are what several evaluators need. Each is a future: it is found once, when
// the first asks, and all others wait for the same answer. It ends with the audit's
// time.
type facts struct {
	mx     func() exchange     // the domain's exchangers with their addresses
	own    func() []host       // the domain's own name, as a host (web, or mail without MX)
	policy func() policyRecord // the domain's SPF record
	dmarc  func() dmarcFact    // the DMARC record that holds for it
	tree   func() spfTree      // everything that the record refers to
	zone   func() zoneFact     // the zone that the domain is in, with its servers
	sends  func() []netip.Addr // the addresses that are judged as senders
}

// gather makes the futures; nothing is asked yet.
func (a *audit) gather(ctx context.Context) facts {
	return facts{
		mx:     future(func() exchange { return findExchange(ctx, a.cfg.Resolver, a.Domain) }),
		own:    future(func() []host { return []host{findHost(ctx, a.cfg.Resolver, a.Domain)} }),
		policy: future(func() policyRecord { return findPolicy(ctx, a.cfg.Resolver, a.Domain) }),
		dmarc:  future(func() dmarcFact { return findProtection(ctx, a.cfg.Resolver, a.Domain) }),
		tree:   future(func() spfTree { return a.spfTree(ctx) }),
		zone: future(func() zoneFact {
			z, err := a.cfg.Authority.Zone(ctx, a.Domain)
			if err == nil {
				a.probed("DNS: each server of " + z.Name)
			}
			return zoneFact{z, err}
		}),
		sends: future(func() []netip.Addr { return a.senders() }),
	}
}

// future finds a value once, for the first who asks; all wait for it. It waits on a
// channel, not on a lock as sync.OnceValue does, so that fake time goes on meanwhile.
func future[T any](find func() T) func() T {
	var once sync.Once
	var v T
	done := make(chan struct{})
	return func() T {
		once.Do(func() {
			go func() {
				defer close(done)
				v = find()
			}()
		})
		<-done
		return v
	}
}

// host is a name with its addresses.
type host struct {
	name       string
	preference uint16 // of an exchanger
	literal    bool   // the name is an IP address, which it must not be
	addrs      []netip.Addr
	alias      []string       // what CNAMEs led to
	state      resolver.State // of the answer; 0 when both families failed
	err        error          // a family that could not be asked
}

// exchange is what a domain's MX records say.
type exchange struct {
	state resolver.State
	err   error
	null  bool   // MX 0 . is among them
	hosts []host // by preference, without the null one
	more  int    // exchangers that were not looked at
}

// setup is how a domain stands to mail.
type setup string

const (
	withMail setup = "mail"      // it has exchangers
	parked   setup = "parked"    // it has none, or a null MX (RFC 7505)
	implicit setup = "implicit"  // no MX, but an address that mail would go to (RFC 5321 §5.1)
	sendOnly setup = "send-only" // declared: it sends and takes nothing (S10)
	unknown  setup = "unknown"   // DNS did not say
	absent   setup = "absent"    // there is no such name
)

// setup tells how the domain stands to mail, once its MX is known.
func (a *audit) setup() setup {
	x := a.facts.mx()
	switch {
	case x.err != nil:
		return unknown
	case x.state == resolver.NXDomain:
		return absent
	case len(x.hosts) > 0:
		return withMail
	case a.SendOnly:
		return sendOnly
	case x.null:
		return parked
	}
	if own := a.facts.own()[0]; own.err == nil && len(own.addrs) == 0 {
		return parked
	}
	return implicit
}

// exchangerHosts are the domain's exchangers, or the domain itself where mail would
// go to its address.
func (a *audit) exchangerHosts() []host {
	if x := a.facts.mx(); len(x.hosts) > 0 || x.null || x.err != nil {
		return x.hosts
	}
	return a.facts.own()
}

// senders are the addresses that the target names, else our own, else those of the
// exchangers, which in most houses send too.
func (a *audit) senders() []netip.Addr {
	if len(a.IPs) > 0 {
		return a.IPs
	}
	if a.Self != nil && len(a.Self.IPs) > 0 {
		return a.Self.IPs
	}
	var out []netip.Addr
	for _, h := range a.exchangerHosts() {
		out = append(out, h.addrs...)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

func findExchange(ctx context.Context, dns resolver.Resolver, domain string) exchange {
	mx, err := dns.LookupMX(ctx, domain)
	if err != nil {
		return exchange{err: err}
	}
	x := exchange{state: mx.State}
	for _, m := range mx.Records {
		switch {
		case m.Host == "." || m.Host == "":
			x.null = true
		case len(x.hosts) == maxHosts:
			x.more++
		default:
			x.hosts = append(x.hosts, host{name: m.Host, preference: m.Preference})
		}
	}
	var wg sync.WaitGroup
	for i := range x.hosts {
		wg.Go(func() {
			h := findHost(ctx, dns, x.hosts[i].name)
			h.preference = x.hosts[i].preference
			x.hosts[i] = h
		})
	}
	wg.Wait()
	return x
}

// findHost asks for both families side by side.
func findHost(ctx context.Context, dns resolver.Resolver, name string) host {
	h := host{name: name}
	if _, err := netip.ParseAddr(strings.Trim(name, "[].")); err == nil {
		h.literal = true
		return h
	}
	var v4, v6 resolver.Result[netip.Addr]
	var err4, err6 error
	var wg sync.WaitGroup
	wg.Go(func() { v4, err4 = dns.LookupA(ctx, name) })
	wg.Go(func() { v6, err6 = dns.LookupAAAA(ctx, name) })
	wg.Wait()
	h.addrs = slices.Concat(v4.Records, v6.Records)
	h.addrs = h.addrs[:min(len(h.addrs), maxAddrs)]
	if h.alias = v4.Chain; h.alias == nil {
		h.alias = v6.Chain
	}
	switch {
	case len(h.addrs) > 0:
		h.state = resolver.Found
	case err4 == nil && err6 == nil:
		h.state = min(v4.State, v6.State)
	}
	if h.err = err4; h.err == nil {
		h.err = err6
	}
	return h
}

// policyRecord is what TXT has of SPF.
type policyRecord struct {
	texts  []string   // all records with its version
	others []string   // the other TXT records of the name
	record spf.Record // of the only one, where it could be parsed
	err    error      // the look-up failed
	bad    error      // the only one could not be parsed
}

// authorises tells whether the record lets anybody send at all: not where it is a
// lone -all (RFC 7208 §10.1.2). A record that could not be parsed is meant to.
func (p *policyRecord) authorises() bool {
	if len(p.texts) == 0 {
		return false
	}
	for _, t := range p.record.Terms {
		if t.Kind == spf.All {
			return t.Qualifier == spf.QPass
		}
		if !t.Kind.IsModifier() && t.Qualifier == spf.QPass || t.Kind == spf.Redirect {
			return true
		}
	}
	return p.bad != nil || len(p.texts) > 1
}

func findPolicy(ctx context.Context, dns resolver.Resolver, domain string) policyRecord {
	r, err := dns.LookupTXT(ctx, domain)
	if err != nil {
		return policyRecord{err: err}
	}
	var p policyRecord
	for _, t := range r.Records {
		if spf.IsRecord(t) {
			p.texts = append(p.texts, t)
		} else {
			p.others = append(p.others, t)
		}
	}
	if len(p.texts) == 1 {
		p.record, p.bad = spf.Parse(p.texts[0])
	}
	return p
}

// zoneFact is the domain's zone, or why it is not known.
type zoneFact struct {
	authority.Zone
	err error
}
