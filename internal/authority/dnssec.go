package authority

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"posta/internal/resolver"
)

const (
	typeDNSKEY     = resolver.Type(dns.TypeDNSKEY)
	typeNSEC3PARAM = resolver.Type(dns.TypeNSEC3PARAM)

	maxKeys       = 16 // DNSKEY records that are looked at
	maxSignatures = 16 // of one RRset: verifying costs time (CVE-2023-50387)
)

// Chain is how a zone is signed, from the DS records in its parent down.
type Chain struct {
	DS     []string  // as published, in presentation form; empty: the zone is not signed, as far as the world is to know
	Keys   []string  // tag and algorithm of each key: "12345 ECDSAP256SHA256"
	Bogus  error     // why a validating resolver would not believe the zone; nil when it would
	Err    error     // what could not be asked; then Bogus says nothing
	Weak   []string  // keys and DS that are made with SHA-1
	Expire time.Time // when the first of the signatures that were seen ends; zero without
	NSEC3  uint16    // iterations above 0 are waste (RFC 9276 §3.1)
}

// Signed tells whether the parent says that the zone is signed.
func (ch *Chain) Signed() bool { return len(ch.DS) > 0 }

// Chain asks for the DS records through the resolver and for the keys and signatures
// of the zone's SOA, and of each further type at its apex, from its servers, the first
// of each host that answers, and verifies them at the time now (RFC 4035 §5). It
// follows no further than to the parent's DS, which the resolver vouches for or not.
func (c *Client) Chain(ctx context.Context, z *Zone, now time.Time, types ...resolver.Type) Chain {
	var ch Chain
	ds, err := c.dns.Lookup(ctx, z.Name, resolver.TypeDS)
	if err != nil {
		ch.Err = err
		return ch
	}
	for _, r := range ds.Records {
		ch.DS = append(ch.DS, r.Data)
	}
	if !ch.Signed() {
		return ch
	}
	answered := false
	for _, s := range z.Servers {
		for _, ip := range s.Addrs {
			err := c.server(ctx, z, ip, now, types, &ch)
			if err == nil {
				answered = true
				break // one address of each server: the same software answers on all
			}
			ch.Err = fmt.Errorf("%s (%s): %w", s.Host, ip, err)
		}
	}
	if answered {
		ch.Err = nil
	}
	return ch
}

// server adds to a chain what one server has of it; an error says that it did not
// answer.
func (c *Client) server(ctx context.Context, z *Zone, ip netip.Addr, now time.Time, types []resolver.Type, ch *Chain) error {
	r, _, err := c.ask(ctx, ip, Question{Name: z.Name, Type: typeDNSKEY, DNSSEC: true})
	if err != nil {
		return err
	}
	v := newVerifier(z.Name, r.Answer, ch.DS, now)
	ch.Keys, ch.Weak = v.names(), v.weak
	bogus := v.anchored
	for _, t := range append([]resolver.Type{resolver.TypeSOA}, types...) {
		if bogus != nil {
			break
		}
		if r, _, err := c.ask(ctx, ip, Question{Name: z.Name, Type: t, DNSSEC: true}); err == nil {
			bogus = v.verify(r.Answer, uint16(t))
		}
	}
	if bogus != nil && ch.Bogus == nil {
		ch.Bogus = fmt.Errorf("%s: %w", ip, bogus)
	}
	if !v.expire.IsZero() && (ch.Expire.IsZero() || v.expire.Before(ch.Expire)) {
		ch.Expire = v.expire
	}
	ch.NSEC3 = max(ch.NSEC3, c.iterations(ctx, z, ip))
	return nil
}

// verifier holds a zone's keys.
type verifier struct {
	zone     string
	now      time.Time
	keys     []*dns.DNSKEY
	weak     []string
	expire   time.Time
	anchored error // why no key is the DS record's, or the keys are not signed by it
}

// errUnsigned is a set of records without a signature in a zone whose DS says that it
// is signed.
var errUnsigned = errors.New("no signature")

