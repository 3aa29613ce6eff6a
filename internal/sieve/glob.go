package sieve

import "unicode/utf8"

// glob is one comparison of :matches (RFC 5228 §2.7.1), where a character is an octet,
// as the ASCII comparators have it, unless chars. A star takes as little as it can, the leftmost first
// (RFC 5229 §3.2), which never needs to go back further than the last star: what
// stands before it is as far left as it can be.
type glob struct {
	value, pattern string
	chars          bool     // "?" is a character of Unicode
	spans          [][2]int // what each wildcard took
	steps          int
}

func (g *glob) match() bool {
	v, p := 0, 0
	star, spans := -1, 0 // pattern behind the last star, and spans up to its own
	for {
		g.steps++
		if p < len(g.pattern) && g.pattern[p] == '*' {
			g.spans = append(g.spans, [2]int{v, v})
			p++
			star, spans = p, len(g.spans)
			continue
		}
		if next, ok := g.step(&v, p); ok {
			p = next
			continue
		}
		if v == len(g.value) && p == len(g.pattern) {
			return true
		}
		if star < 0 {
			return false
		}
		// The last star takes one character more, or all that is left.
		s := &g.spans[spans-1]
		g.spans = g.spans[:spans]
		if s[1] >= len(g.value) {
			return false
		}
		s[1] += g.width(s[1])
		if star == len(g.pattern) {
			s[1] = len(g.value)
		}
		v, p = s[1], star
	}
}

// step matches one element of the pattern that is no star.
func (g *glob) step(v *int, p int) (next int, ok bool) {
	if p >= len(g.pattern) || *v >= len(g.value) {
		return 0, false
	}
	c := g.pattern[p]
	switch {
	case c == '?':
		n := g.width(*v)
		g.spans = append(g.spans, [2]int{*v, *v + n})
		*v += n
		return p + 1, true
	case c == '\\' && p+1 < len(g.pattern):
		p++
		c = g.pattern[p]
	}
	if g.value[*v] != c {
		return 0, false
	}
	*v++
	return p + 1, true
}

// width is how many octets the character at an offset has.
func (g *glob) width(at int) int {
	if !g.chars {
		return 1
	}
	_, n := utf8.DecodeRuneInString(g.value[at:])
	return n
}
