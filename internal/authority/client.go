package authority

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"posta/internal/resolver"
)

const (
	defaultTimeout  = 3 * time.Second
	defaultInFlight = 32
	ednsSize        = 1232 // passes any network without fragments
	maxRecords      = 512  // of one section of a reply
)

// Config says how single servers are asked. The zero value is ready.
type Config struct {
	// Timeout is how long one question to one server may take, repeats over UDP and TCP each. Zero: 3 seconds.
	Timeout time.Duration
	// MaxInFlight bounds the questions open at one time; more wait. Zero: 32.
	MaxInFlight int
	// Dial opens the connection to a server; network is "udp" or "tcp". Nil: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client asks single servers. It is safe for concurrent use and keeps no answers.
type Client struct {
	cfg   Config
	dns   resolver.Resolver
	slots chan struct{}
}

// New makes a client; dns finds the names and addresses of servers.
func New(dns resolver.Resolver, cfg Config) *Client {
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	return &Client{cfg: cfg, dns: dns, slots: make(chan struct{}, cmp.Or(cfg.MaxInFlight, defaultInFlight))}
}

// Question is what is asked of one server.
type Question struct {
	Name string
	Type resolver.Type
	TCP  bool // over TCP at once, not only when the UDP reply is cut
	// Plain leaves EDNS out, as software did before RFC 6891; the reply then has at most 512 octets over UDP.
	Plain bool
	// DNSSEC asks for signatures too (the DO bit of RFC 3225).
	DNSSEC bool
}

// Answer is one server's reply.
type Answer struct {
	State         resolver.State    // Found, NoData or NXDomain; a referral has NoData
	Authoritative bool              // the AA bit: the server has the zone
	Recursive     bool              // the RA bit: it recurses, for us at least
	EDNS          bool              // it understood EDNS
	Cut           bool              // the UDP reply was cut, so that TCP was needed
	Size          int               // octets of the whole reply
	Records       []resolver.Record // of the answer section; TTL as sent
	Authority     []resolver.Record // NS of a referral, or the SOA of a negative answer
	Additional    []resolver.Record // glue
}

// Refused is a reply whose code is neither success nor "no such name".
type Refused struct{ Code string } // "REFUSED", "SERVFAIL"…

func (e *Refused) Error() string { return "the server answers " + e.Code }

var errForeign = errors.New("the reply does not fit the question")

// Ask puts a question to one address, port 53. It blocks until the reply, the
// timeout or the context's end. A *Refused error is an answer of a server that is
// there; any other error says nothing about the zone.
func (c *Client) Ask(ctx context.Context, server netip.Addr, q Question) (Answer, error) {
	r, cut, err := c.ask(ctx, server, q)
	if err != nil {
		return Answer{}, err
	}
	a := answer(r, q.Type)
	a.Cut = cut
	return a, nil
}

// ask is Ask with the whole reply, and whether it was cut over UDP.
func (c *Client) ask(ctx context.Context, server netip.Addr, q Question) (r *dns.Msg, cut bool, err error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	name, err := resolver.Normalize(q.Name)
	if err != nil {
		return nil, false, err
	}
	m := new(dns.Msg).SetQuestion(dns.Fqdn(escaped(name)), uint16(q.Type))
	m.RecursionDesired = false
	if !q.Plain {
		m.SetEdns0(ednsSize, q.DNSSEC)
	}
	network := "udp"
	if q.TCP {
		network = "tcp"
	}
	if r, err = c.exchange(ctx, network, server, m); err != nil {
		return nil, false, err
	}
	if cut = r.Truncated && !q.TCP; cut {
		if r, err = c.exchange(ctx, "tcp", server, m); err != nil {
			return nil, true, err
		}
	}
	if r.Rcode != dns.RcodeSuccess && r.Rcode != dns.RcodeNameError {
		return nil, cut, &Refused{Code: dns.RcodeToString[r.Rcode]}
	}
	return r, cut, nil
}

// escaped writes a normal name as miekg/dns reads it: an octet is itself.
func escaped(name string) string { return strings.ReplaceAll(name, `\`, `\\`) }

func (c *Client) exchange(ctx context.Context, network string, server netip.Addr, m *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	conn, err := c.cfg.Dial(ctx, network, netip.AddrPortFrom(server, 53).String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	m = m.Copy()
	m.Id = dns.Id()
	dc := &dns.Client{Net: network, Timeout: c.cfg.Timeout, UDPSize: ednsSize}
	r, _, err := dc.ExchangeWithConnContext(ctx, m, &dns.Conn{Conn: conn, UDPSize: 4096})
	if err != nil {
		return nil, err
	}
	if !r.Response || r.Id != m.Id || len(r.Question) != 1 || !strings.EqualFold(r.Question[0].Name, m.Question[0].Name) || r.Question[0].Qtype != m.Question[0].Qtype {
		if r.Response && r.Id == m.Id && len(r.Question) == 0 && r.Rcode != dns.RcodeSuccess {
			return r, nil // a plain error may leave the question out
		}
		return nil, errForeign
	}
	return r, nil
}

func answer(r *dns.Msg, t resolver.Type) Answer {
	a := Answer{
		Authoritative: r.Authoritative, Recursive: r.RecursionAvailable, EDNS: r.IsEdns0() != nil, Size: r.Len(),
		Records: records(r.Answer), Authority: records(r.Ns), Additional: records(r.Extra), State: resolver.NoData,
	}
	for _, rec := range a.Records {
		if rec.Type == t || rec.Type == resolver.TypeCNAME {
			a.State = resolver.Found
		}
	}
	if r.Rcode == dns.RcodeNameError {
		a.State = resolver.NXDomain
	}
	return a
}

func records(rrs []dns.RR) []resolver.Record {
	var out []resolver.Record
	for _, rr := range rrs[:min(len(rrs), maxRecords)] {
		h := rr.Header()
		if h.Class != dns.ClassINET || h.Rrtype == dns.TypeOPT {
			continue
		}
		out = append(out, resolver.Record{
			Name: plain(h.Name), Type: resolver.Type(h.Rrtype), TTL: time.Duration(h.Ttl) * time.Second,
			Data: strings.TrimPrefix(rr.String(), h.String()),
		})
	}
	return out
}

// plain is a name of a reply in our form: lower-case, without the final dot.
func plain(name string) string {
	if name == "." {
		return name
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}
