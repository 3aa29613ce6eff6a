package smtpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"posta/internal/mail"
	"posta/internal/ratelimit"
	"posta/internal/smtp"
)

// Config is what a door is. Hostname is needed; other zero values are good.
type Config struct {
	Door     mail.Door
	Hostname string // fully qualified: in the greeting, the answer to EHLO, and for <postmaster>
	Greeting string // what follows the host name; "" is "ESMTP Posta" (LMTP for that door)

	Budget Budget // zero fields: the defaults of the door
	Limits Limits

	// TLS gives the configuration at the moment, so that certificates can be
	// renewed. Nil: no STARTTLS. When it gives nil, STARTTLS answers 454.
	TLS         func() *tls.Config
	ImplicitTLS bool // TLS from the first octet (port 465); TLS must not be nil
	RequireTLS  bool // offer REQUIRETLS (RFC 8689)

	// GreetDelay is how long to listen for early talkers before the greeting.
	// Zero: only what has arrived by then is seen.
	GreetDelay time.Duration

	// ProxyFrom are the networks whose connections begin with a PROXY header,
	// all of them; from elsewhere the header is refused.
	ProxyFrom []netip.Prefix

	// WhyURL is put before the id of a check to explain a refusal that the
	// engine itself speaks, "https://mx.example.org/why/". "": no link.
	WhyURL string

	// Trusted names addresses that Limits and the tight budget do not concern.
	// Nil: none.
	Trusted func(netip.Addr) bool

	// Load is how busy the node is, from 0 to 1; from 0.75 strangers at the MX
	// door get less patience. Nil: never busy. It is asked for each command.
	Load func() float64

	Log *slog.Logger // nil: nothing is logged
}

// Limits bound all connections of a server together. Zero: the default;
// negative: no limit.
type Limits struct {
	Connections int // at a time: 1000, each costs about 20 KiB
	PerNetwork  int // at a time from one /24 or /48: 50
	PerHost     int // at a time from one address or /64: 20
}

func (l Limits) filled() Limits {
	for _, f := range []struct {
		have *int
		def  int
	}{{&l.Connections, 1000}, {&l.PerNetwork, 50}, {&l.PerHost, 20}} {
		switch {
		case *f.have == 0:
			*f.have = f.def
		case *f.have < 0:
			*f.have = 0 // what Gauge calls no limit
		}
	}
	return l
}

// Server is one door with its connections. Make it with New.
type Server struct {
	cfg         Config
	backend     Backend
	calm, tight Budget
	table       [smtp.NumVerbs]command
	verbs       string // for HELP
	buffers     sync.Pool
	networks    *ratelimit.Gauge[netip.Prefix]
	lastID      atomic.Uint64

	mu        sync.Mutex // guards the three below, and wg.Add against Wait
	draining  bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}

	wg sync.WaitGroup // connections
}

// New makes a door. It does not listen yet.
func New(cfg Config, b Backend) *Server {
	if cfg.Greeting == "" {
		cfg.Greeting = "ESMTP Posta"
		if cfg.Door == mail.LMTP {
			cfg.Greeting = "LMTP Posta"
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Limits = cfg.Limits.filled()
	s := &Server{
		cfg:       cfg,
		backend:   b,
		calm:      cfg.Budget.filled(cfg.Door),
		table:     commands(),
		networks:  ratelimit.NewGauge[netip.Prefix](),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*conn]struct{}),
	}
	s.tight = s.calm.tight()
	s.buffers.New = func() any { return newBuffers() }
	s.verbs = s.helpText()
	return s
}

// ErrShutDown is the error of Serve and ServeConn after Shutdown was called.
var ErrShutDown = errors.New("smtpserver: shut down")

// Serve takes connections until Shutdown (it returns ErrShutDown then), until
// the context ends (its error), or until the listener fails for good. It closes
// the listener. When the context ends, the connections are cut off: Shutdown is
// the gentle way.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer l.Close()
	if !s.track(l) {
		return ErrShutDown
	}
	defer s.untrack(l)
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for pause := time.Duration(0); ; {
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			s.start(ctx, nc)
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if s.isDraining() {
			return ErrShutDown
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		// Out of descriptors or memory, or a client that went away already: the
		// listener is sound, but asking again at once would burn the processor.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.cfg.Log.WarnContext(ctx, "smtp accept failed", "err", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// ServeConn speaks on one connection and returns when it has ended. The client
// is what the caller knows of it (the local socket: a user by peer
// credentials); Limits are not asked. ErrShutDown after Shutdown.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn, client mail.Client) error {
	c := s.newConn(ctx, nc, client)
	c.known = true
	if !s.enter(c) {
		c.abandon()
		return ErrShutDown
	}
	defer s.leave(c)
	c.run()
	return nil
}

// start runs one accepted connection in its goroutine.
func (s *Server) start(ctx context.Context, nc net.Conn) {
	c := s.newConn(ctx, nc, mail.Client{Door: s.cfg.Door})
	c.setAddresses(nc.RemoteAddr(), nc.LocalAddr())
	if !s.enter(c) {
		c.abandon()
		return
	}
	go func() {
		defer s.leave(c)
		c.run()
	}()
}

// Shutdown stops listening, says 421 to sessions that wait for a command, lets
// those that send a message finish it, and waits for all of them. When the
// context ends first, the rest is cut off, and its error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.line.Interrupt()
	}
	s.mu.Unlock()

	gone := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.kill()
	}
	s.mu.Unlock()
	<-gone
	return ctx.Err()
}

// Connections is how many are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining {
		s.listeners[l] = struct{}{}
	}
	return !s.draining
}

func (s *Server) untrack(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.wg.Add(1)
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.wg.Done()
}
