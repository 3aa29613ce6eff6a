package gate

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"posta/internal/lineio"
	"posta/internal/ratelimit"
)

// Config is what a gate is. The zero value takes all connections, in clear.
type Config struct {
	Limits Limits

	// Trusted names addresses that Limits do not concern. Nil: none.
	Trusted func(netip.Addr) bool

	// ProxyFrom are the networks whose connections begin with a PROXY header,
	// all of them. ProxyOnly closes connections from elsewhere: who comes to a
	// door for proxies and is none could leave the header out.
	ProxyFrom []netip.Prefix
	ProxyOnly bool

	// TLS gives the configuration at the moment, so that certificates can be
	// renewed. Nil, or when it gives nil: no TLS, and a connection of a door
	// with ImplicitTLS (RFC 8314 §3) is closed.
	TLS         func() *tls.Config
	ImplicitTLS bool // TLS from the first octet

	// Handshake is how long the PROXY header may take, and TLS from the first
	// octet. Zero: 30 s; a handshake is three packets.
	Handshake time.Duration

	// ReadBuffer is what each connection holds while it waits, in octets; longer
	// lines make it grow. Zero: lineio.DefaultBuffer.
	ReadBuffer int

	Write time.Duration // for a refused client to take what we say; zero: 10 s
	Log   *slog.Logger  // nil: nothing is logged
}

// Limits bound the connections of a gate. Zero or less: no limit.
type Limits struct {
	Connections int // at a time
	PerNetwork  int // at a time from one /24, or /48 of IPv6
	PerHost     int // at a time from one address, or /64 of IPv6
}

// Or puts other limits where there are none; a negative one stays, and is no
// limit.
func (l Limits) Or(other Limits) Limits {
	return Limits{cmp.Or(l.Connections, other.Connections), cmp.Or(l.PerNetwork, other.PerNetwork), cmp.Or(l.PerHost, other.PerHost)}
}

// Refusal is why a connection gets no conversation.
type Refusal uint8

// The refusals that a client is told.
const (
	Full     Refusal = iota // Limits.Connections
	Crowded                 // Limits.PerNetwork or PerHost
	NotProxy                // it comes from a proxy's network, and not with a PROXY header
)

// Door gives the protocol's words. It is asked from many goroutines.
type Door interface {
	// Refuse writes why there is no conversation; the gate sends it and closes.
	// It is not asked where TLS is from the first octet: a handshake would cost
	// more than the client is told by it.
	Refuse(c *Conn, why Refusal)

	// Talk makes the conversation with an admitted client.
	Talk(c *Conn) Talk
}

// Talk is one conversation. Its methods are called from the connection's
// goroutine; the context ends when the connection is cut off.
type Talk interface {
	// Run is the conversation, from the greeting to the last word. It ends by
	// itself when reading fails.
	Run(ctx context.Context)

	// Fault writes that our own error ends the conversation: a panic was caught,
	// and is logged already.
	Fault()

	// End gives back what the conversation holds. It is always the last call,
	// and is made once.
	End(ctx context.Context)
}

// Gate takes the connections of one door. Make it with New.
type Gate struct {
	cfg    Config
	log    *slog.Logger
	places *ratelimit.Gauge[netip.Prefix] // a /24 and a /32 are different keys
	lastID atomic.Uint64

	mu        sync.Mutex // guards the three below, and wg.Add against Wait
	draining  bool
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}

	wg sync.WaitGroup // connections
}

// New makes a gate. It does not listen yet.
func New(cfg Config) *Gate {
	if cfg.Handshake <= 0 {
		cfg.Handshake = 30 * time.Second
	}
	if cfg.ReadBuffer <= 0 {
		cfg.ReadBuffer = lineio.DefaultBuffer
	}
	if cfg.Write <= 0 {
		cfg.Write = 10 * time.Second
	}
	g := &Gate{
		cfg: cfg, log: cfg.Log, places: ratelimit.NewGauge[netip.Prefix](),
		listeners: make(map[net.Listener]struct{}), conns: make(map[*Conn]struct{}),
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	return g
}

// ErrShutDown is the error of Serve after Shutdown was called.
var ErrShutDown = errors.New("gate: shut down")

// Serve takes connections until Shutdown (it returns ErrShutDown then), until
// the context ends (its error), or until the listener fails for good. It closes
// the listener, and waits for the connections that it took. When the context ends
// they are cut off: Shutdown is the gentle way.
func (g *Gate) Serve(ctx context.Context, l net.Listener, d Door) error {
	defer l.Close()
	if !g.track(l) {
		return ErrShutDown
	}
	defer g.untrack(l)
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var own sync.WaitGroup
	defer own.Wait()
	for pause := time.Duration(0); ; {
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			g.take(ctx, nc, d, &own)
			continue
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case g.isDraining():
			return ErrShutDown
		case errors.Is(err, net.ErrClosed):
			return err
		}
		// Out of descriptors or memory, or a client that went away already: the
		// listener is sound, but asking again at once would burn the processor.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		g.log.WarnContext(ctx, "accept failed", "listener", l.Addr(), "err", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// take runs one accepted connection in its goroutine.
func (g *Gate) take(ctx context.Context, nc net.Conn, d Door, own *sync.WaitGroup) {
	ctx, c := g.newConn(ctx, nc)
	if g.cfg.ProxyOnly && !c.fromProxy() || !g.enter(c) {
		c.Abort()
		return
	}
	own.Go(func() {
		defer g.leave(c)
		c.run(ctx, d)
	})
}

// Shutdown stops listening, interrupts the talks that wait for a line, lets the
// others come to their next one, and waits for all of them. When the context ends
// first, the rest is cut off, and its error is returned.
func (g *Gate) Shutdown(ctx context.Context) error {
	g.mu.Lock()
	g.draining = true
	for l := range g.listeners {
		l.Close()
	}
	for c := range g.conns {
		c.Interrupt()
	}
	g.mu.Unlock()

	gone := make(chan struct{})
	go func() { // ends with the last connection
		g.wg.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	for c := range g.conns {
		c.Abort()
	}
	g.mu.Unlock()
	<-gone
	return ctx.Err()
}

// Connections is how many are open.
func (g *Gate) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns)
}

func (g *Gate) track(l net.Listener) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.draining {
		g.listeners[l] = struct{}{}
	}
	return !g.draining
}

func (g *Gate) untrack(l net.Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.listeners, l)
}

func (g *Gate) isDraining() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.draining
}

func (g *Gate) enter(c *Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining {
		return false
	}
	g.wg.Add(1)
	g.conns[c] = struct{}{}
	return true
}

func (g *Gate) leave(c *Conn) {
	g.mu.Lock()
	delete(g.conns, c)
	g.mu.Unlock()
	g.wg.Done()
}
