package memnet

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// Listener takes connections that Dial makes; it is a net.Listener.
type Listener struct {
	addr   net.Addr
	queue  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen makes a listener with an address of one's choice.
func Listen(addr netip.AddrPort) *Listener {
	return &Listener{addr: TCPAddr(addr), queue: make(chan net.Conn), closed: make(chan struct{})}
}

// TCPAddr is an address as a net.Addr.
func TCPAddr(a netip.AddrPort) net.Addr { return net.TCPAddrFromAddrPort(a) }

// Accept waits for a connection; after Close it gives net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the listener; connections that were accepted live on.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is the address given to Listen.
func (l *Listener) Addr() net.Addr { return l.addr }

// Dial connects from an address of one's choice; it waits until the connection
// is accepted. A closed listener refuses.
func (l *Listener) Dial(ctx context.Context, from netip.AddrPort) (net.Conn, error) {
	client, server := Pipe(TCPAddr(from), l.addr)
	select {
	case l.queue <- server:
		return client, nil
	case <-l.closed:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
