package message

import (
	"errors"
	"io"

	"posta/internal/message/charset"
)

// ErrUnknownEncoding is returned for a Content-Transfer-Encoding that this
// package cannot decode; IMAP's BINARY answers UNKNOWN-CTE (RFC 3516 §4.3).
var ErrUnknownEncoding = errors.New("message: unknown content transfer encoding")

// Open returns the body of a part with its transfer encoding removed. r is the
// message that the part was parsed from. Multiparts and messages come as they
// are. Errors: ErrUnknownEncoding; reading gives r's errors only, as faulty
// encoding is passed over.
func Open(r io.ReaderAt, p *Part) (io.Reader, error) {
	body := io.NewSectionReader(r, p.Body, p.Size())
	if p.Multipart() || p.Message != nil {
		return body, nil
	}
	return NewDecoder(p.Encoding, body)
}

// OpenText returns the body of a text part as UTF-8. A part of unknown transfer
// encoding is taken as it stands.
func OpenText(r io.ReaderAt, p *Part) io.Reader {
	body, err := Open(r, p)
	if err != nil {
		body = io.NewSectionReader(r, p.Body, p.Size())
	}
	return charset.NewReader(p.Charset(), body)
}

// NewDecoder removes a transfer encoding, named in lower case; "" is 7bit.
//
// base64 passes over everything that is not of its alphabet, goes on after
// padding and drops a last incomplete octet. quoted-printable keeps an "=" that
// begins nothing, removes white space at line ends (RFC 2045 §6.7) and leaves
// line endings as they are.
func NewDecoder(encoding string, r io.Reader) (io.Reader, error) {
	switch encoding {
	case "", "7bit", "8bit", "binary":
		return r, nil
	case "base64":
		return &filterReader{r: r, f: new(base64Filter)}, nil
	case "quoted-printable":
		return &filterReader{r: r, f: new(qpFilter)}, nil
	}
	return nil, ErrUnknownEncoding
}

// filter turns octets into at most about as many others.
type filter interface {
	feed(dst, src []byte) []byte
	end(dst []byte) []byte
}

// filterReader reads through a filter with two buffers of fixed size.
type filterReader struct {
	r   io.Reader
	f   filter
	in  []byte
	out []byte
	off int
	err error
}

func (d *filterReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for empty := 0; d.off == len(d.out); {
		if d.err != nil {
			return 0, d.err
		}
		d.grow()
		n, err := d.r.Read(d.in)
		d.off = 0
		d.out = d.f.feed(d.out[:0], d.in[:n])
		if err != nil {
			d.err = err
			if err == io.EOF {
				d.out = d.f.end(d.out)
			}
		} else if n > 0 {
			empty = 0
		} else if empty++; empty > 100 {
			d.err = io.ErrNoProgress
		}
	}
	n := copy(p, d.out[d.off:])
	d.off += n
	return n, nil
}

// grow gives the first read a small buffer, enough for a preview, and those
// after it a large one.
func (d *filterReader) grow() {
	const first, later = 1 << 10, 16 << 10
	switch len(d.in) {
	case 0:
		d.in = make([]byte, first)
	case first:
		d.in = make([]byte, later)
	}
}

// base64Filter collects sextets.
type base64Filter struct {
	acc uint32
	n   int
}

func (f *base64Filter) feed(dst, src []byte) []byte {
	for _, c := range src {
		v := sextet(c)
		if v > 63 {
			if c == '=' {
				dst = f.end(dst)
			}
			continue
		}
		f.acc = f.acc<<6 | uint32(v)
		if f.n++; f.n == 4 {
			dst = append(dst, byte(f.acc>>16), byte(f.acc>>8), byte(f.acc))
			f.acc, f.n = 0, 0
		}
	}
	return dst
}

func (f *base64Filter) end(dst []byte) []byte {
	switch f.n {
	case 2:
		dst = append(dst, byte(f.acc>>4))
	case 3:
		dst = append(dst, byte(f.acc>>10), byte(f.acc>>2))
	}
	f.acc, f.n = 0, 0
	return dst
}

func sextet(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c - 'A'
	case 'a' <= c && c <= 'z':
		return c - 'a' + 26
	case '0' <= c && c <= '9':
		return c - '0' + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	}
	return 0xff
}

// qpFilter is a machine over octets: plain text, after "=", and so on.
type qpFilter struct {
	state qpState
	hex   byte   // the first digit after "="
	space []byte // white space that vanishes if the line ends
}

type qpState uint8

const (
	qpText     qpState = iota
	qpCR               // CR seen
	qpEquals           // "=" seen
	qpHex              // "=" and one digit seen
	qpEqualsCR         // "=" CR seen
)

// maxQPSpace bounds the white space that is held back.
const maxQPSpace = 1000

func (f *qpFilter) feed(dst, src []byte) []byte {
	for len(src) > 0 {
		if f.state == qpText && len(f.space) == 0 {
			if n := plainRun(src); n > 0 {
				dst = append(dst, src[:n]...)
				src = src[n:]
				continue
			}
		}
		dst = f.step(dst, src[0])
		src = src[1:]
	}
	return dst
}

// plainRun returns how many octets at the start of b stand for themselves,
// white space between others included.
func plainRun(b []byte) int {
	end := 0
	for i, c := range b {
		switch c {
		case '=', '\r', '\n':
			return end
		case ' ', '\t':
		default:
			end = i + 1
		}
	}
	return end
}

func (f *qpFilter) step(dst []byte, c byte) []byte {
	switch f.state {
	case qpCR:
		f.state = qpText
		if c == '\n' {
			f.space = f.space[:0]
			return append(dst, '\r', '\n')
		}
		dst = append(f.flush(dst), '\r')
	case qpEquals:
		switch {
		case unhex(c) < 16:
			f.state, f.hex = qpHex, c
			return dst
		case c == '\n':
			f.state = qpText
			return dst
		case c == '\r':
			f.state = qpEqualsCR
			return dst
		case c == ' ' || c == '\t':
			return dst // padding added in transport after a soft line break
		}
		f.state = qpText
		dst = append(dst, '=')
	case qpHex:
		f.state = qpText
		if unhex(c) < 16 {
			return append(dst, unhex(f.hex)<<4|unhex(c))
		}
		dst = append(dst, '=', f.hex)
	case qpEqualsCR:
		f.state = qpText
		if c == '\n' {
			return dst
		}
		dst = append(dst, '=', '\r')
	}
	return f.text(dst, c)
}

func (f *qpFilter) text(dst []byte, c byte) []byte {
	switch c {
	case '=':
		f.state = qpEquals
		return f.flush(dst)
	case '\r':
		f.state = qpCR
		return dst
	case ' ', '\t':
		if len(f.space) >= maxQPSpace {
			dst = f.flush(dst)
		}
		f.space = append(f.space, c)
		return dst
	case '\n':
		f.space = f.space[:0]
		return append(dst, c)
	}
	if len(f.space) > 0 {
		dst = f.flush(dst)
	}
	return append(dst, c)
}

func (f *qpFilter) flush(dst []byte) []byte {
	dst = append(dst, f.space...)
	f.space = f.space[:0]
	return dst
}

// end: white space and a soft line break at the very end vanish.
func (f *qpFilter) end(dst []byte) []byte {
	switch f.state {
	case qpCR:
		dst = append(dst, '\r')
	case qpHex:
		dst = append(dst, '=', f.hex)
	}
	f.state = qpText
	return dst
}
