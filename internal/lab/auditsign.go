package lab

import (
	"context"
	"crypto"
	"fmt"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
)

// signer is the key of a signed zone; without one it signs nothing.
type signer struct {
	key     *dns.DNSKEY
	private crypto.Signer
	until   time.Time
	since   time.Time
	bogus   bool
}

// makeKey makes the zone's key, where its manner is a signed one: "signed" in good
// order, "expiring" by tomorrow, "bogus" with signatures that do not fit, "sha1" with
// an algorithm that RFC 9905 takes out of use.
func (s *zoneServer) makeKey(now time.Time) error {
	days := map[string]int{"signed": 30, "expiring": 1, "bogus": 30, "sha1": 30}
	for manner, n := range days {
		if !s.faults[manner] {
			continue
		}
		algorithm, bits := dns.ECDSAP256SHA256, 256
		if manner == "sha1" {
			algorithm, bits = dns.RSASHA1, 1024
		}
		s.key = &dns.DNSKEY{
			Hdr:   dns.RR_Header{Name: s.zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
			Flags: dns.ZONE | dns.SEP, Protocol: 3, Algorithm: algorithm,
		}
		private, err := s.key.Generate(bits)
		if err != nil {
			return fmt.Errorf("key of %s: %w", s.zone, err)
		}
		s.private = private.(crypto.Signer)
		s.since, s.until, s.bogus = now.Add(-time.Hour), now.Add(time.Duration(n)*24*time.Hour), manner == "bogus"
		s.records.add(s.key)
	}
	return nil
}

// addSignatures signs the records that an answer has of a name and type (RFC 4035
// §3.1.1). A bogus zone signs its keys rightly and everything else wrongly.
func (s *zoneServer) addSignatures(m *dns.Msg, name string, t uint16) {
	if s.key == nil {
		return
	}
	var set []dns.RR
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == t && dns.CanonicalName(rr.Header().Name) == name {
			set = append(set, rr)
		}
	}
	if len(set) == 0 {
		return
	}
	sig := &dns.RRSIG{
		Hdr: dns.RR_Header{Ttl: set[0].Header().Ttl}, Algorithm: s.key.Algorithm, KeyTag: s.key.KeyTag(), SignerName: s.zone,
		Inception: uint32(s.since.Unix()), Expiration: uint32(s.until.Unix()),
	}
	if err := sig.Sign(s.private, set); err != nil {
		m.Rcode = dns.RcodeServerFailure
		return
	}
	if s.bogus && t != dns.TypeDNSKEY {
		sig.OrigTtl++ // what is signed is not what is said
	}
	m.Answer = append(m.Answer, sig)
}

// open opens the server's sockets; it serves under g until the context ends.
func (s *zoneServer) open(ctx context.Context, g *errgroup.Group) error {
	udp, tcp, err := listenDNS("127.0.0.1:0")
	if err != nil {
		return err
	}
	s.socket = tcp.Addr().String()
	serveDNS(ctx, g, udp, tcp, s)
	return nil
}
