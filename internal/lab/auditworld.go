package lab

import (
	"context"
	"crypto/tls"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/miekg/dns"

	"posta/internal/authority"
	"posta/internal/resolver"
)

// The domains and hosts that audits are played about.
//
//go:embed testdata/audit/*.txtar
var auditFiles embed.FS

// webHost is the web server of the audited world: all its pages are at this address.
var webHost = netip.MustParseAddrPort("203.0.113.80:443")

// auditWorld is the part of the outside world that is only audited: zones with
// several servers, each of its own behaviour, hosts with doors, and web pages. It is
// made when the first audit is played. Its sections are
//
//	-- ns ZONE HOST=ADDR,ADDR… FAULT… --   servers with a master file, $ORIGIN ZONE
//	-- parent --                           what the servers of test. and lab. say of delegations,
//	                                       where it is not what the zone says itself
//	-- dns --                              what only the resolver knows: reverse names, lists
//	-- door HOST ADDR[:PORT] FAULT… --     see auditdoor.go
//	-- page URL --                         what an HTTPS server of that name answers
//
// Faults of servers: silent, lame, refused, udp-only (TCP is refused), no-edns, stale
// (the resolver does not know of its answers). A zone is signed, or it is expiring,
// bogus or sha1, which are signed too; see auditsign.go.
type auditWorld struct {
	lab     *Lab
	dns     *nameServer // what the resolver knows
	servers map[netip.Addr]*zoneServer
	doors   map[netip.AddrPort]*auditDoor
	pages   map[string]string          // by URL
	certs   map[string]tls.Certificate // of hosts without fault
	cuts    []dns.RR                   // what the servers of test. and lab. say of delegations
	web     string                     // where the pages really are
	trusts  *resolver.Client           // believes in AD
	doubts  *resolver.Client           // does not
}

// auditedWorld gives the audited world, which is opened for the first who asks.
func (l *Lab) auditedWorld() (*auditWorld, error) {
	l.audits.Do(func() { l.audited, l.auditErr = l.openAudited() })
	return l.audited, l.auditErr
}

// newAuditWorld makes an empty one, whose resolver knows what the lab's own knows too.
func newAuditWorld(l *Lab) *auditWorld {
	return &auditWorld{
		lab: l, dns: &nameServer{names: map[string][]dns.RR{}, under: l.dns}, servers: map[netip.Addr]*zoneServer{},
		doors: map[netip.AddrPort]*auditDoor{}, pages: map[string]string{}, certs: map[string]tls.Certificate{},
	}
}

func (l *Lab) openAudited() (*auditWorld, error) {
	w := newAuditWorld(l)
	files, err := auditFiles.ReadDir("testdata/audit")
	if err != nil {
		return nil, err
	}
	var sections []auditSection
	for _, f := range files {
		b, err := auditFiles.ReadFile("testdata/audit/" + f.Name())
		if err != nil {
			return nil, err
		}
		sections = append(sections, auditSections(string(b))...)
	}
	if err := w.read(sections); err != nil {
		return nil, fmt.Errorf("audited world: %w", err)
	}
	return w, w.open()
}

// auditSection is a section of the world's files.
type auditSection struct {
	words []string // of its heading, at least one
	text  string
}

// auditSections splits a file; what stands before the first section is for people.
func auditSections(text string) (out []auditSection) {
	for l := range strings.Lines(text) {
		if inner, ok := heading(l); ok && inner != "" {
			out = append(out, auditSection{words: strings.Fields(inner)})
		} else if len(out) > 0 {
			out[len(out)-1].text += l
		}
	}
	return out
}

// read goes through the sections: doors and pages first, since zones speak of their
// keys.
func (w *auditWorld) read(sections []auditSection) error {
	readers := map[string]func(words []string, text string) error{
		"door": w.readDoor, "page": w.readPage, "ns": w.readServers, "dns": w.readRecords, "parent": w.readRecords,
	}
	for _, pass := range [][]string{{"door", "page"}, {"ns"}, {"dns", "parent"}} {
		for _, s := range sections {
			kind := s.words[0]
			if readers[kind] == nil {
				return fmt.Errorf("no section is called %q", kind)
			}
			if slices.Contains(pass, kind) {
				if err := readers[kind](s.words, s.text); err != nil {
					return fmt.Errorf("%s: %w", strings.Join(s.words, " "), err)
				}
			}
		}
	}
	return nil
}

