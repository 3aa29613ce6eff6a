package lineio

import "time"

// Write puts p into the write buffer; it is sent by Flush, when the Conn must
// wait for input, or when the buffer is full. The first error of the network
// stays and is given by each later call.
func (c *Conn) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), c.sendIfFull()
}

// WriteString is Write for a string.
func (c *Conn) WriteString(s string) (int, error) {
	c.out = append(c.out, s...)
	return len(s), c.sendIfFull()
}

// Compose lets f append to the write buffer, without a copy.
func (c *Conn) Compose(f func(dst []byte) []byte) error {
	c.out = f(c.out)
	return c.sendIfFull()
}

// Unsent is how many octets wait in the write buffer.
func (c *Conn) Unsent() int { return len(c.out) }

func (c *Conn) sendIfFull() error {
	if len(c.out) >= flushAt {
		return c.Flush()
	}
	return c.werr
}

// Flush sends what was written; it waits at most the write timeout.
func (c *Conn) Flush() error {
	if c.werr != nil || len(c.out) == 0 {
		return c.werr
	}
	var until time.Time
	if c.perWrite > 0 {
		until = time.Now().Add(c.perWrite)
	}
	if c.werr = c.net.SetWriteDeadline(until); c.werr == nil {
		_, c.werr = c.net.Write(c.out)
	}
	if cap(c.out) > flushAt {
		c.out = nil // an idle connection keeps no large buffer
	} else {
		c.out = c.out[:0]
	}
	return c.werr
}
