// Package route says which hosts take mail for a domain: by MX records and
// addresses, or by what the administrator has configured (a smart host for
// everything, routes for single domains). It connects to nobody.
//
// # Rules
//
// A configured route wins: a rule of the domain or the nearest parent that has one, what
// the configuration says of it, the rule of everything, the default. Rules are asked at
// each attempt, so that a changed one holds for what waits. Otherwise the MX records in order of preference,
// in random order within one preference; without MX records the domain's own
// addresses (the implicit MX, RFC 5321 §5.1). Of each host the IPv6 addresses
// come first, then the IPv4 ones.
//
// Where we stand among the MX hosts ourselves, by name or address, we and all
// that are not preferred to us are left out; if nobody remains the mail would
// come back to us: 5.4.6. A null MX (RFC 7505) is 5.1.10, a domain that does not
// exist 5.1.2, one without usable host 5.4.4, and a failing DNS 4.4.3: a timeout
// is never "missing".
//
// MX records that should not be (an address in place of a name, a name that is
// an alias) are used all the same, with a note for the trace.
//
// A transport takes the place of the domain where a recipient has a way of its own
// ([Router.Route]): "smtp:[host]:port", "lmtp:host:port", "lmtp:unix:/path", "pipe:NAME", "error:…", and
// "mx:domain", which goes by MX whatever else is configured.
//
// # Limits
//
// At most [MaxHosts] MX hosts with [MaxAddrs] addresses each are used.
package route

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"posta/internal/addr"
	"posta/internal/resolver"
	"posta/internal/rules"
	"posta/internal/smtp"
)

// Limits of one route.
const (
	MaxHosts = 20
	MaxAddrs = 12
)

// Port is where mail exchangers listen.
const Port = 25

// TLS is what an administrator wants of the connection to a host.
type TLS uint8

// The levels. With Unset the relay's own policy decides.
const (
	Unset   TLS = iota
	None        // never STARTTLS
	May         // STARTTLS when offered, whatever the certificate
	Encrypt     // STARTTLS or no delivery, whatever the certificate
	Verify      // STARTTLS with a certificate for the host's name that we trust
)

var tlsNames = [...]string{"", "none", "opportunistic", "required", "verified"}

// String gives the word of the configuration, "" for Unset.
func (t TLS) String() string { return tlsNames[t] }

// ParseTLS is the inverse of String.
func ParseTLS(s string) (TLS, bool) {
	i := slices.Index(tlsNames[:], s)
	return TLS(max(i, 0)), i >= 0
}

// Host is one host to try, with its addresses in the order to try them.
type Host struct {
	Name       string // A-labels, lower case; an address in brackets for a literal
	Addrs      []netip.Addr
	Port       uint16
	Preference uint16
	Authentic  bool // DNSSEC vouches for how the name was found, and for the addresses

	// What a configured route adds.
	TLS      TLS
	Implicit bool           // TLS from the first octet (465)
	Roots    *x509.CertPool // who vouches for it at the level Verify; nil: the relay's
	Login    *Login

	// What a transport adds.
	LMTP   bool   // it speaks LMTP (RFC 2033)
	Socket string // path of a unix socket, in place of Addrs and Port
}

// Login is what a smart host wants to know. It redacts itself.
type Login struct{ User, Password string }

// String leaves the password out.
func (l Login) String() string { return l.User + ":***" }

// GoString leaves the password out.
func (l Login) GoString() string { return l.String() }

// Route is where mail for a domain goes, best host first.
type Route struct {
	Domain string
	Hosts  []Host // at least one, unless it is a Program
	// Program is the name of the program that takes the mail (pipe:NAME).
	Program string
	Fixed   bool // configured, not found by MX
	Notes   []string
}

// Error says why there is no route. Reply is as a host would have said it: what
// it says of temporary or permanent holds.
type Error struct {
	Reply smtp.Reply
	Err   error // the DNS error, or nil
}

// Error tells the reply and the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Reply.String()
	}
	return e.Reply.String() + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Config of a Router. The zero value routes by MX and knows no own names.
type Config struct {
	Own       []string         // our own host names, lower case
	OwnAddrs  []netip.Addr     // our addresses as others see them
	Loopback  bool             // loopback addresses are proper destinations (a lab)
	Default   *Next            // smart host for everything; nil: by MX
	Domains   map[string]*Next // "example.org" or ".example.org" for all below it; nil value: by MX in spite of Default
	ShuffleBy func(n int) int  // a number in [0,n); nil is random
	// Ways are the rules of the moment: of a domain and its parents or, with all, the one
	// of everything. nil: there are none. A next hop that is one of the configured ones by
	// host and port has its TLS and login.
	Ways func(domain string, all bool) (rules.Way, bool)
}

// Router finds routes. It is immutable and safe for concurrent use.
type Router struct {
	cfg Config
	dns resolver.Resolver
}

// New makes a Router.
func New(cfg Config, dns resolver.Resolver) *Router {
	if cfg.ShuffleBy == nil {
		cfg.ShuffleBy = rand.IntN
	}
	return &Router{cfg, dns}
}

// Route finds the hosts for a domain: A-labels in lower case, an address literal in
// brackets, or a transport. It blocks for the DNS. The error is an *Error.
func (r *Router) Route(ctx context.Context, domain string) (*Route, error) {
	if by, way, ok := cutTransport(domain); ok {
		return r.transport(ctx, domain, by, way)
	}
	n, err := r.next(domain)
	if err != nil {
		return nil, err
	}
	if n != nil {
		return r.fixed(ctx, domain, n)
	}
	f := &finder{r: r, rt: &Route{Domain: domain}}
	if strings.HasPrefix(domain, "[") {
		return f.literal(domain)
	}
	return f.byMX(ctx, domain, Port)
}

