package imapserver

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"posta/internal/gate"
	"posta/internal/imap"
	"posta/internal/mailbox"
)

// TLSMode says when TLS begins.
type TLSMode uint8

// The modes: STARTTLS on port 143, TLS from the first octet on port 993
// (RFC 8314 §3.2).
const (
	StartTLS TLSMode = iota
	ImplicitTLS
)

// Server is one IMAP door. Fill in all fields that are not marked optional, then
// call Serve for each listener. Fields must not change afterwards.
type Server struct {
	Hostname string // as in the greeting and in hints
	TLS      TLSMode
	// TLSConfig gives the configuration for the next handshake.
	TLSConfig func() *tls.Config

	Auth     Authenticator
	Store    Store
	Blobs    Blobs
	Appender Appender

	Limits Limits           // optional
	Log    *slog.Logger     // optional: nothing is logged
	Now    func() time.Time // optional: time.Now

	// PasswordPage is where people change a password that is too old; "": nowhere.
	// Notice is what an account must read when it logs in, ASCII; "" nothing. Both are
	// optional.
	PasswordPage string
	Notice       func(account mailbox.AccountID) string

	// ProxyFrom are the networks whose connections begin with a PROXY header,
	// all of them. Trusted names addresses that the counts of connections do not
	// concern. Both are optional.
	ProxyFrom []netip.Prefix
	Trusted   func(netip.Addr) bool

	once   sync.Once // makes the two below
	gate   *gate.Gate
	limits Limits
}

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = gate.ErrShutDown

// Serve takes connections until the listener fails or Shutdown is called, and
// waits for the connections that it took. When ctx ends connections are dropped.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.open().Serve(ctx, l, door{s})
}

// Shutdown stops taking connections, lets each finish the command it is at, says
// BYE and waits. When ctx ends first the rest is cut off and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error { return s.open().Shutdown(ctx) }

// open makes the gate when it is first needed.
func (s *Server) open() *gate.Gate {
	s.once.Do(func() {
		s.limits = s.Limits.orDefault()
		s.gate = gate.New(gate.Config{
			Limits: s.limits.Limits, Trusted: s.Trusted, ProxyFrom: s.ProxyFrom,
			TLS: s.TLSConfig, ImplicitTLS: s.TLS == ImplicitTLS, ReadBuffer: restBuffer, Log: s.Log,
		})
	})
	return s.gate
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// door gives the gate IMAP's words.
type door struct{ *Server }

// refusals are what a client without a conversation reads.
var refusals = [...]imap.Reply{
	gate.Full:     {Status: imap.BYE, Code: "UNAVAILABLE", Text: "too many connections, try again later"},
	gate.Crowded:  {Status: imap.BYE, Code: "UNAVAILABLE", Text: "too many connections from your network"},
	gate.NotProxy: {Status: imap.BYE, Text: "a PROXY header was expected from your address"},
}

// Refuse implements gate.Door.
func (d door) Refuse(g *gate.Conn, why gate.Refusal) {
	g.Compose(func(b []byte) []byte { return refusals[why].Append(b, "*") })
}

// Talk implements gate.Door.
func (d door) Talk(g *gate.Conn) gate.Talk {
	_, secure := g.TLS()
	return &conn{srv: d.Server, limits: &d.limits, io: g, log: g.Log, secure: secure, state: NotAuthenticated}
}
