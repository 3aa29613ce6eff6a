package gate

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"time"

	"posta/internal/lineio"
	"posta/internal/ratelimit"
)

// Conn is one connection: its lines, and who is at the other end.
type Conn struct {
	*lineio.Conn

	ID     uint64         // counts the gate's connections from 1
	Remote netip.AddrPort // the client; not valid on a unix socket
	Local  netip.AddrPort // where it connected to
	Log    *slog.Logger   // with the ID as "conn", and the client's address as "ip"

	// Trusted says that limits for strangers do not concern the client: on a
	// unix socket, or named by Config.Trusted.
	Trusted bool

	gate   *Gate
	raw    net.Conn  // as accepted, beneath TLS
	tls    *tls.Conn // nil before the handshake
	cancel context.CancelFunc
}

// newConn gives the connection the context that Abort ends.
func (g *Gate) newConn(ctx context.Context, nc net.Conn) (context.Context, *Conn) {
	ctx, cancel := context.WithCancel(ctx)
	return ctx, &Conn{
		Conn: lineio.New(nc, make([]byte, g.cfg.ReadBuffer)), ID: g.lastID.Add(1), Remote: addrPort(nc.RemoteAddr()), Local: addrPort(nc.LocalAddr()),
		Log: g.log, gate: g, raw: nc, cancel: cancel,
	}
}

// addrPort takes the address of a TCP socket; others have none.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// Abort cuts the connection off, from any goroutine.
func (c *Conn) Abort() {
	c.cancel()
	c.raw.Close()
}

// errNoTLS says that there is no certificate at the moment.
var errNoTLS = errors.New("gate: TLS is not available")

// StartTLS sends what was written, throws away what was sent in clear ahead of
// the handshake (RFC 3207 §5; CVE-2011-0411), and makes it, within the timeout.
// After an error nothing more can be said.
func (c *Conn) StartTLS(ctx context.Context, timeout time.Duration) error {
	var cfg *tls.Config
	if c.gate.cfg.TLS != nil {
		cfg = c.gate.cfg.TLS()
	}
	if cfg == nil {
		return errNoTLS
	}
	if err := c.Flush(); err != nil {
		return err
	}
	c.Discard()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c.raw.SetDeadline(time.Time{})
	t := tls.Server(c.raw, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	c.tls = t
	_, err := c.Upgrade(t)
	return err
}

// TLS is what the handshake agreed on; ok is false while there is no TLS.
func (c *Conn) TLS() (state tls.ConnectionState, ok bool) {
	if c.tls == nil {
		return tls.ConnectionState{}, false
	}
	return c.tls.ConnectionState(), true
}

// run is the whole life of a connection.
func (c *Conn) run(ctx context.Context, d Door) {
	stop := context.AfterFunc(ctx, func() { c.raw.Close() })
	defer stop()
	defer c.cancel()
	defer c.Close()
	t, leave := c.begin(ctx, d)
	if t == nil {
		return
	}
	defer leave()
	if !c.guard(ctx, func() { t.Run(ctx) }) {
		c.guard(ctx, t.Fault)
	}
	c.guard(ctx, func() { t.End(ctx) })
	c.Flush()
}

// begin comes as far as the conversation, nil when there is to be none, with what
// frees the places that the client takes. It is apart from run so that its frame
// is gone while the conversation waits.
//
//go:noinline
func (c *Conn) begin(ctx context.Context, d Door) (t Talk, leave func()) {
	if !c.guard(ctx, func() { leave = c.receive(ctx, d) }) || leave == nil {
		return nil, nil
	}
	c.Log = c.Log.With("conn", c.ID, "ip", c.Remote.Addr())
	if !c.guard(ctx, func() { t = d.Talk(c) }) {
		leave()
		return nil, nil
	}
	return t, leave
}

// guard is the edge where a panic, which is our own fault, ends: it is logged,
// and the one client suffers. It says whether f came to its end.
func (c *Conn) guard(ctx context.Context, f func()) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			c.Log.ErrorContext(ctx, "panic in a connection", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	f()
	return true
}

// receive does what comes before the first word. It gives what frees the places
// that the client takes, nil when there is to be no conversation.
func (c *Conn) receive(ctx context.Context, d Door) (leave func()) {
	g := c.gate
	c.SetTimeouts(g.cfg.Handshake, g.cfg.Write)
	if err := c.proxied(); err != nil {
		if errors.Is(err, errProxy) {
			c.refuse(d, NotProxy)
		}
		return nil
	}
	leave, why := c.admit()
	if leave == nil {
		c.refuse(d, why)
		return nil
	}
	if !g.cfg.ImplicitTLS {
		return leave
	}
	if err := c.StartTLS(ctx, g.cfg.Handshake); err != nil {
		leave()
		g.log.DebugContext(ctx, "TLS handshake failed", "conn", c.ID, "ip", c.Remote.Addr(), "err", err)
		return nil
	}
	return leave
}

// refuse says why in clear, where the client listens to that.
func (c *Conn) refuse(d Door, why Refusal) {
	if !c.gate.cfg.ImplicitTLS {
		d.Refuse(c, why)
		c.Flush()
	}
}

// admit counts a stranger in its network. What was counted is given back by the
// function; nil: there is no place.
func (c *Conn) admit() (leave func(), why Refusal) {
	g, lim := c.gate, c.gate.cfg.Limits
	ip := c.Remote.Addr()
	c.Trusted = !ip.IsValid() || g.cfg.Trusted != nil && g.cfg.Trusted(ip)
	if c.Trusted {
		return func() {}, 0
	}
	if lim.Connections > 0 && g.Connections() > lim.Connections {
		return nil, Full
	}
	network, host := ratelimit.Network(ip), ratelimit.Host(ip)
	if !g.places.Enter(network, lim.PerNetwork) {
		return nil, Crowded
	}
	if !g.places.Enter(host, lim.PerHost) {
		g.places.Leave(network)
		return nil, Crowded
	}
	return func() {
		g.places.Leave(host)
		g.places.Leave(network)
	}, 0
}
