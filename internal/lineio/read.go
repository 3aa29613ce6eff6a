package lineio

import (
	"bytes"
	"io"
	"time"
)

// ReadLine reads a line and gives it without its line end; it is valid until
// the next call. A line ends with CR LF, or LF alone (see BareLF). It waits at
// most the read timeout for the whole line.
//
// Errors: ErrTooLong when the line has more than max octets (without CR LF): it
// was read to its end, the dialogue can go on; ErrFlood when it had no end;
// ErrInterrupted, os.ErrDeadlineExceeded, io.ErrUnexpectedEOF for a line that
// was begun, io.EOF, and what the connection says.
func (c *Conn) ReadLine(max int) ([]byte, error) {
	var until time.Time
	looked, skipped := 0, 0 // octets known to hold no LF; octets thrown away
	for {
		if i := bytes.IndexByte(c.buf[c.r+looked:c.w], '\n'); i >= 0 {
			line := c.buf[c.r : c.r+looked+i]
			c.r += looked + i + 1
			c.bareLF = true
			if n := len(line); n > 0 && line[n-1] == '\r' {
				line, c.bareLF = line[:n-1], false
			}
			if skipped > 0 || len(line) > max {
				return nil, ErrTooLong
			}
			return line, nil
		}
		looked = c.w - c.r
		if looked > max+1 { // +1: its CR
			if skipped += looked; skipped > maxSkip+max {
				return nil, ErrFlood
			}
			c.Discard()
			looked = 0
		}
		c.makeRoom(max)
		if until.IsZero() {
			until = c.deadline(c.perRead)
		}
		if err := c.fill(until, true); err != nil {
			if err == io.EOF && looked+skipped > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// makeRoom makes room behind w, in a larger buffer if a line of max octets asks
// for it.
func (c *Conn) makeRoom(max int) {
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
	case c.w < len(c.buf):
	case c.r > 0:
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	default:
		larger := make([]byte, min(2*len(c.buf), max+len("\r\n")))
		copy(larger, c.buf)
		c.buf = larger
	}
}

// BareLF reports whether the line that was read last ended with LF alone.
func (c *Conn) BareLF() bool { return c.bareLF }

// Block gives what is buffered; when there is nothing it waits for the network,
// at most the read timeout. It is valid until the next call. Consume what was
// used.
func (c *Conn) Block() ([]byte, error) {
	if c.r == c.w {
		c.r, c.w = 0, 0
		if err := c.fill(c.deadline(c.perRead), false); err != nil {
			return nil, err
		}
	}
	return c.buf[c.r:c.w], nil
}

// Consume marks n octets of the last Block as read.
func (c *Conn) Consume(n int) { c.r += min(n, c.w-c.r) }

// Read is io.Reader over Block, for literals.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := c.Block()
	if err != nil {
		return 0, err
	}
	n := copy(p, b)
	c.Consume(n)
	return n, nil
}

// Early reports whether the peer has spoken before it was asked: it waits for
// wait, or not at all if wait is zero, where it sees only what the system has
// received already. What came is in the buffer.
func (c *Conn) Early(wait time.Duration) bool {
	if c.Buffered() > 0 {
		return true
	}
	if wait <= 0 {
		return pending(c.net)
	}
	c.r, c.w = 0, 0
	err := c.fill(time.Now().Add(wait), true)
	return err == nil && c.Buffered() > 0
}
