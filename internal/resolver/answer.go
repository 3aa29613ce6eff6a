package resolver

import (
	"cmp"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	minTTL     = time.Second
	maxTTL     = 24 * time.Hour
	maxNegTTL  = 15 * time.Minute
	failureTTL = 5 * time.Second
)

// answer is what the cache keeps: a Result without its record type, or a failure. It is immutable once made.
type answer struct {
	records   any // []netip.Addr, []MX, []string, []TLSA or []Record, by the question
	state     State
	authentic bool
	chain     []string
	ttl       time.Duration // as received, bounded
	err       *Error        // non-nil: a failure, and nothing else is set
	cost      int           // approximate bytes held
}

var (
	errReferral = errors.New("a referral: the server does not recurse")
	errChain    = errors.New("alias chain too long")
)

// reading is one question being read out of one or more reply messages.
type reading struct {
	question
	owner     string // the name whose records are wanted now: the question's, or the last alias
	chain     []string
	authentic bool
	ttl       uint32
}

// read takes what a reply (RCODE 0 or 3) says about the question. more is true when the reply ends at an alias whose target
// it does not tell of; then r.owner is to be asked for.
func (r *reading) read(m *dns.Msg, trusted bool) (a *answer, more bool, err error) {
	r.authentic = r.authentic && trusted && m.AuthenticatedData
	before := len(r.chain)
	if err := r.followAliases(m); err != nil {
		return nil, false, err
	}
	if a = r.collect(m); a != nil {
		return a, false, nil
	}
	soa := findSOA(m)
	switch {
	case m.Rcode == dns.RcodeNameError:
		return r.negative(NXDomain, soa), false, nil
	case soa == nil && len(r.chain) > before:
		return nil, true, nil
	case soa == nil && !m.Authoritative && hasType(m.Ns, dns.TypeNS):
		return nil, false, errReferral
	}
	return r.negative(NoData, soa), false, nil
}

// followAliases moves r.owner along the CNAME records of the answer section, which may come in any order.
func (r *reading) followAliases(m *dns.Msg) error {
	if r.typ == TypeCNAME {
		return nil
	}
next:
	for {
		for _, rr := range m.Answer {
			c, ok := rr.(*dns.CNAME)
			if !ok || fromWire(c.Hdr.Name) != r.owner {
				continue
			}
			if len(r.chain) == MaxChain {
				return errChain
			}
			r.owner = fromWire(c.Target)
			r.chain = append(r.chain, r.owner)
			r.ttl = min(r.ttl, c.Hdr.Ttl)
			continue next
		}
		return nil
	}
}

// collect gathers the wanted records of r.owner, or returns nil when the message has none.
func (r *reading) collect(m *dns.Msg) *answer {
	rrs := make([]dns.RR, 0, len(m.Answer))
	for _, rr := range m.Answer {
		h := rr.Header()
		if h.Rrtype == uint16(r.typ) && h.Class == dns.ClassINET && fromWire(h.Name) == r.owner {
			rrs = append(rrs, rr)
			r.ttl = min(r.ttl, h.Ttl)
		}
	}
	if len(rrs) == 0 {
		return nil
	}
	a := &answer{state: Found, authentic: r.authentic, chain: r.chain, ttl: bound(r.ttl, maxTTL)}
	switch {
	case r.generic:
		a.fill(gather(rrs, record))
	case r.typ == TypeA || r.typ == TypeAAAA:
		a.fill(gather(rrs, address))
	case r.typ == TypeMX:
		mx := gather(rrs, exchanger)
		slices.SortStableFunc(mx, func(x, y MX) int { return cmp.Compare(x.Preference, y.Preference) })
		a.fill(mx)
	case r.typ == TypeTLSA:
		a.fill(gather(rrs, association))
	default:
		a.fill(gather(rrs, text))
	}
	if a.records == nil {
		return nil
	}
	return a
}

