package sieve

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// text is a string of a script, in which variables may stand (RFC 5229 §3).
type text struct {
	s     string  // as it stands
	parts []piece // in order; nil: the text is s
}

// piece is a literal or a variable.
type piece struct {
	lit   string
	name  string // in lower case, with its namespace: "x", "global.x"; "" is lit or a match
	match int    // 0 … 9 if isMatch
	isRef bool   // a variable or match
}

// text reads a string: encoded characters first (RFC 5228 §2.4.2.4), then variables.
func (c *compiler) text(where pos, s string) text {
	if !strings.Contains(s, "${") {
		return text{s: s}
	}
	if c.caps["encoded-character"] {
		decoded, ok := decodeCharacters(s)
		if !ok {
			c.fail(where, "${unicode:…} takes code points up to 10FFFF, without D800 to DFFF")
		}
		s = decoded
	}
	if !c.caps["variables"] {
		return text{s: s}
	}
	t := text{s: s}
	start := 0
	for i := 0; i < len(s); {
		at := strings.Index(s[i:], "${")
		if at < 0 {
			break
		}
		at += i
		p, n := c.reference(where, s[at:])
		if n == 0 {
			i = at + 1
			continue
		}
		if at > start {
			t.parts = append(t.parts, piece{lit: s[start:at]})
		}
		t.parts = append(t.parts, p)
		start = at + n
		i = start
	}
	if t.parts != nil && start < len(s) {
		t.parts = append(t.parts, piece{lit: s[start:]})
	}
	return t
}

// reference reads "${name}" at the start of s; n is 0 when there is none, and then
// the text stands for itself (RFC 5229 §3).
func (c *compiler) reference(where pos, s string) (p piece, n int) {
	name, end := braced(s)
	if name == "" {
		return piece{}, 0
	}
	if num, err := strconv.Atoi(name); err == nil {
		return piece{match: num, isRef: true}, end + 1
	}
	if !variableName(name) {
		return piece{}, 0
	}
	name = strings.ToLower(name)
	c.namespace(where, name)
	return piece{name: name, isRef: true}, end + 1
}

// namespace refuses a variable of a namespace that there is not (RFC 5229 §3).
func (c *compiler) namespace(where pos, name string) {
	space, rest, found := strings.Cut(name, ".")
	switch {
	case !found:
	case space != "global" || strings.Contains(rest, "."):
		c.fail(where, "there is no variable %s: the one namespace is global", shown(name))
	case !c.caps["include"]:
		c.fail(where, "%s needs: require \"include\";", name)
	}
}

// braced returns what stands between "${" at the start of s and the next "}", and
// where that is; "" when it can be no reference. It looks no further than the next
// octet that cannot stand in one, so that all calls together are linear.
func braced(s string) (inner string, end int) {
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case c == '}':
			return s[2:i], i
		case letter(c), '0' <= c && c <= '9', c == '.', c == ':', c == ' ', c == '\t', c == '\r', c == '\n':
		default:
			return "", 0
		}
	}
	return "", 0
}

// variableName = *(identifier ".") identifier
func variableName(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || !letter(part[0]) {
			return false
		}
		for i := range len(part) {
			if !letter(part[i]) && (part[i] < '0' || part[i] > '9') {
				return false
			}
		}
	}
	return true
}

// decodeCharacters replaces "${hex:…}" and "${unicode:…}" (RFC 5228 §2.4.2.4). What
// is not well formed stays; ok is false for a code point that does not exist.
func decodeCharacters(s string) (out string, ok bool) {
	var b strings.Builder
	ok = true
	for {
		at := strings.Index(s, "${")
		if at < 0 {
			break
		}
		b.WriteString(s[:at])
		s = s[at:]
		dec, n, good := decodeCharacter(s)
		ok = ok && good
		if n == 0 {
			b.WriteString("${")
			s = s[2:]
			continue
		}
		b.WriteString(dec)
		s = s[n:]
	}
	b.WriteString(s)
	return b.String(), ok
}

func decodeCharacter(s string) (dec string, n int, ok bool) {
	inner, end := braced(s)
	kind, numbers, found := strings.Cut(inner, ":")
	bits := 0
	switch {
	case found && strings.EqualFold(kind, "hex"):
		bits = 8
	case found && strings.EqualFold(kind, "unicode"):
		bits = 32
	default:
		return "", 0, true
	}
	fields := strings.Fields(numbers)
	var b []byte
	for _, f := range fields {
		if bits == 8 && len(f) > 2 || bits == 32 && len(strings.TrimLeft(f, "0")) > 6 {
			return "", 0, true
		}
		c, err := strconv.ParseUint(f, 16, 32)
		if err != nil {
			return "", 0, true
		}
		if bits == 8 {
			b = append(b, byte(c))
			continue
		}
		if !utf8.ValidRune(rune(c)) {
			return "", end + 1, false
		}
		b = utf8.AppendRune(b, rune(c))
	}
	if len(fields) == 0 {
		return "", 0, true
	}
	return string(b), end + 1, true
}