func (w *auditWorld) readPage(words []string, text string) error {
	if len(words) != 2 {
		return errors.New("a page has a URL")
	}
	var err error
	w.pages[words[1]], err = w.filled(text)
	return err
}

// master reads a master file in which {…} stands for keys that are made anew each time.
func (w *auditWorld) master(origin, text string) (out []dns.RR, err error) {
	text, err = w.filled(text)
	if err != nil {
		return nil, err
	}
	z := dns.NewZoneParser(strings.NewReader(text), dns.Fqdn(origin), origin)
	z.SetDefaultTTL(3600)
	for rr, ok := z.Next(); ok; rr, ok = z.Next() {
		out = append(out, rr)
	}
	return out, z.Err()
}

func (w *auditWorld) readRecords(words []string, text string) error {
	rrs, err := w.master(".", text)
	if err != nil {
		return err
	}
	if words[0] == "parent" {
		w.overrule(rrs)
		return nil
	}
	for _, rr := range rrs {
		w.dns.add(rr)
	}
	return nil
}

// readServers reads a section of servers that have one zone and one manner in common.
func (w *auditWorld) readServers(words []string, text string) error {
	if len(words) < 3 {
		return errors.New("a section of servers has a zone and a host")
	}
	rrs, err := w.master(words[1], text)
	if err != nil {
		return err
	}
	s := &zoneServer{zone: dns.Fqdn(words[1]), faults: map[string]bool{}, records: &nameServer{names: map[string][]dns.RR{}}}
	for _, rr := range rrs {
		s.records.add(rr)
	}
	for _, word := range words[2:] {
		_, addrs, isHost := strings.Cut(word, "=")
		if !isHost {
			if !slices.Contains(serverFaults(), word) {
				return fmt.Errorf("servers have no fault %q", word)
			}
			s.faults[word] = true
			continue
		}
		for a := range strings.SplitSeq(addrs, ",") {
			ip, err := netip.ParseAddr(a)
			if err != nil {
				return err
			}
			w.servers[ip] = s
		}
	}
	if err := s.makeKey(w.lab.opt.Now()); err != nil {
		return err
	}
	return w.known(s, rrs)
}

func serverFaults() []string {
	return []string{"silent", "lame", "refused", "udp-only", "no-edns", "stale", "signed", "expiring", "bogus", "sha1"}
}

// known tells the resolver, and the servers above, what a zone's servers say.
func (w *auditWorld) known(s *zoneServer, rrs []dns.RR) error {
	if s.faults["stale"] || len(rrs) == 0 {
		return nil
	}
	for _, rr := range rrs {
		w.dns.add(rr)
		if ns, ok := rr.(*dns.NS); ok && !s.top() {
			w.delegate(ns, rrs)
		}
	}
	if s.key == nil {
		return nil
	}
	w.dns.sign(s.zone)
	ds := s.key.ToDS(dns.SHA256)
	if s.faults["sha1"] {
		ds = s.key.ToDS(dns.SHA1)
	}
	w.dns.add(ds)
	return nil
}

// delegate notes a delegation with the addresses of the zone's records as glue.
func (w *auditWorld) delegate(ns *dns.NS, zone []dns.RR) {
	w.cuts = append(w.cuts, ns)
	for _, rr := range zone {
		if t := rr.Header().Rrtype; (t == dns.TypeA || t == dns.TypeAAAA) && rr.Header().Name == ns.Ns {
			w.cuts = append(w.cuts, rr)
		}
	}
}

// overrule puts records in the place of those that delegate noted of the same names and
// types.
func (w *auditWorld) overrule(rrs []dns.RR) {
	kept := slices.DeleteFunc(w.cuts, func(old dns.RR) bool {
		return slices.ContainsFunc(rrs, func(rr dns.RR) bool {
			return rr.Header().Name == old.Header().Name && rr.Header().Rrtype == old.Header().Rrtype
		})
	})
	w.cuts = append(kept, rrs...)
}