// fill keeps records of any kind and reckons what they cost.
func (a *answer) fill(records any) {
	a.cost = 256
	for _, s := range a.chain {
		a.cost += 16 + len(s)
	}
	n := 0
	switch rs := records.(type) {
	case []netip.Addr:
		n = len(rs)
		a.cost += 24 * n
	case []string:
		n = len(rs)
		for _, s := range rs {
			a.cost += 16 + len(s)
		}
	case []MX:
		n = len(rs)
		for _, m := range rs {
			a.cost += 24 + len(m.Host)
		}
	case []TLSA:
		n = len(rs)
		for _, t := range rs {
			a.cost += 32 + len(t.Data)
		}
	case []Record:
		n = len(rs)
		for _, x := range rs {
			a.cost += 48 + len(x.Name) + len(x.Data)
		}
	}
	if n > 0 {
		a.records = records
	}
}

// negative makes a NoData or NXDomain answer, kept as long as the SOA says (RFC 2308 §5).
func (r *reading) negative(s State, soa *dns.SOA) *answer {
	a := &answer{state: s, authentic: r.authentic, chain: r.chain, ttl: failureTTL}
	if soa != nil {
		a.ttl = bound(min(r.ttl, soa.Hdr.Ttl, soa.Minttl), maxNegTTL)
	}
	a.fill(nil)
	return a
}

// bound turns a TTL off the wire into a duration within limits; RFC 2181 §8: with the top bit set it is zero.
func bound(ttl uint32, most time.Duration) time.Duration {
	if ttl > 1<<31-1 {
		ttl = 0
	}
	return min(max(time.Duration(ttl)*time.Second, minTTL), most)
}

func findSOA(m *dns.Msg) *dns.SOA {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa
		}
	}
	return nil
}

func hasType(rrs []dns.RR, t uint16) bool {
	return slices.ContainsFunc(rrs, func(rr dns.RR) bool { return rr.Header().Rrtype == t })
}

// gather reads each record, leaving out those whose data is not of its type's shape.
func gather[T any](rrs []dns.RR, read func(dns.RR) (T, bool)) []T {
	out := make([]T, 0, len(rrs))
	for _, rr := range rrs {
		if v, ok := read(rr); ok {
			out = append(out, v)
		}
	}
	return out
}

func address(rr dns.RR) (ip netip.Addr, ok bool) {
	switch v := rr.(type) {
	case *dns.A:
		ip, ok = netip.AddrFromSlice(v.A.To4())
	case *dns.AAAA:
		// A mapped address in an AAAA record is IPv4 in disguise; it belongs to no IPv6 host.
		ip, ok = netip.AddrFromSlice(v.AAAA.To16())
		ok = ok && !ip.Is4In6()
	}
	return ip, ok
}

func exchanger(rr dns.RR) (MX, bool) {
	v, ok := rr.(*dns.MX)
	if !ok {
		return MX{}, false
	}
	return MX{Preference: v.Preference, Host: fromWire(v.Mx)}, true
}

func association(rr dns.RR) (TLSA, bool) {
	v, ok := rr.(*dns.TLSA)
	if !ok {
		return TLSA{}, false
	}
	data, err := hex.DecodeString(v.Certificate)
	return TLSA{Usage: v.Usage, Selector: v.Selector, MatchingType: v.MatchingType, Data: data}, err == nil
}

func text(rr dns.RR) (string, bool) {
	switch v := rr.(type) {
	case *dns.TXT:
		return joinText(v.Txt), true
	case *dns.PTR:
		return fromWire(v.Ptr), true
	case *dns.NS:
		return fromWire(v.Ns), true
	}
	return "", false
}

func joinText(parts []string) string {
	n, plain := 0, true
	for _, p := range parts {
		n += len(p)
		plain = plain && strings.IndexByte(p, '\\') < 0
	}
	if plain {
		return strings.Join(parts, "")
	}
	b := make([]byte, 0, n)
	for _, p := range parts {
		b = unescapeText(b, p)
	}
	return string(b)
}

func record(rr dns.RR) (Record, bool) {
	h := rr.Header()
	data := strings.TrimPrefix(rr.String(), h.String())
	return Record{Name: fromWire(h.Name), Type: Type(h.Rrtype), TTL: bound(h.Ttl, maxTTL), Data: data}, true
}
