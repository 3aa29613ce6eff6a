package probe

import (
	"context"
	"net/netip"
	"sync"
)

// Lanes bounds how many connections are open at one time to one address and port,
// whoever makes them. Probes that share one run their further questions side by side
// and stay polite together. It is safe for use by many goroutines. A nil one bounds
// nothing.
type Lanes struct {
	most  int
	mu    sync.Mutex
	doors map[netip.AddrPort]chan struct{}
}

// NewLanes allows so many connections to each address and port, at least one.
func NewLanes(most int) *Lanes {
	return &Lanes{most: max(most, 1), doors: map[netip.AddrPort]chan struct{}{}}
}

// Take waits until a further connection to the address may be opened, or for the end of
// ctx, whose error it gives. Release is called once the connection is closed.
func (l *Lanes) Take(ctx context.Context, at netip.AddrPort) (release func(), err error) {
	if l == nil {
		return func() {}, ctx.Err()
	}
	l.mu.Lock()
	door := l.doors[at]
	if door == nil {
		door = make(chan struct{}, l.most)
		l.doors[at] = door
	}
	l.mu.Unlock()
	select {
	case door <- struct{}{}:
		return func() { <-door }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
