package pop3server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// TLSMode says when TLS begins.
type TLSMode uint8

// The modes: STLS on port 110, TLS from the first octet on port 995
// (RFC 8314 §3.2).
const (
	StartTLS TLSMode = iota
	ImplicitTLS
)

// Server is one POP3 door. Fill in all fields that are not marked optional, then
// call Serve for each listener. Fields must not change afterwards.
type Server struct {
	Hostname string // as in the greeting and in hints
	TLS      TLSMode
	// TLSConfig gives the configuration for the next handshake.
	TLSConfig func() *tls.Config

	Auth  Authenticator
	Store Store
	Blobs Blobs

	Limits Limits       // optional
	Log    *slog.Logger // optional: nothing is logged

	mu       sync.Mutex
	conns    map[*conn]struct{}
	byAddr   map[netip.Prefix]int
	closing  bool
	listener map[net.Listener]struct{}
	wg       sync.WaitGroup
}

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("pop3server: server closed")

// Serve takes connections until the listener fails or Shutdown is called, and
// waits for the connections that it took. When ctx ends connections are dropped.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if !s.begin(l) {
		return ErrServerClosed
	}
	defer s.forget(l)
	var own sync.WaitGroup
	defer own.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	pause := time.Duration(0)
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.isClosing() {
				own.Wait()
				return ErrServerClosed
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() || errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of descriptors, or a connection that was reset before we took
			// it: wait, so that the loop does not spin.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.logger().Warn("pop3: accept failed", "err", err, "pause", pause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		pause = 0
		own.Go(func() { s.handle(ctx, nc) })
	}
}

func (s *Server) begin(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if s.conns == nil {
		s.conns = map[*conn]struct{}{}
		s.byAddr = map[netip.Prefix]int{}
		s.listener = map[net.Listener]struct{}{}
	}
	s.listener[l] = struct{}{}
	return true
}

func (s *Server) forget(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listener, l)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// Shutdown stops taking connections, lets each finish the command it is at, and
// waits; sessions that had not said QUIT remove nothing. When ctx ends first the rest is cut off and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listener {
		l.Close()
	}
	for c := range s.conns {
		c.io.Interrupt()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { // ends with the last connection
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.cancel()
		c.raw.Close()
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}

// network is what one client is counted by.
func network(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// add counts a connection; the text says why it is refused.
func (s *Server) add(c *conn) (refusal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := network(c.remote)
	switch {
	case s.closing:
		return "the server is going down"
	case len(s.conns) >= c.limits.Connections:
		return "too many connections, try again later"
	case s.byAddr[p] >= c.limits.PerAddress:
		return "too many connections from your network"
	}
	s.conns[c] = struct{}{}
	s.byAddr[p]++
	s.wg.Add(1)
	return ""
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	p := network(c.remote)
	if s.byAddr[p]--; s.byAddr[p] <= 0 {
		delete(s.byAddr, p)
	}
	s.wg.Done()
}

func (s *Server) logger() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.New(slog.DiscardHandler)
}

func remoteAddr(nc net.Conn) netip.Addr {
	if a, err := netip.ParseAddrPort(nc.RemoteAddr().String()); err == nil {
		return a.Addr().Unmap()
	}
	return netip.Addr{}
}
