package e2e

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// nameServer is all the DNS there is: what was not published does not exist.
type nameServer struct {
	addr string

	mu      sync.Mutex
	records []dns.RR
}

// newNameServer answers on one UDP port of loopback until the test ends.
func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{addr: pc.LocalAddr().String()}
	started, ended := make(chan struct{}), make(chan error, 1)
	s := &dns.Server{PacketConn: pc, Handler: n, NotifyStartedFunc: func() { close(started) }}
	go func() { ended <- s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return n
}

// record is a line of a master file; texts are quoted in pieces (RFC 1035 §3.3.14).
func record(name, typ, value string) string {
	if typ != "TXT" {
		return fmt.Sprintf("%s. 60 IN %s %s", name, typ, qualified(typ, value))
	}
	var pieces []string
	for len(value) > 255 {
		pieces, value = append(pieces, fmt.Sprintf("%q", value[:255])), value[255:]
	}
	pieces = append(pieces, fmt.Sprintf("%q", value))
	return fmt.Sprintf("%s. 60 IN TXT %s", name, strings.Join(pieces, " "))
}

// qualified puts the final dot on a value that ends in a name.
func qualified(typ, value string) string {
	if (typ == "MX" || typ == "SRV" || typ == "PTR" || typ == "CNAME") && !strings.HasSuffix(value, ".") {
		return value + "."
	}
	return value
}

// publish adds one record.
func (n *nameServer) publish(t *testing.T, line string) {
	t.Helper()
	rr, err := dns.NewRR(line)
	if err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records = append(n.records, rr)
}

// ServeDNS implements dns.Handler.
func (n *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	if q.IsEdns0() != nil {
		m.SetEdns0(4096, false)
	}
	m.Rcode = dns.RcodeNameError
	n.mu.Lock()
	for _, rr := range n.records {
		switch name := dns.CanonicalName(rr.Header().Name); {
		case name == dns.CanonicalName(q.Question[0].Name):
			m.Rcode = dns.RcodeSuccess
			if rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		case dns.IsSubDomain(q.Question[0].Name, name): // an empty non-terminal (RFC 8020)
			m.Rcode = dns.RcodeSuccess
		}
	}
	n.mu.Unlock()
	_ = w.WriteMsg(m) // who asked may have gone away
}
