package content

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// sink collects text: white space becomes one space, or one line break where a
// line or block ended.
type sink struct {
	b     strings.Builder
	limit int
	gap   byte // what stands before the next character; 0: nothing
	over  bool
}

// separate has the next text stand apart.
func (s *sink) separate(c byte) {
	if s.gap != '\n' {
		s.gap = c
	}
}

// write takes UTF-8; faulty octets are replaced.
func (s *sink) write(b []byte) {
	for len(b) > 0 {
		if n := spaceLen(b); n > 0 {
			if b[0] == '\n' {
				s.separate('\n')
			} else {
				s.separate(' ')
			}
			b = b[n:]
			continue
		}
		n := s.run(b)
		s.word(b[:n])
		b = b[n:]
	}
}

// run is the length of the words at the start of b that stand a space apart, so
// that a line is taken at once; of one word where the limit is near.
func (s *sink) run(b []byte) int {
	near := s.b.Len()+len(b)+1 > s.limit
	n := 1
	for n < len(b) {
		switch c := b[n]; {
		case c > ' ' && c != 0xc2:
		case c == ' ' && !near && n+1 < len(b) && b[n+1] > ' ' && b[n+1] != 0xc2:
		case c == 0xc2 && spaceLen(b[n:]) == 0:
		default:
			return n
		}
		n++
	}
	return n
}

// spaceLen is how many octets the white space at the start of b has: a control
// or space, or the no-break space of HTML.
func spaceLen(b []byte) int {
	switch {
	case b[0] <= ' ':
		return 1
	case b[0] == 0xc2 && len(b) > 1 && b[1] == 0xa0:
		return 2
	}
	return 0
}

func (s *sink) word(b []byte) {
	if !utf8.Valid(b) {
		b = bytes.ToValidUTF8(b, []byte("\uFFFD"))
	}
	if s.b.Len()+len(b)+1 > s.limit {
		s.over = true
		return
	}
	if s.gap != 0 && s.b.Len() > 0 {
		s.b.WriteByte(s.gap)
	}
	s.gap = 0
	s.b.Write(b)
}

// clip cuts s to n octets, not within a character, and makes it valid.
func clip(s string, n int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}
