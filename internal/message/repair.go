package message

import (
	"bytes"
	"io"
	"time"

	"posta/internal/addr"
)

// Supply holds what MissingFields may add.
type Supply struct {
	From      addr.Address // zero: none is added
	Date      time.Time    // zero: none is added
	MessageID string       // with angle brackets; empty: none is added
}

// MissingFields returns the header fields that a submitted message lacks (RFC
// 6409 §8), ready to stand before it; nil if it lacks none. A field that is
// there, even empty, is left alone.
func MissingFields(h Header, s Supply) []byte {
	var out []byte
	if !s.Date.IsZero() && !h.Has("Date") {
		out = AppendField(out, "Date", FormatDate(s.Date))
	}
	if !s.From.IsZero() && !h.Has("From") {
		out = AppendField(out, "From", s.From.String())
	}
	if s.MessageID != "" && !h.Has("Message-ID") {
		out = AppendField(out, "Message-ID", s.MessageID)
	}
	return out
}

// BccRanges returns where the Bcc and Resent-Bcc fields are, in order, so that
// they can be cut before the message leaves (RFC 5322 §3.6.3). nil if none.
func BccRanges(h Header) []Range {
	var out []Range
	for f := range h.Fields() {
		if f.Is("Bcc") || f.Is("Resent-Bcc") {
			out = append(out, Range{int64(f.Start), int64(f.End())})
		}
	}
	return out
}

// Cut returns b without the ranges, which must be in order; b itself if there
// are none.
func Cut(b []byte, ranges []Range) []byte {
	if len(ranges) == 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	pos := int64(0)
	for _, r := range ranges {
		out = append(out, b[pos:r.Start]...)
		pos = r.End
	}
	return append(out, b[pos:]...)
}

// CRLFWriter passes octets on, turning each bare LF and each bare CR into CRLF.
// Close it to write a CR that came last. It holds a few KiB.
type CRLFWriter struct {
	w       io.Writer
	buf     []byte
	cr      bool // a CR was the last octet and is not written yet
	changed int64
}

// NewCRLFWriter returns a writer before w.
func NewCRLFWriter(w io.Writer) *CRLFWriter { return &CRLFWriter{w: w} }

// Changed returns how many line endings were mended so far.
func (c *CRLFWriter) Changed() int64 { return c.changed }

// Write passes b on. The error is w's; then how much of b went out is unknown
// and the writer is of no more use.
func (c *CRLFWriter) Write(b []byte) (int, error) {
	const piece = 16 << 10
	n := len(b)
	for len(b) > 0 {
		head := b[:min(piece, len(b))]
		b = b[len(head):]
		c.buf = c.buf[:0]
		c.convert(head)
		if _, err := c.w.Write(c.buf); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (c *CRLFWriter) convert(b []byte) {
	if c.cr {
		c.cr = false
		c.buf = append(c.buf, "\r\n"...)
		if b[0] == '\n' {
			b = b[1:]
		} else {
			c.changed++
		}
	}
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		line := b
		if i >= 0 {
			line = b[:i]
		}
		end := len(line) > 0 && line[len(line)-1] == '\r'
		if end {
			line = line[:len(line)-1]
		}
		c.bareCRs(line)
		if i < 0 {
			c.cr = end
			return
		}
		if !end {
			c.changed++
		}
		c.buf = append(c.buf, "\r\n"...)
		b = b[i+1:]
	}
}

// bareCRs writes a line without its ending.
func (c *CRLFWriter) bareCRs(line []byte) {
	for {
		i := bytes.IndexByte(line, '\r')
		if i < 0 {
			c.buf = append(c.buf, line...)
			return
		}
		c.buf = append(append(c.buf, line[:i]...), "\r\n"...)
		c.changed++
		line = line[i+1:]
	}
}

// Close writes what was held back. It does not close w.
func (c *CRLFWriter) Close() error {
	if !c.cr {
		return nil
	}
	c.cr = false
	c.changed++
	_, err := c.w.Write([]byte("\r\n"))
	return err
}