// open opens all sockets; they close when the lab ends.
func (w *auditWorld) open() error {
	l := w.lab
	for _, s := range w.servers {
		if s.socket != "" {
			continue
		}
		if s.top() {
			s.cuts = w.cuts
		}
		if err := s.open(l.ctx, l.group); err != nil {
			return err
		}
	}
	if err := w.dns.start(l.ctx, l.group, "127.0.0.1:0"); err != nil {
		return err
	}
	for _, d := range w.doors {
		if err := d.open(l.ctx, l.group); err != nil {
			return err
		}
	}
	if err := w.servePages(); err != nil {
		return err
	}
	cfg := resolver.Config{Servers: []netip.AddrPort{w.dns.addr}}
	var err error
	if w.trusts, err = resolver.New(cfg); err != nil {
		return err
	}
	// What is far away is not believed, though it is the same server: the dialler leads there.
	far := cfg
	far.Servers = []netip.AddrPort{netip.MustParseAddrPort("203.0.113.3:53")}
	far.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, w.dns.addr.String())
	}
	if w.doubts, err = resolver.New(far); err != nil {
		w.trusts.Close()
		return err
	}
	l.group.Go(func() error {
		<-l.ctx.Done()
		w.trusts.Close()
		w.doubts.Close()
		return nil
	})
	return nil
}

// dial is the network as an audit sees it.
func (w *auditWorld) dial(ctx context.Context, network, address string) (net.Conn, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	refused := &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(at), Err: syscall.ECONNREFUSED}
	to := ""
	switch s := w.servers[at.Addr()]; {
	case at == webHost:
		to = w.web
	case s != nil && at.Port() == 53:
		if s.faults["udp-only"] && network == "tcp" {
			return nil, refused
		}
		to = s.socket
	case w.doors[at] != nil:
		to = w.doors[at].socket
	default:
		for other := range w.doors {
			if other.Addr() == at.Addr() {
				return nil, refused
			}
		}
		return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(at), Err: syscall.EHOSTUNREACH}
	}
	return new(net.Dialer).DialContext(ctx, network, to)
}

// authority asks the single servers.
func (w *auditWorld) authority(dns resolver.Resolver) *authority.Client {
	return authority.New(dns, authority.Config{Dial: w.dial})
}

// zoneServer is the authoritative server of one zone, with its faults.
type zoneServer struct {
	zone    string
	faults  map[string]bool
	records *nameServer
	cuts    []dns.RR // NS records of delegations, and the glue beside them
	socket  string
	signer
}

// top tells the zones that delegate all others of the world: those of one label.
func (s *zoneServer) top() bool { return dns.CountLabel(s.zone) == 1 }

// refer answers with a delegation when the name is below a cut.
func (s *zoneServer) refer(m *dns.Msg, name string) bool {
	for _, rr := range s.cuts {
		if ns, ok := rr.(*dns.NS); ok && dns.IsSubDomain(ns.Hdr.Name, name) {
			m.Ns = append(m.Ns, ns)
			for _, g := range s.cuts {
				if g.Header().Name == ns.Ns {
					m.Extra = append(m.Extra, g)
				}
			}
		}
	}
	m.Authoritative = len(m.Ns) == 0
	return len(m.Ns) > 0
}

// ServeDNS implements dns.Handler.
func (s *zoneServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	if s.faults["silent"] {
		return
	}
	m := new(dns.Msg).SetReply(q)
	opt := q.IsEdns0()
	if opt != nil && !s.faults["no-edns"] {
		m.SetEdns0(1232, opt.Do())
	}
	name := ""
	if len(q.Question) == 1 {
		name = dns.CanonicalName(q.Question[0].Name)
	}
	switch {
	case name == "" || s.faults["refused"] || !dns.IsSubDomain(s.zone, name):
		m.Rcode = dns.RcodeRefused
	case s.faults["lame"]:
		// It says nothing, and not with authority.
	case s.refer(m, name):
	default:
		answer, exists := s.records.find(name, q.Question[0].Qtype)
		m.Answer = answer
		if !exists {
			m.Rcode = dns.RcodeNameError
		}
		if opt != nil && opt.Do() {
			s.addSignatures(m, name, q.Question[0].Qtype)
		}
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if opt != nil {
			size = max(size, int(opt.UDPSize()))
		}
		m.Truncate(size)
	}
	_ = w.WriteMsg(m) // the client went away: nothing to do
}

// client asks web pages by the names of the audited world.
func (w *auditWorld) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: w.clientTLS(),
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			r, err := w.trusts.LookupA(ctx, host)
			if err != nil || len(r.Records) == 0 {
				return nil, errors.Join(fmt.Errorf("%s has no address", host), err)
			}
			return w.dial(ctx, network, net.JoinHostPort(r.Records[0].String(), port))
		},
	}}
}
