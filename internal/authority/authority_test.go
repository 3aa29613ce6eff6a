package authority

import (
	"context"
	"crypto"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"posta/internal/resolver"
)

var now = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// serve answers on loopback over UDP and TCP, and gives the dialer that leads every
// address there.
func serve(t *testing.T, answer func(m *dns.Msg, q dns.Question, tcp bool)) func(ctx context.Context, network, address string) (net.Conn, error) {
	t.Helper()
	var pc net.PacketConn
	var ln net.Listener
	for ln == nil {
		var err error
		if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if ln, err = net.Listen("tcp", pc.LocalAddr().String()); err != nil {
			pc.Close()
		}
	}
	h := dns.HandlerFunc(func(w dns.ResponseWriter, req *dns.Msg) {
		m := new(dns.Msg).SetReply(req)
		m.Authoritative = true
		if req.IsEdns0() != nil {
			m.SetEdns0(1232, false)
		}
		answer(m, req.Question[0], w.RemoteAddr().Network() == "tcp")
		w.WriteMsg(m)
	})
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: ln, Handler: h}} {
		started, done := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { defer close(done); s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { s.Shutdown(); <-done })
	}
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, pc.LocalAddr().String())
	}
}

func rr(t *testing.T, s string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// One question, as one server answers it: records, referral, refusal, a reply that is
// too long for UDP.
func TestAsk(t *testing.T) {
	long := strings.Repeat("x", 250)
	dial := serve(t, func(m *dns.Msg, q dns.Question, tcp bool) {
		switch q.Name {
		case "a.example.":
			m.Answer = append(m.Answer, rr(t, "a.example. 300 A 192.0.2.1"))
		case "long.example.":
			if !tcp {
				m.Truncated = true
				return
			}
			for i := range 8 {
				m.Answer = append(m.Answer, rr(t, fmt.Sprintf("long.example. 300 TXT %d%s", i, long)))
			}
		case "sub.example.":
			m.Authoritative = false
			m.Ns = append(m.Ns, rr(t, "sub.example. 300 NS ns.sub.example."))
			m.Extra = append(m.Extra, rr(t, "ns.sub.example. 300 A 192.0.2.9"))
		case "refused.example.":
			m.Rcode = dns.RcodeRefused
		default:
			m.Rcode = dns.RcodeNameError
		}
	})
	c := New(resolver.Static{}, Config{Dial: dial})
	for _, tc := range []struct {
		q    Question
		want string
	}{
		{Question{Name: "A.example", Type: resolver.TypeA}, "found aa=true edns=true cut=false [a.example A 5m0s 192.0.2.1]"},
		{Question{Name: "a.example", Type: resolver.TypeA, Plain: true}, "found aa=true edns=false cut=false [a.example A 5m0s 192.0.2.1]"},
		{Question{Name: "sub.example", Type: resolver.TypeNS}, "no data aa=false edns=true cut=false []"},
		{Question{Name: "no.example", Type: resolver.TypeA}, "nxdomain aa=true edns=true cut=false []"},
		{Question{Name: "refused.example", Type: resolver.TypeA}, "the server answers REFUSED"},
		{Question{Name: "a..example", Type: resolver.TypeA}, "empty name or label"},
	} {
		a, err := c.Ask(t.Context(), netip.MustParseAddr("192.0.2.53"), tc.q)
		got := fmt.Sprintf("%v aa=%v edns=%v cut=%v [", a.State, a.Authoritative, a.EDNS, a.Cut)
		for _, r := range a.Records {
			got += fmt.Sprintf("%s %v %v %s", r.Name, r.Type, r.TTL, r.Data)
		}
		got += "]"
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%+v: %s, want %s", tc.q, got, tc.want)
		}
	}
	a, err := c.Ask(t.Context(), netip.MustParseAddr("192.0.2.53"), Question{Name: "long.example", Type: resolver.TypeTXT})
	if err != nil || !a.Cut || len(a.Records) != 8 || a.Size < 2000 {
		t.Errorf("long: %+v %v", a, err)
	}
}

// signer makes a zone's keys and signatures.
type signer struct {
	key *dns.DNSKEY
	pri crypto.Signer
}

