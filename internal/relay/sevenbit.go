package relay

import (
	"bytes"
	"strings"

	"posta/internal/message"
)

// MaxConvert is the largest message that SevenBit takes, in octets.
const MaxConvert = 32 << 20

// SevenBit rewrites a message so that it has no octets over 127 (RFC 6152 §3):
// each leaf part that has some becomes quoted-printable, and containers that
// said 8bit say 7bit. A message without such octets comes back as it is. Lines
// keep their CRLF, so a part of text and one of lines both come back whole.
//
// ErrNotConvertible: octets over 127 in a header or outside of any part, under a header that is not only fields, inside
// a signed or encrypted part (RFC 1847), in a part that already has an encoding
// or is opaque; or a message over MaxConvert.
func SevenBit(b []byte) ([]byte, error) {
	if !eightBit(b) {
		return b, nil
	}
	if len(b) > MaxConvert {
		return nil, ErrNotConvertible
	}
	c := converter{src: b, dst: make([]byte, 0, len(b)+len(b)/8), wrong: eightBit, plain: "7bit", encoding: "quoted-printable"}
	if err := c.part(message.ParseBytes(b, message.Budget{})); err != nil {
		return nil, err
	}
	c.copyTo(int64(len(b)))
	if eightBit(c.dst) {
		return nil, ErrNotConvertible // preambles, epilogues, what parsing passed over
	}
	return c.dst, nil
}

// WithoutBinary rewrites a message so that it needs no BINARYMIME (RFC 3030 §3): each
// leaf part with a CR or LF that stands alone, a NUL, or a line over 998 octets
// becomes base64, so that its octets arrive as they are; what else said binary says
// 8bit. Errors as of SevenBit, for such octets in its place.
func WithoutBinary(b []byte) ([]byte, error) {
	if len(b) > MaxConvert {
		return nil, ErrNotConvertible
	}
	c := converter{src: b, dst: make([]byte, 0, len(b)+len(b)/2), wrong: binary, plain: "8bit", encoding: "base64"}
	if err := c.part(message.ParseBytes(b, message.Budget{})); err != nil {
		return nil, err
	}
	c.copyTo(int64(len(b)))
	if binary(c.dst) {
		return nil, ErrNotConvertible
	}
	return c.dst, nil
}

// converter copies src to dst with parts replaced on the way.
type converter struct {
	src, dst []byte
	at       int64             // src is copied up to here
	wrong    func([]byte) bool // has octets that must not be sent
	plain    string            // encoding of what has none
	encoding string            // of what has some
}

func (c *converter) copyTo(at int64) {
	c.dst = append(c.dst, c.src[c.at:at]...)
	c.at = at
}

// part converts one part and what is inside it.
func (c *converter) part(p *message.Part) error {
	said := p.Encoding == "binary" && c.plain == "8bit"
	if !c.wrong(c.src[p.Start:p.End]) && !said {
		return nil
	}
	if c.wrong(c.src[p.Start:p.Body]) || !fieldsAlone(c.src[p.Start:p.Body]) {
		return ErrNotConvertible
	}
	switch {
	case p.Type == "multipart" && (p.Subtype == "signed" || p.Subtype == "encrypted"):
		return ErrNotConvertible
	case p.Multipart(), p.Message != nil:
		c.header(p, c.plain)
		inside := p.Children
		if p.Message != nil {
			inside = []*message.Part{p.Message}
		}
		for _, ch := range inside {
			if err := c.part(ch); err != nil {
				return err
			}
		}
		return nil
	case p.Opaque || p.Type == "message" || p.Encoding != "7bit" && p.Encoding != "8bit" && !said:
		return ErrNotConvertible
	case !c.wrong(c.src[p.Body:p.End]):
		c.header(p, c.plain)
		return nil
	}
	c.header(p, c.encoding)
	if c.encoding == "base64" {
		c.dst = message.AppendBase64(c.dst, c.src[p.Body:p.End])
		if p.End < int64(len(c.src)) { // the boundary behind it brings its own line end
			c.dst = bytes.TrimSuffix(c.dst, []byte("\r\n"))
		}
	} else {
		c.dst = message.AppendQuotedPrintable(c.dst, c.src[p.Body:p.End])
	}
	c.at = p.End
	return nil
}

// fieldsAlone reports whether a header is nothing but fields and the empty line behind
// them. Into another one no field can be put so that every reader finds the body where
// it was.
func fieldsAlone(h message.Header) bool {
	end := 0
	for f := range h.Fields() {
		if f.Start != end {
			return false
		}
		end = f.End()
	}
	rest := string(h[end:])
	return rest == "" || rest == "\r\n" || rest == "\n"
}

// header copies a part's header with another Content-Transfer-Encoding.
func (c *converter) header(p *message.Part, encoding string) {
	c.copyTo(p.Start)
	h := message.Header(c.src[p.Start:p.Body])
	end := 0 // of the fields
	for f := range h.Fields() {
		end = f.End()
		if !f.Is("Content-Transfer-Encoding") {
			c.dst = append(c.dst, f.Raw()...)
		}
	}
	if p.Start == 0 && !h.Has("MIME-Version") { // RFC 2045 §4: without it no encoding holds
		c.dst = message.AppendField(c.dst, "MIME-Version", "1.0")
	}
	if encoding != c.plain || strings.TrimSpace(h.Get("Content-Transfer-Encoding")) != "" {
		c.dst = message.AppendField(c.dst, "Content-Transfer-Encoding", encoding)
	}
	if end == len(h) { // nothing but the body's first line ended the header
		c.dst = append(c.dst, '\r', '\n')
	}
	c.dst = append(c.dst, h[end:]...)
	c.at = p.Body
}

// maxLine is the longest line that 8BITMIME carries, without its CRLF (RFC 5322
// §2.1.1).
const maxLine = 998

// binary reports whether octets need BINARYMIME.
func binary(b []byte) bool {
	for len(b) > 0 {
		line, rest, ended := bytes.Cut(b, []byte{'\n'})
		text, pair := bytes.CutSuffix(line, []byte{'\r'})
		if ended && !pair || len(text) > maxLine || bytes.IndexByte(text, 0) >= 0 || bytes.IndexByte(text, '\r') >= 0 {
			return true
		}
		if !ended {
			return pair
		}
		b = rest
	}
	return false
}

func eightBit(b []byte) bool {
	for _, o := range b {
		if o > 0x7f {
			return true
		}
	}
	return false
}
