package audit

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/tools/txtar"

	"posta/internal/authority"
	"posta/internal/resolver"
)

// world is an internet of name servers, each of which can be broken by itself. A
// file of testdata has one section for each server, named "host address fault…", with
// the master files that it has; the resolver reads what the servers have that are
// sound. Faults: silent, refused, lame, udp-only, no-edns, away (the glue names an
// address where nobody is).
type world struct {
	servers map[netip.Addr]*authoritative
	zones   []dns.RR          // of all sound servers
	local   map[string]string // address in the world → address of the process's listener
}

type authoritative struct {
	host   string
	faults map[string]bool
	rrs    []dns.RR
}

func newWorld(t *testing.T, file string) *world {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return worldOf(t, b)
}

func worldOf(t *testing.T, text []byte) *world {
	t.Helper()
	w := &world{servers: map[netip.Addr]*authoritative{}, local: map[string]string{}}
	for _, section := range txtar.Parse(text).Files {
		words := strings.Fields(section.Name)
		s := &authoritative{host: words[0], faults: map[string]bool{}}
		for _, f := range words[2:] {
			s.faults[f] = true
		}
		zp := dns.NewZoneParser(strings.NewReader(string(section.Data)), ".", section.Name)
		zp.SetDefaultTTL(3600)
		for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
			s.rrs = append(s.rrs, rr)
		}
		if err := zp.Err(); err != nil {
			t.Fatal(err)
		}
		w.servers[netip.MustParseAddr(words[1])] = s
		if !s.faults["stale"] {
			for _, rr := range s.rrs {
				if !s.belowCut(rr.Header().Name) {
					w.zones = append(w.zones, rr)
				}
			}
		}
	}
	for ip, s := range w.servers {
		w.listen(t, ip.String()+":53", s)
	}
	w.listen(t, "resolver", &authoritative{rrs: w.zones, faults: map[string]bool{"recursive": true}})
	return w
}

// listen serves on a free port of loopback for UDP and TCP.
func (w *world) listen(t *testing.T, at string, s *authoritative) {
	t.Helper()
	var pc net.PacketConn
	var ln net.Listener
	for range 20 {
		var err error
		if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if ln, err = net.Listen("tcp", pc.LocalAddr().String()); err == nil {
			break
		}
		pc.Close()
	}
	if ln == nil {
		t.Fatal("no port free for both UDP and TCP")
	}
	w.local[at] = pc.LocalAddr().String()
	if s.faults["udp-only"] {
		ln.Close()
		ln = nil
	}
	for _, srv := range []*dns.Server{{PacketConn: pc, Handler: s}, {Listener: ln, Handler: s}} {
		if srv.PacketConn == nil && srv.Listener == nil {
			continue
		}
		started, done := make(chan struct{}), make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		go func() { defer close(done); srv.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { srv.Shutdown(); <-done })
	}
}

// dial reaches a server of the world; nobody is at any other address.
func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, ok := w.local[address]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
	}
	return new(net.Dialer).DialContext(ctx, network, to)
}

func (w *world) config(t *testing.T) Config {
	t.Helper()
	dns, err := resolver.New(resolver.Config{Servers: []netip.AddrPort{netip.MustParseAddrPort(w.local["resolver"])}, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	return Config{
		Resolver: dns, Authority: authority.New(dns, authority.Config{Dial: w.dial, Timeout: 500 * time.Millisecond}), Dial: w.dial,
		Now: func() time.Time { return time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC) },
	}
}

// zone is the apex of the zone that the server has and a name is in: the longest with a
// SOA.
func (s *authoritative) zone(name string) (apex string) {
	for _, rr := range s.rrs {
		if _, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(rr.Header().Name, name) && len(rr.Header().Name) > len(apex) {
			apex = rr.Header().Name
		}
	}
	return apex
}

// belowCut tells a name that the server delegates to others: what it has of it is no
// answer, only a hint.
func (s *authoritative) belowCut(name string) bool {
	apex := s.zone(name)
	for _, rr := range s.rrs {
		if ns, ok := rr.(*dns.NS); ok && len(ns.Hdr.Name) > len(apex) && dns.IsSubDomain(ns.Hdr.Name, name) {
			return true
		}
	}
	return false
}

// ServeDNS implements dns.Handler.
func (s *authoritative) ServeDNS(rw dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	defer func() { rw.WriteMsg(m) }()
	if q.IsEdns0() != nil && !s.faults["no-edns"] {
		m.SetEdns0(1232, false)
	}
	name, typ := dns.CanonicalName(q.Question[0].Name), q.Question[0].Qtype
	switch {
	case s.faults["refused"]:
		m.Rcode = dns.RcodeRefused
		return
	case s.faults["lame"]:
		return
	}
	m.Authoritative = !s.faults["recursive"]
	m.RecursionAvailable = s.faults["recursive"]
	if m.Authoritative && s.refer(m, name, typ) {
		return
	}
	exists := s.find(m, name, typ)
	if !exists {
		m.Rcode = dns.RcodeNameError
	}
	if len(m.Answer) == 0 {
		for _, rr := range s.rrs {
			if _, ok := rr.(*dns.SOA); ok && rr.Header().Name == s.zone(name) {
				m.Ns = append(m.Ns, rr)
			}
		}
	}
}

// refer answers with a delegation when the name is below a cut of the server's zone.
func (s *authoritative) refer(m *dns.Msg, name string, typ uint16) bool {
	apex := s.zone(name)
	for _, rr := range s.rrs {
		ns, ok := rr.(*dns.NS)
		if !ok || ns.Hdr.Name == apex || !dns.IsSubDomain(ns.Hdr.Name, name) || len(ns.Hdr.Name) < len(apex) || typ == dns.TypeDS {
			continue
		}
		m.Authoritative = false
		m.Ns = append(m.Ns, ns)
		for _, g := range s.rrs {
			if a, ok := g.(*dns.A); ok && a.Hdr.Name == ns.Ns {
				m.Extra = append(m.Extra, a)
			}
		}
	}
	return len(m.Ns) > 0
}

// find fills the answer, following aliases, and tells whether the name exists. The
// resolver knows a zone's own NS records, not those of its parent.
func (s *authoritative) find(m *dns.Msg, name string, typ uint16) bool {
	exists := false
	for _, rr := range s.rrs {
		h := rr.Header()
		own := dns.CanonicalName(h.Name)
		exists = exists || dns.IsSubDomain(name, own)
		if own != name {
			continue
		}
		if c, ok := rr.(*dns.CNAME); ok && typ != dns.TypeCNAME {
			m.Answer = append(m.Answer, c)
			return s.find(m, dns.CanonicalName(c.Target), typ)
		}
		if h.Rrtype == typ && !contains(m.Answer, rr) {
			m.Answer = append(m.Answer, rr)
		}
	}
	return exists
}

func contains(rrs []dns.RR, rr dns.RR) bool {
	for _, x := range rrs {
		if dns.IsDuplicate(x, rr) {
			return true
		}
	}
	return false
}
