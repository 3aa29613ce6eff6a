package resolver

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// dnsServer is a real DNS server on loopback, UDP and TCP on one port.
type dnsServer struct {
	addr  netip.AddrPort
	asked atomic.Int64
}

func serve(t testing.TB, answer func(m *dns.Msg, q dns.Question, tcp bool)) *dnsServer {
	t.Helper()
	s := new(dnsServer)
	pc, ln := listenBoth(t)
	s.addr = netip.MustParseAddrPort(pc.LocalAddr().String())
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, req *dns.Msg) {
		s.asked.Add(1)
		m := new(dns.Msg).SetReply(req)
		m.RecursionAvailable = true
		answer(m, req.Question[0], w.RemoteAddr().Network() == "tcp")
		w.WriteMsg(m)
	})
	for _, srv := range []*dns.Server{{PacketConn: pc, Handler: handler}, {Listener: ln, Handler: handler}} {
		started := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		done := make(chan struct{})
		go func() { defer close(done); srv.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { srv.Shutdown(); <-done })
	}
	return s
}

// listenBoth finds a port that is free for UDP and TCP.
func listenBoth(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, ln
		}
		pc.Close()
	}
	t.Fatal("no port free for both UDP and TCP")
	return nil, nil
}

func rr(t testing.TB, s string) dns.RR {
	t.Helper()
	v, err := dns.NewRR(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// zone answers from records in presentation form; names outside it are NXDOMAIN with a SOA.
func zone(t testing.TB, lines ...string) func(m *dns.Msg, q dns.Question, tcp bool) {
	var rrs []dns.RR
	for _, l := range lines {
		rrs = append(rrs, rr(t, l))
	}
	soa := rr(t, "example. 300 IN SOA ns.example. h.example. 1 2 3 4 120")
	return func(m *dns.Msg, q dns.Question, _ bool) {
		exists := false
		name := dns.CanonicalName(q.Name)
		for i := 0; i < len(rrs); i++ {
			h := rrs[i].Header()
			if dns.CanonicalName(h.Name) != name {
				continue
			}
			exists = true
			if c, ok := rrs[i].(*dns.CNAME); ok && q.Qtype != dns.TypeCNAME {
				m.Answer = append(m.Answer, c)
				name, exists, i = dns.CanonicalName(c.Target), false, -1
			} else if h.Rrtype == q.Qtype {
				m.Answer = append(m.Answer, rrs[i])
			}
			if len(m.Answer) > 20 {
				return
			}
		}
		if !exists {
			m.Rcode = dns.RcodeNameError
		}
		if len(m.Answer) == 0 || !exists {
			m.Ns = append(m.Ns, soa)
		}
	}
}

func newClient(t testing.TB, cfg Config, servers ...*dnsServer) *Client {
	t.Helper()
	for _, s := range servers {
		cfg.Servers = append(cfg.Servers, s.addr)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
