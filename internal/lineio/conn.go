package lineio

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Errors of reading. A deadline that passed is os.ErrDeadlineExceeded, also for
// the last moment of the connection; LastPassed tells the two apart.
var (
	ErrTooLong     = errors.New("lineio: line too long")
	ErrFlood       = errors.New("lineio: a line without end")
	ErrInterrupted = errors.New("lineio: interrupted")
)

const (
	// DefaultBuffer is the size of the read buffer, in octets: an idle
	// connection costs this much and little else.
	DefaultBuffer = 4096

	// flushAt is when the write buffer is sent though there is input left.
	flushAt = 16 << 10

	// maxSkip is how much of a line that is too long is read for nothing, so
	// that the error can be told and the dialogue go on.
	maxSkip = 64 << 10
)

// Conn is a connection of lines. Its methods are for one goroutine, save
// Interrupt. Times are wall-clock moments and durations; zero means "no limit".
type Conn struct {
	net  net.Conn
	buf  []byte // unread octets are buf[r:w]
	r, w int
	out  []byte
	werr error // the first error of writing: it stays

	perRead  time.Duration
	perWrite time.Duration
	last     time.Time
	fills    uint64
	bareLF   bool

	mu          sync.Mutex // guards the two below and the order of read deadlines
	waiting     bool       // in ReadLine, waiting for the network
	interrupted bool
}

// New makes a Conn that reads through buf; nil is a buffer of DefaultBuffer.
func New(c net.Conn, buf []byte) *Conn {
	if len(buf) == 0 {
		buf = make([]byte, DefaultBuffer)
	}
	return &Conn{net: c, buf: buf}
}

// NetConn is the connection underneath. Who reads from it breaks the Conn.
func (c *Conn) NetConn() net.Conn { return c.net }

// SetTimeouts sets how long one line (or one block of data) may take from the
// moment the Conn begins to wait for it, and how long one write may take.
func (c *Conn) SetTimeouts(read, write time.Duration) { c.perRead, c.perWrite = read, write }

// SetLast sets the last moment of the connection for reading: no line may
// arrive later.
func (c *Conn) SetLast(t time.Time) { c.last = t }

// LastPassed reports whether the last moment of the connection is over.
func (c *Conn) LastPassed() bool { return !c.last.IsZero() && !time.Now().Before(c.last) }

// Buffered is how many octets the peer has sent that were not read yet, as far
// as they are in our memory. It does not block and does not ask the network.
func (c *Conn) Buffered() int { return c.w - c.r }

// Peek gives the buffered octets without reading them; valid until the next
// call.
func (c *Conn) Peek() []byte { return c.buf[c.r:c.w] }

// Discard forgets the buffered octets and says how many there were.
func (c *Conn) Discard() int {
	n := c.w - c.r
	c.r, c.w = 0, 0
	return n
}

// Fills counts the reads from the network that brought something. What a peer
// sent in a later read than the one during which a reply was flushed, it may
// have sent after reading it.
func (c *Conn) Fills() uint64 { return c.fills }

// Interrupt makes the ReadLine that waits, and each later one that would wait,
// return ErrInterrupted. Blocks of data are not interrupted. It may be called
// from any goroutine.
func (c *Conn) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	if c.waiting {
		c.net.SetReadDeadline(time.Unix(1, 0))
	}
}

// Interrupted reports whether Interrupt was called.
func (c *Conn) Interrupted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.interrupted
}

// deadline is the earlier of d from now and the last moment.
func (c *Conn) deadline(d time.Duration) time.Time {
	if d <= 0 {
		return c.last
	}
	t := time.Now().Add(d)
	if !c.last.IsZero() && c.last.Before(t) {
		return c.last
	}
	return t
}

// fill sends what was written and reads once from the network. There must be
// room behind w.
func (c *Conn) fill(until time.Time, line bool) error {
	if err := c.Flush(); err != nil {
		return err
	}
	c.mu.Lock()
	if line && c.interrupted {
		c.mu.Unlock()
		return ErrInterrupted
	}
	c.waiting = line
	err := c.net.SetReadDeadline(until)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	n, err := c.net.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		c.fills++
		err = nil // it comes again
	}
	if line {
		c.mu.Lock()
		c.waiting = false
		if err != nil && c.interrupted && errors.Is(err, os.ErrDeadlineExceeded) {
			err = ErrInterrupted
		}
		c.mu.Unlock()
	}
	return err
}

// Use makes the Conn read through another buffer and gives the old one back,
// so that a door can lend a large one for the data of a message. It does
// nothing, and says so, when what is unread does not fit.
func (c *Conn) Use(buf []byte) (old []byte, ok bool) {
	if len(buf) == 0 || c.w-c.r > len(buf) {
		return nil, false
	}
	n := copy(buf, c.buf[c.r:c.w])
	old, c.buf, c.r, c.w = c.buf, buf, 0, n
	return old, true
}

// Upgrade sends what was written, puts another connection (TLS over the old
// one) in place of the old, and throws away what was read ahead: it came in
// clear and must not be taken for what comes encrypted. It says how much that
// was.
func (c *Conn) Upgrade(n net.Conn) (discarded int, err error) {
	if err := c.Flush(); err != nil {
		return 0, err
	}
	discarded = c.Discard()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.net = n
	return discarded, nil
}

// Close closes the connection; what was written and not flushed is lost.
func (c *Conn) Close() error { return c.net.Close() }