// next finds what rules and configuration say of a domain; nil: it goes by MX.
func (r *Router) next(domain string) (*Next, error) {
	if n, ok, err := r.ruled(domain, false); ok || err != nil {
		return n, err
	}
	if n, ok := r.configured(domain); ok {
		return n, nil
	}
	if n, ok, err := r.ruled(domain, true); ok || err != nil {
		return n, err
	}
	return r.cfg.Default, nil
}

// ruled finds what a rule says. Ways that are not SMTP were given to the mail when it
// was accepted; what waits from before goes as it would have gone.
func (r *Router) ruled(domain string, all bool) (n *Next, ok bool, err error) {
	if r.cfg.Ways == nil {
		return nil, false, nil
	}
	w, ok := r.cfg.Ways(domain, all)
	switch {
	case !ok:
		return nil, false, nil
	case w.By == rules.Direct:
		return nil, true, nil
	case w.By == rules.Refused:
		reply, err := rules.ReplyOf(w.Host)
		if err != nil {
			return nil, false, nil
		}
		return nil, true, &Error{reply, nil}
	case w.By != rules.SMTP:
		return nil, false, nil
	}
	n, err = r.hop(w.Host)
	return n, err == nil, err
}

// hop reads a next hop of a rule. One that is configured by host and port has its TLS and
// login.
func (r *Router) hop(s string) (*Next, error) {
	n, err := ParseNext(s)
	if err != nil {
		return nil, nowhere(err)
	}
	for _, known := range r.cfg.Domains {
		n = known.of(n)
	}
	return r.cfg.Default.of(n), nil
}

// nowhere puts mail off whose rule cannot be followed: that is for us to mend.
func nowhere(err error) error {
	return &Error{smtp.New(451, "4.3.5", "The rule of the way leads nowhere."), err}
}

// of gives what is configured of a next hop instead of a bare one that is the same.
func (n *Next) of(bare *Next) *Next {
	if n == nil || n.Host != bare.Host || n.MX != bare.MX || cmp.Or(n.Port, Port) != cmp.Or(bare.Port, Port) {
		return bare
	}
	return n
}

// configured finds what the configuration says of a domain alone; a nil Next is by MX.
func (r *Router) configured(domain string) (*Next, bool) {
	if n, ok := r.cfg.Domains[domain]; ok {
		return n, true
	}
	for rest := domain; ; {
		_, parent, ok := strings.Cut(rest, ".")
		if !ok {
			return nil, false
		}
		if n, ok := r.cfg.Domains["."+parent]; ok {
			return n, true
		}
		rest = parent
	}
}

// fixed is the route by way of a configured host.
func (r *Router) fixed(ctx context.Context, domain string, n *Next) (*Route, error) {
	f := &finder{r: r, rt: &Route{Domain: domain}, fixed: !n.MX}
	var err error
	switch {
	case strings.HasPrefix(n.Host, "["):
		f.rt, err = f.literal(n.Host)
	case n.MX:
		f.rt, err = f.byMX(ctx, n.Host, n.Port)
	default:
		f.rt, err = f.implicit(ctx, n.Host, n.Port, false)
	}
	if err != nil {
		return nil, softened(err)
	}
	f.rt.Domain, f.rt.Fixed = domain, true
	for i := range f.rt.Hosts {
		h := &f.rt.Hosts[i]
		h.Port, h.TLS, h.Implicit, h.Roots, h.Login = cmp.Or(n.Port, Port), n.TLS, n.Implicit, n.Roots, n.Login
	}
	return f.rt, nil
}

// softened makes the failure of a configured route temporary: the address that a
// sender wrote is not to blame when our own configuration leads nowhere.
func softened(err error) error {
	e, ok := err.(*Error)
	if !ok || e.Reply.Temporary() {
		return err
	}
	return &Error{smtp.New(451, "4.3.5", "The configured route leads nowhere: "+e.Reply.Text), e}
}

// finder collects one route.
type finder struct {
	r     *Router
	rt    *Route
	fixed bool  // configured as a host: it may be this machine, at another port
	temp  error // the first failure of the DNS among the hosts
}

func (f *finder) note(format string, args ...any) {
	f.rt.Notes = append(f.rt.Notes, fmt.Sprintf(format, args...))
}

// literal is the route to user@[192.0.2.1] (RFC 5321 §4.1.3).
func (f *finder) literal(domain string) (*Route, error) {
	ip, err := addr.ParseLiteral(domain)
	if err != nil {
		return nil, &Error{smtp.New(550, "5.1.2", "The address literal "+domain+" cannot be read."), err}
	}
	if f.own(ip) && !f.fixed {
		return nil, loops(domain)
	}
	if !f.usable(ip) {
		return nil, &Error{smtp.New(550, "5.4.4", "No host takes mail at "+domain+"."), nil}
	}
	f.rt.Hosts = []Host{{Name: domain, Addrs: []netip.Addr{ip}, Port: Port}}
	return f.rt, nil
}

// own reports whether an address is ours.
func (f *finder) own(ip netip.Addr) bool { return slices.Contains(f.r.cfg.OwnAddrs, ip.Unmap()) }

// usable reports whether mail may go to an address at all: nobody's MX is our
// own machine's inside or everybody.
func (f *finder) usable(ip netip.Addr) bool {
	ip = ip.Unmap()
	return !ip.IsUnspecified() && !ip.IsMulticast() && ip != broadcast && (f.r.cfg.Loopback || f.fixed || !ip.IsLoopback())
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func loops(domain string) error {
	return &Error{smtp.New(550, "5.4.6", "Mail for "+domain+" loops back to this host, which does not take it."), nil}
}

func unanswered(domain string, err error) error {
	return &Error{smtp.New(451, "4.4.3", "The DNS does not answer for "+domain+"."), err}
}