func newSigner(t *testing.T, algorithm uint8) *signer {
	t.Helper()
	k := &dns.DNSKEY{Hdr: dns.RR_Header{Name: "example.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 300}, Flags: 257, Protocol: 3, Algorithm: algorithm}
	bits := 256
	if algorithm == dns.RSASHA1 {
		bits = 1024
	}
	pri, err := k.Generate(bits)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{k, pri.(crypto.Signer)}
}

func (s *signer) sign(t *testing.T, until time.Time, set ...dns.RR) []dns.RR {
	t.Helper()
	sig := &dns.RRSIG{
		Hdr:       dns.RR_Header{Ttl: 300},
		Algorithm: s.key.Algorithm, KeyTag: s.key.KeyTag(), SignerName: "example.",
		Inception: uint32(now.Add(-time.Hour).Unix()), Expiration: uint32(until.Unix()),
	}
	if err := sig.Sign(s.pri, set); err != nil {
		t.Fatal(err)
	}
	return append(set, sig)
}

func (s *signer) ds() string {
	d := s.key.ToDS(dns.SHA256)
	return strings.TrimPrefix(d.String(), d.Hdr.String())
}

// The chain from the parent's DS down: what a validating resolver would believe, and
// why it would not (RFC 4035 §5).
func TestChain(t *testing.T) {
	good, other, old := newSigner(t, dns.ECDSAP256SHA256), newSigner(t, dns.ECDSAP256SHA256), newSigner(t, dns.RSASHA1)
	soa, mx := rr(t, "example. 300 SOA ns.example. h.example. 1 2 3 4 60"), rr(t, "example. 300 MX 10 mx.example.")
	month := now.Add(30 * 24 * time.Hour)
	for _, tc := range []struct {
		what     string
		ds       string
		keys     []dns.RR
		soa, mx  []dns.RR
		want     string // part of Bogus; "" for none
		expire   time.Time
		weak     int
		unsigned bool
	}{
		{what: "not signed", unsigned: true},
		{what: "good", ds: good.ds(), keys: good.sign(t, month, good.key), soa: good.sign(t, month, soa), mx: good.sign(t, now.Add(48*time.Hour), mx), expire: now.Add(48 * time.Hour)},
		{what: "no keys", ds: good.ds(), want: "no DNSKEY"},
		{what: "another key", ds: good.ds(), keys: other.sign(t, month, other.key), want: "no key of the zone is the one of the DS"},
		{what: "keys not signed", ds: good.ds(), keys: []dns.RR{good.key}, want: "DNSKEY: no signature"},
		{what: "MX not signed", ds: good.ds(), keys: good.sign(t, month, good.key), soa: good.sign(t, month, soa), mx: []dns.RR{mx}, want: "MX: no signature", expire: month},
		{what: "ended", ds: good.ds(), keys: good.sign(t, month, good.key), soa: good.sign(t, now.Add(-time.Minute), soa), want: "is valid from", expire: month},
		{what: "signed by a stranger", ds: good.ds(), keys: good.sign(t, month, good.key), soa: other.sign(t, month, soa), want: "which the zone does not have", expire: month},
		{what: "SHA-1", ds: old.ds(), keys: old.sign(t, month, old.key), soa: old.sign(t, month, soa), weak: 1, expire: month},
	} {
		t.Run(tc.what, func(t *testing.T) {
			dial := serve(t, func(m *dns.Msg, q dns.Question, _ bool) {
				switch q.Qtype {
				case dns.TypeDNSKEY:
					m.Answer = tc.keys
				case dns.TypeSOA:
					m.Answer = tc.soa
				case dns.TypeMX:
					m.Answer = tc.mx
				}
			})
			apex := []string{"NS ns.example"}
			if tc.ds != "" {
				apex = append(apex, "DS "+tc.ds)
			}
			c := New(resolver.Static{"example": apex, "ns.example": {"A 192.0.2.53"}}, Config{Dial: dial})
			z := Zone{Name: "example", Servers: []Server{{Host: "ns.example", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.53")}}}}
			ch := c.Chain(t.Context(), &z, now, resolver.TypeMX)
			if ch.Err != nil || ch.Signed() == tc.unsigned || len(ch.Weak) != tc.weak {
				t.Errorf("%+v", ch)
			}
			if (ch.Bogus == nil) != (tc.want == "") || ch.Bogus != nil && !strings.Contains(ch.Bogus.Error(), tc.want) {
				t.Errorf("bogus: %v, want %q", ch.Bogus, tc.want)
			}
			if !ch.Expire.Equal(tc.expire) {
				t.Errorf("expires %v, want %v", ch.Expire, tc.expire)
			}
		})
	}
}

// A server that does not answer leaves the chain open: it is no fault of the zone.
func TestChainOfASilentServer(t *testing.T) {
	c := New(resolver.Static{"example": {"DS 1 13 2 00"}}, Config{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }})
	z := Zone{Name: "example", Servers: []Server{{Host: "ns.example", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.53")}}}}
	if ch := c.Chain(t.Context(), &z, now); ch.Err == nil || ch.Bogus != nil {
		t.Errorf("%+v", ch)
	}
}
