package dkim

import "bytes"

// Canonicalization is one of the two algorithms of RFC 6376 §3.4. The zero value
// is simple, the default of the standard.
type Canonicalization uint8

const (
	Simple  Canonicalization = iota // bytes as they are
	Relaxed                         // white space may change
)

// String returns the word used in c=.
func (c Canonicalization) String() string {
	if c == Relaxed {
		return "relaxed"
	}
	return "simple"
}

// AppendField appends the canonical form of one whole header field, with its
// final CRLF, to dst. field is the name, the colon and the value as received,
// with or without the CRLF that ends it.
func AppendField(dst, field []byte, c Canonicalization) []byte {
	field = bytes.TrimSuffix(field, crlf)
	if c == Simple {
		dst = append(dst, field...)
		return append(dst, crlf...)
	}
	i := bytes.IndexByte(field, ':')
	if i < 0 {
		i = len(field)
	}
	name := field[:i]
	for len(name) > 0 && isFWS(name[len(name)-1]) {
		name = name[:len(name)-1]
	}
	for _, c := range name {
		dst = append(dst, lower(c))
	}
	dst = append(dst, ':')
	if i < len(field) {
		dst = appendRelaxed(dst, field[i+1:])
	}
	return append(dst, crlf...)
}

// appendRelaxed unfolds value and reduces each run of white space to one space,
// none at either end (RFC 6376 §3.4.2).
func appendRelaxed(dst, value []byte) []byte {
	base := len(dst)
	space := false
	for i := 0; i < len(value); {
		start := i
		for i < len(value) && value[i] > ' ' {
			i++
		}
		if i > start {
			dst = appendWord(dst, value[start:i], space && len(dst) > base)
			space = false
			continue
		}
		switch c := value[i]; {
		case c == ' ' || c == '\t':
			space = true
		case c == '\r' && i+1 < len(value) && value[i+1] == '\n':
			i++
		default: // another control character, or a bare CR or LF, is content
			dst = appendWord(dst, value[i:i+1], space && len(dst) > base)
			space = false
		}
		i++
	}
	return dst
}

func appendWord(dst, word []byte, space bool) []byte {
	if space {
		dst = append(dst, ' ')
	}
	return append(dst, word...)
}
