package lab

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
)

// worldZone is what the outside world publishes, as a master file (RFC 1035 §5).
//
//go:embed testdata/world.zone
var worldZone string

// broken is a domain whose name servers do not work: the resolver says SERVFAIL.
const broken = "rota.test."

// signed are domains that the resolver says are signed and valid (AD); the lab has no
// DNSSEC of its own.
var signed = []string{"dane.test.", "daneroto.test."}

// vouched says whether an answer is about signed names alone.
func (n *nameServer) vouched(name string, answer []dns.RR) bool {
	n.mu.RLock()
	domains := slices.Concat(signed, n.signs)
	n.mu.RUnlock()
	names := []string{name}
	for _, rr := range answer {
		names = append(names, rr.Header().Name)
	}
	for _, name := range names {
		// The root signs for itself alone here: test. does not go on from it.
		if name != "." && !slices.ContainsFunc(domains, func(d string) bool { return dns.IsSubDomain(d, dns.CanonicalName(name)) }) {
			return false
		}
	}
	return true
}

// maxAliases is how many CNAMEs an answer follows.
const maxAliases = 8

// nameServer answers for the whole world: what it does not know does not exist.
// It is safe for concurrent use.
type nameServer struct {
	addr netip.AddrPort

	mu    sync.RWMutex
	names map[string][]dns.RR // by name, lower case with final dot; a parent of a name is there too, perhaps empty
	// signs are domains, beside those of signed, whose answers it vouches for.
	signs []string

	under *nameServer // asked for what this one does not know; may be nil
}

// sign has the answers about a domain vouched for.
func (n *nameServer) sign(domain string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.signs = append(n.signs, domain)
}

// newNameServer reads the world's zone.
func newNameServer() (*nameServer, error) {
	n := &nameServer{names: map[string][]dns.RR{}}
	z := dns.NewZoneParser(strings.NewReader(worldZone), ".", "world.zone")
	for rr, ok := z.Next(); ok; rr, ok = z.Next() {
		n.add(rr)
	}
	return n, z.Err()
}

// publish adds one record given as a line of a master file.
func (n *nameServer) publish(line string) error {
	rr, err := dns.NewRR(line)
	if err != nil {
		return fmt.Errorf("lab zone: %w", err)
	}
	n.add(rr)
	return nil
}

func (n *nameServer) add(rr dns.RR) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name := dns.CanonicalName(rr.Header().Name)
	for _, old := range n.names[name] {
		if dns.IsDuplicate(old, rr) {
			return
		}
	}
	n.names[name] = append(n.names[name], rr)
	// A name with something below it exists (RFC 8020).
	for i, end := dns.NextLabel(name, 0); !end; i, end = dns.NextLabel(name, i) {
		if _, there := n.names[name[i:]]; !there {
			n.names[name[i:]] = nil
		}
	}
}

// find gives the records of a name and type, with the aliases that lead there.
func (n *nameServer) find(name string, typ uint16) (answer []dns.RR, exists bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	name = dns.CanonicalName(name)
	for range maxAliases {
		rrs, there := n.names[name]
		if !there {
			if rrs, there = n.wildcard(name); !there {
				return answer, false
			}
		}
		alias, own := "", false
		for _, rr := range rrs {
			if rr.Header().Rrtype == typ {
				answer, own = append(answer, rr), true
			}
		}
		for _, rr := range rrs {
			if c, ok := rr.(*dns.CNAME); ok && !own {
				answer, alias = append(answer, rr), dns.CanonicalName(c.Target)
			}
		}
		if alias == "" {
			return answer, true
		}
		name = alias
	}
	return answer, true
}

// wildcard gives the records that a name has from a wildcard beside it (RFC 4592),
// made its own. n.mu is held.
func (n *nameServer) wildcard(name string) ([]dns.RR, bool) {
	next, end := dns.NextLabel(name, 0)
	if end {
		return nil, false
	}
	rrs, there := n.names["*."+name[next:]]
	out := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		out[i] = dns.Copy(rr)
		out[i].Header().Name = name
	}
	return out, there
}

// soa stands in negative answers: they may be remembered for five seconds, since
// people change a lab while they look at it (RFC 2308 §5).
var soa = &dns.SOA{
	Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 5},
	Ns:  "ns.lab.test.", Mbox: "hostmaster.lab.test.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 5,
}

// ServeDNS implements dns.Handler.
func (n *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative, m.RecursionAvailable = true, true
	size := dns.MinMsgSize
	if opt := q.IsEdns0(); opt != nil {
		size = max(size, int(opt.UDPSize()))
		m.SetEdns0(1232, false)
	}
	switch {
	case len(q.Question) != 1:
		m.Rcode = dns.RcodeFormatError
	case dns.IsSubDomain(broken, dns.CanonicalName(q.Question[0].Name)):
		m.Rcode = dns.RcodeServerFailure
	default:
		answer, exists := n.find(q.Question[0].Name, q.Question[0].Qtype)
		if !exists && len(answer) == 0 && n.under != nil {
			answer, exists = n.under.find(q.Question[0].Name, q.Question[0].Qtype)
		}
		m.Answer, m.AuthenticatedData = answer, n.vouched(q.Question[0].Name, answer)
		if !exists {
			m.Rcode = dns.RcodeNameError
		}
		if len(answer) == 0 {
			m.Ns = []dns.RR{soa}
		}
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		m.Truncate(size)
	}
	_ = w.WriteMsg(m) // the client went away: nothing to do
}

// listenDNS binds the UDP and the TCP socket of one port: the usual one, or any.
func listenDNS(usual string) (udp net.PacketConn, tcp net.Listener, err error) {
	// Between the two binds somebody may take the other half of a free port.
	for _, at := range []string{usual, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"} {
		if tcp, err = net.Listen("tcp", at); err != nil {
			continue
		}
		if udp, err = net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			return udp, tcp, nil
		}
		tcp.Close()
	}
	return nil, nil, fmt.Errorf("dns: %w", err)
}

// start opens the server; it serves under g until the context ends.
func (n *nameServer) start(ctx context.Context, g *errgroup.Group, usual string) error {
	udp, tcp, err := listenDNS(usual)
	if err != nil {
		return err
	}
	n.addr = netip.MustParseAddrPort(tcp.Addr().String())
	serveDNS(ctx, g, udp, tcp, n)
	return nil
}

// serveDNS answers on both sockets under g until the context ends.
func serveDNS(ctx context.Context, g *errgroup.Group, udp net.PacketConn, tcp net.Listener, h dns.Handler) {
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: h}, {Listener: tcp, Handler: h}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		g.Go(s.ActivateAndServe)
		g.Go(func() error {
			<-started
			<-ctx.Done()
			return s.Shutdown()
		})
		<-started
	}
}

// text looks a TXT record up as an outside server does that verifies a
// signature.
func (n *nameServer) text(_ context.Context, name string) ([]string, bool, error) {
	answer, _ := n.find(name+".", dns.TypeTXT)
	var out []string
	for _, rr := range answer {
		if t, ok := rr.(*dns.TXT); ok {
			out = append(out, strings.Join(t.Txt, ""))
		}
	}
	return out, len(out) > 0, nil
}