func newVerifier(zone string, answer []dns.RR, ds []string, now time.Time) *verifier {
	v := &verifier{zone: dns.Fqdn(zone), now: now}
	for _, rr := range answer {
		if k, ok := rr.(*dns.DNSKEY); ok && len(v.keys) < maxKeys {
			v.keys = append(v.keys, k)
			if sha1(k.Algorithm) {
				v.weak = append(v.weak, "key "+keyName(k))
			}
		}
	}
	matched := false
	for _, data := range ds {
		rr, err := dns.NewRR(v.zone + " 60 IN DS " + data)
		d, ok := rr.(*dns.DS)
		if err != nil || !ok {
			continue
		}
		if d.DigestType == dns.SHA1 {
			v.weak = append(v.weak, fmt.Sprintf("DS %d with SHA-1", d.KeyTag))
		}
		for _, k := range v.keys {
			if own := k.ToDS(d.DigestType); own != nil && own.KeyTag == d.KeyTag && strings.EqualFold(own.Digest, d.Digest) {
				matched = true
			}
		}
	}
	switch {
	case len(v.keys) == 0:
		v.anchored = errors.New("there is a DS record in the parent and no DNSKEY in the zone")
	case !matched:
		v.anchored = errors.New("no key of the zone is the one of the DS record")
	default:
		v.anchored = v.verify(answer, dns.TypeDNSKEY)
	}
	return v
}

// verify checks that one of the signatures over the records of a type is good and in
// its time. No records is no fault here.
func (v *verifier) verify(answer []dns.RR, t uint16) error {
	var set []dns.RR
	var sigs []*dns.RRSIG
	for _, rr := range answer {
		if s, ok := rr.(*dns.RRSIG); ok && s.TypeCovered == t && len(sigs) < maxSignatures {
			sigs = append(sigs, s)
		} else if rr.Header().Rrtype == t && strings.EqualFold(rr.Header().Name, v.zone) {
			set = append(set, rr)
		}
	}
	if len(set) == 0 {
		return nil
	}
	err := errUnsigned
	for _, s := range sigs {
		i := slices.IndexFunc(v.keys, func(k *dns.DNSKEY) bool { return k.KeyTag() == s.KeyTag && k.Algorithm == s.Algorithm })
		if i < 0 {
			err = fmt.Errorf("signed with key %d, which the zone does not have", s.KeyTag)
			continue
		}
		if err = s.Verify(v.keys[i], set); err != nil {
			continue
		}
		end := time.Unix(int64(s.Expiration), 0)
		if !s.ValidityPeriod(v.now) {
			err = fmt.Errorf("signature of key %d is valid from %s to %s", s.KeyTag, dns.TimeToString(s.Inception), dns.TimeToString(s.Expiration))
			continue
		}
		if v.expire.IsZero() || end.Before(v.expire) {
			v.expire = end
		}
		return nil
	}
	return fmt.Errorf("%s: %w", dns.TypeToString[t], err)
}

func (v *verifier) names() (out []string) {
	for _, k := range v.keys {
		out = append(out, keyName(k))
	}
	return out
}

func keyName(k *dns.DNSKEY) string {
	return fmt.Sprintf("%d %s", k.KeyTag(), dns.AlgorithmToString[k.Algorithm])
}

// sha1 tells the algorithms that RFC 9905 takes out of use.
func sha1(algorithm uint8) bool {
	return algorithm == dns.RSASHA1 || algorithm == dns.RSASHA1NSEC3SHA1
}

func (c *Client) iterations(ctx context.Context, z *Zone, ip netip.Addr) uint16 {
	r, _, err := c.ask(ctx, ip, Question{Name: z.Name, Type: typeNSEC3PARAM})
	if err != nil {
		return 0
	}
	for _, rr := range r.Answer {
		if p, ok := rr.(*dns.NSEC3PARAM); ok {
			return p.Iterations
		}
	}
	return 0
}
