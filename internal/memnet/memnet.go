// Package memnet is a network in memory: connections with buffers, deadlines
// and addresses of one's choice, and listeners to dial. It is made of channels
// and timers, so it works under testing/synctest, where a goroutine that waits
// on a socket would hold the fake clock still. It behaves as TCP does: writes
// are buffered up to a window, a closed writer is io.EOF for the reader after
// what was written, a closed reader is an error for the writer.
package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Window is how many octets may be on the way in one direction.
const Window = 64 << 10

// Pipe makes a connection; a and b are the addresses of its ends. The first
// Conn has the local address a, the second b.
func Pipe(a, b net.Addr) (net.Conn, net.Conn) {
	ab, ba := newHalf(), newHalf()
	return &conn{in: ba, out: ab, local: a, remote: b}, &conn{in: ab, out: ba, local: b, remote: a}
}

// half is one direction of a connection.
type half struct {
	mu      sync.Mutex
	buf     []byte
	start   int           // buf[start:] is on the way
	noMore  bool          // the writer closed
	reset   bool          // the reader closed
	changed chan struct{} // closed and replaced at each change

	readEnd, writeEnd deadline
}

func newHalf() *half {
	return &half{changed: make(chan struct{}), readEnd: newDeadline(), writeEnd: newDeadline()}
}

// wake tells who waits that something changed; mu is held.
func (h *half) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *half) read(p []byte) (int, error) {
	for {
		h.mu.Lock()
		switch {
		case h.reset:
			h.mu.Unlock()
			return 0, net.ErrClosed
		case h.readEnd.passed():
			h.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > h.start || len(p) == 0:
			n := copy(p, h.buf[h.start:])
			if h.start += n; h.start == len(h.buf) {
				h.buf, h.start = h.buf[:0], 0
			}
			h.wake()
			h.mu.Unlock()
			return n, nil
		case h.noMore:
			h.mu.Unlock()
			return 0, io.EOF
		}
		changed, end := h.changed, h.readEnd.wait()
		h.mu.Unlock()
		select {
		case <-changed:
		case <-end:
		}
	}
}

func (h *half) write(p []byte) (n int, err error) {
	for {
		h.mu.Lock()
		switch {
		case h.noMore:
			h.mu.Unlock()
			return n, net.ErrClosed
		case h.reset:
			h.mu.Unlock()
			return n, syscall.EPIPE
		case h.writeEnd.passed():
			h.mu.Unlock()
			return n, os.ErrDeadlineExceeded
		}
		if room := Window - (len(h.buf) - h.start); room > 0 || len(p) == 0 {
			if h.start > 0 {
				h.buf, h.start = append(h.buf[:0], h.buf[h.start:]...), 0
			}
			k := min(room, len(p))
			h.buf = append(h.buf, p[:k]...)
			p, n = p[k:], n+k
			h.wake()
			if len(p) == 0 {
				h.mu.Unlock()
				return n, nil
			}
		}
		changed, end := h.changed, h.writeEnd.wait()
		h.mu.Unlock()
		select {
		case <-changed:
		case <-end:
		}
	}
}

func (h *half) closeWrite() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.noMore {
		h.noMore = true
		h.wake()
	}
}

func (h *half) closeRead() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.reset {
		h.reset = true
		h.wake()
	}
}

// setEnd sets one of the half's deadlines and wakes who waits for the old one.
func (h *half) setEnd(d *deadline, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d.set(t)
	h.wake()
}

// deadline is a moment that can be waited for; guarded by its half's mutex.
type deadline struct {
	timer *time.Timer
	over  chan struct{} // closed when the moment has passed
}

func newDeadline() deadline { return deadline{over: make(chan struct{})} }

func (d *deadline) set(t time.Time) {
	if d.timer != nil && !d.timer.Stop() || d.passed() {
		d.over = make(chan struct{}) // the old one is closed, or about to be
	}
	d.timer = nil
	if t.IsZero() {
		return
	}
	over := d.over
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(over) })
	} else {
		close(over)
	}
}

func (d *deadline) wait() <-chan struct{} { return d.over }

func (d *deadline) passed() bool {
	select {
	case <-d.over:
		return true
	default:
		return false
	}
}

type conn struct {
	in, out       *half
	local, remote net.Addr
}

func (c *conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.out.write(p) }
func (c *conn) LocalAddr() net.Addr         { return c.local }
func (c *conn) RemoteAddr() net.Addr        { return c.remote }

// Close ends both directions; what was written can still be read by the peer.
func (c *conn) Close() error {
	c.out.closeWrite()
	c.in.closeRead()
	c.in.setEnd(&c.in.readEnd, time.Time{}) // stops the timers
	c.out.setEnd(&c.out.writeEnd, time.Time{})
	return nil
}

// CloseWrite ends our direction only, as TCP's half-close does.
func (c *conn) CloseWrite() error {
	c.out.closeWrite()
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setEnd(&c.in.readEnd, t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.setEnd(&c.out.writeEnd, t)
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}
