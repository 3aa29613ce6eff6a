package smtpserver

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"posta/internal/gate"
	"posta/internal/mail"
	"posta/internal/smtp"
)

// Config is what a door is. Hostname is needed; other zero values are good.
type Config struct {
	Door     mail.Door
	Hostname string // fully qualified: in the greeting, the answer to EHLO, and for <postmaster>
	Greeting string // what follows the host name; "" is "ESMTP Posta" (LMTP for that door)

	Budget Budget      // zero fields: the defaults of the door
	Limits gate.Limits // zero fields: 1000 in all, 50 from a network, 20 from a host

	// TLS gives the configuration at the moment, so that certificates can be
	// renewed. Nil: no STARTTLS. When it gives nil, STARTTLS answers 454.
	TLS         func() *tls.Config
	ImplicitTLS bool // TLS from the first octet (port 465); TLS must not be nil
	RequireTLS  bool // offer REQUIRETLS (RFC 8689)

	// GreetDelay is how long to listen for early talkers before the greeting, whom it
	// concerns: not those whom Trusted names. Zero: only what has arrived by then is
	// seen.
	GreetDelay time.Duration

	// ProxyFrom are the networks whose connections begin with a PROXY header,
	// all of them; from elsewhere the header is refused. ProxyOnly closes
	// connections from elsewhere.
	ProxyFrom []netip.Prefix
	ProxyOnly bool

	// WhyURL is put before the id of a check to explain a refusal that the
	// engine itself speaks, "https://mx.example.org/why/". "": no link.
	WhyURL string

	// Trusted names addresses that Limits and the tight budget do not concern.
	// Nil: none.
	Trusted func(netip.Addr) bool

	// Who tells who is at the other end, where the system knows (the local
	// socket: a user by peer credentials); with an error the connection is
	// closed. Nil: a stranger with an address.
	Who func(net.Conn) (mail.Client, error)

	// Load is how busy the node is, from 0 to 1; from 0.75 strangers at the MX
	// door get less patience. Nil: never busy. It is asked for each command.
	Load func() float64

	Log *slog.Logger // nil: nothing is logged
}

// defaultLimits stand where Config.Limits is zero: each connection costs about
// 20 KiB.
var defaultLimits = gate.Limits{Connections: 1000, PerNetwork: 50, PerHost: 20}

// Server is one door with its connections. Make it with New.
type Server struct {
	cfg         Config
	backend     Backend
	calm, tight Budget
	table       [smtp.NumVerbs]command
	verbs       string // for HELP
	buffers     sync.Pool
	gate        *gate.Gate
}

// New makes a door. It does not listen yet.
func New(cfg Config, b Backend) *Server {
	if cfg.Greeting == "" {
		cfg.Greeting = "ESMTP Posta"
		if cfg.Door == mail.LMTP {
			cfg.Greeting = "LMTP Posta"
		}
	}
	s := &Server{
		cfg:     cfg,
		backend: b,
		calm:    cfg.Budget.filled(cfg.Door),
		table:   commands(),
	}
	s.tight = s.calm.tight()
	s.gate = gate.New(gate.Config{
		Limits: cfg.Limits.Or(defaultLimits), Trusted: cfg.Trusted, ProxyFrom: cfg.ProxyFrom, ProxyOnly: cfg.ProxyOnly,
		TLS: cfg.TLS, ImplicitTLS: cfg.ImplicitTLS, Handshake: s.calm.Handshake, Write: s.tight.Write, Log: cfg.Log,
	})
	s.buffers.New = func() any { return newBuffers() }
	s.verbs = s.helpText()
	return s
}

// ErrShutDown is the error of Serve after Shutdown was called.
var ErrShutDown = gate.ErrShutDown

// Serve takes connections until Shutdown (it returns ErrShutDown then), until
// the context ends (its error), or until the listener fails for good. It closes
// the listener, and waits for the connections that it took. When the context ends
// they are cut off: Shutdown is the gentle way.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.gate.Serve(ctx, l, door{s})
}

// Shutdown stops listening, says 421 to sessions that wait for a command, lets
// those that send a message finish it, and waits for all of them. When the
// context ends first, the rest is cut off, and its error is returned.
func (s *Server) Shutdown(ctx context.Context) error { return s.gate.Shutdown(ctx) }

// Connections is how many are open.
func (s *Server) Connections() int { return s.gate.Connections() }

// door gives the gate SMTP's words.
type door struct{ *Server }

// Refuse implements gate.Door.
func (d door) Refuse(g *gate.Conn, why gate.Refusal) {
	reply := smtp.TooManyFromNetwork.Reply()
	switch why {
	case gate.Full:
		reply = smtp.TooManyConnections.Reply()
	case gate.NotProxy:
		reply = smtp.NotAProxy.Reply()
	}
	g.Compose(d.linked(reply).Append)
}

// Talk implements gate.Door.
func (d door) Talk(g *gate.Conn) gate.Talk { return d.newConn(g) }

// linked puts the link of its check behind a refusal.
func (s *Server) linked(r smtp.Reply) smtp.Reply {
	if r.Check != "" && r.Link == "" && s.cfg.WhyURL != "" {
		r.Link = s.cfg.WhyURL + r.Check
	}
	return r
}
