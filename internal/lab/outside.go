package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"golang.org/x/sync/errgroup"
)

// received is a letter as an outside server got it.
type received struct {
	HELO string
	TLS  bool
	From string // reverse-path, "" is null
	To   []string
	// Notify is what the sender wants to be told of, for each recipient (RFC 3461
	// §4.1).
	Notify []string
	Data   []byte
}

// manner is how an outside server behaves.
type manner uint8

const (
	// wellKept takes mail for everybody but nadie@, who does not exist.
	wellKept manner = iota
	// greylisting puts off each new pair of sender and recipient once, as the
	// programs do that RFC 6647 describes.
	greylisting
	// absent does not answer until a scenario says that it is up.
	absent
	// misnamed takes mail as the well-kept do, with a certificate of another name.
	misnamed
	// selfSigned has a certificate that nobody vouches for.
	selfSigned
)

// hosts lists the servers of the outside world.
func hosts() []host {
	return []host{
		{"mail.bien.test", netip.MustParseAddr("192.0.2.10"), wellKept},
		{"mail.gris.test", netip.MustParseAddr("192.0.2.30"), greylisting},
		{"muerto.dosmx.test", netip.MustParseAddr("192.0.2.50"), absent},
		{"mail.dosmx.test", netip.MustParseAddr("192.0.2.51"), wellKept},
		{"mail.caida.test", netip.MustParseAddr("192.0.2.40"), absent},
		{"roto.sts.test", netip.MustParseAddr("192.0.2.60"), misnamed},
		{"mail.sts.test", netip.MustParseAddr("192.0.2.61"), wellKept},
		{"mail.stsroto.test", netip.MustParseAddr("192.0.2.62"), misnamed},
		{"mail.dane.test", netip.MustParseAddr("192.0.2.70"), selfSigned},
		{"mail.daneroto.test", netip.MustParseAddr("192.0.2.71"), selfSigned},
	}
}

type host struct {
	name   string
	ip     netip.Addr
	manner manner
}

// What an outside server remembers at most; the oldest letters are forgotten
// first.
const (
	maxLetters     = 1000
	maxLetterBytes = 64 << 20 // of one, and of all together
)

// outside is the servers of the world and the way to them.
type outside struct {
	servers  map[netip.Addr]*server
	policies string // where the policy host really listens
}

// server is one of them. It implements gosmtp.Backend.
type server struct {
	host
	socket string // where it really listens
	shows  []byte // its certificate

	mu      sync.Mutex
	down    bool
	seen    map[string]bool // greylisting
	letters []received
	octets  int // of all letters
}

// startOutside opens the servers; they serve under g until the context ends.
func startOutside(ctx context.Context, g *errgroup.Group, issue func(names ...string) (tls.Certificate, error)) (*outside, error) {
	o := &outside{servers: map[netip.Addr]*server{}}
	for _, h := range hosts() {
		cert, err := h.certificate(issue)
		if err != nil {
			return nil, err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		s := &server{host: h, socket: l.Addr().String(), down: h.manner == absent, seen: map[string]bool{}, shows: cert.Certificate[0]}
		o.servers[h.ip] = s
		srv := gosmtp.NewServer(s)
		srv.Domain, srv.TLSConfig = h.name, &tls.Config{Certificates: []tls.Certificate{cert}}
		srv.MaxMessageBytes, srv.MaxRecipients = maxLetterBytes, 1000
		srv.ReadTimeout, srv.WriteTimeout = time.Minute, time.Minute
		srv.EnableDSN, srv.EnableSMTPUTF8 = true, true
		srv.ErrorLog = quiet{}
		g.Go(func() error {
			// Closed by the goroutine below it gives nil or this error.
			if err := srv.Serve(l); err != nil && !errors.Is(err, gosmtp.ErrServerClosed) {
				return fmt.Errorf("%s: %w", h.name, err)
			}
			return nil
		})
		g.Go(func() error {
			<-ctx.Done()
			srv.Close()
			return nil
		})
	}
	return o, nil
}

// quiet drops what the library says of clients that go away.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// named finds a server; nil if there is none.
func (o *outside) named(name string) *server {
	for _, s := range o.servers {
		if s.name == name {
			return s
		}
	}
	return nil
}

// dial is the network as our server sees it: documentation addresses lead to the
// sockets of the outside servers, and nothing else leads anywhere.
func (o *outside) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	s := o.servers[ap.Addr().Unmap()]
	switch {
	case ap == policyHost:
		return new(net.Dialer).DialContext(ctx, "tcp", o.policies)
	case s == nil:
		return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(ap), Err: syscall.ENETUNREACH}
	case s.isDown() || ap.Port() != 25:
		return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(ap), Err: syscall.ECONNREFUSED}
	}
	return new(net.Dialer).DialContext(ctx, "tcp", s.socket)
}

func (s *server) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

func (s *server) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// lettersWith are those whose bytes contain a text, in the order of arrival.
func (s *server) lettersWith(containing string) []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []received
	for _, r := range s.letters {
		if strings.Contains(string(r.Data), containing) {
			out = append(out, r)
		}
	}
	return out
}

// NewSession implements gosmtp.Backend.
func (s *server) NewSession(c *gosmtp.Conn) (gosmtp.Session, error) {
	return &visit{server: s, conn: c}, nil
}

// visit is one connection to an outside server.
type visit struct {
	server *server
	conn   *gosmtp.Conn
	from   string
	to     []string
	notify []string
}

// Reset implements gosmtp.Session.
func (v *visit) Reset() { v.from, v.to, v.notify = "", nil, nil }

// Logout implements gosmtp.Session.
func (v *visit) Logout() error { return nil }

// Mail implements gosmtp.Session.
func (v *visit) Mail(from string, _ *gosmtp.MailOptions) error {
	v.Reset()
	v.from = from
	return nil
}

// Rcpt implements gosmtp.Session.
func (v *visit) Rcpt(to string, opt *gosmtp.RcptOptions) error {
	local, domain, _ := strings.Cut(to, "@")
	switch {
	case !strings.HasSuffix(v.server.name, "."+strings.ToLower(domain)):
		return &gosmtp.SMTPError{Code: 554, EnhancedCode: gosmtp.EnhancedCode{5, 7, 1}, Message: "We do not relay"}
	case strings.EqualFold(local, "nadie"):
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "Nobody of that name here"}
	case v.server.manner == greylisting && v.server.isNew(v.from+" "+to):
		return &gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 7, 1}, Message: "Greylisted, come again in a moment"}
	}
	var wants []string
	for _, n := range opt.Notify {
		wants = append(wants, string(n))
	}
	v.to, v.notify = append(v.to, to), append(v.notify, strings.Join(wants, ","))
	return nil
}

// isNew remembers a pair and reports whether it was unknown.
func (s *server) isNew(pair string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.seen[pair]
	s.seen[pair] = true
	return !known
}

// Data implements gosmtp.Session.
func (v *visit) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	_, secure := v.conn.TLSConnectionState()
	s := v.server
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.letters) == maxLetters || len(s.letters) > 0 && s.octets+len(b) > maxLetterBytes {
		s.octets -= len(s.letters[0].Data)
		s.letters = slices.Delete(s.letters, 0, 1)
	}
	s.octets += len(b)
	s.letters = append(s.letters, received{HELO: v.conn.Hostname(), TLS: secure, From: v.from, To: v.to, Notify: v.notify, Data: b})
	return nil
}
