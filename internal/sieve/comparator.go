package sieve

import (
	"cmp"
	"strings"
)

// comparator is a comparator of RFC 4790.
type comparator uint8

const (
	asciiCasemap comparator = iota
	octet
	asciiNumeric
	unicodeCasemap
)

// folds reports whether letters are compared without regard to case.
func (c comparator) folds() bool { return c == asciiCasemap || c == unicodeCasemap }

// fold brings text to the form in which equal texts of a comparator that folds are the
// same octets.
func (c comparator) fold(s string) string {
	if c == unicodeCasemap {
		return foldUnicode(s)
	}
	return fold(s)
}

// relates is value relation key (RFC 5231 §4).
func (m *match) relates(value, key string) bool {
	var c int
	switch m.cmp {
	case asciiNumeric:
		c = compareNumeric(value, key)
	case octet:
		c = strings.Compare(value, key)
	case unicodeCasemap:
		c = strings.Compare(strings.ToUpper(foldUnicode(value)), strings.ToUpper(foldUnicode(key)))
	default:
		c = strings.Compare(strings.Map(upper, value), strings.Map(upper, key)) // RFC 4790 §9.2.1
	}
	switch m.relation {
	case "gt":
		return c > 0
	case "ge":
		return c >= 0
	case "lt":
		return c < 0
	case "le":
		return c <= 0
	case "ne":
		return c != 0
	}
	return c == 0
}

func upper(c rune) rune {
	if 'a' <= c && c <= 'z' {
		return c - 0x20
	}
	return c
}

// fold returns s with the ASCII letters in lower case; s itself if it has no capitals.
func fold(s string) string {
	for i := range len(s) {
		if s[i]-'A' < 26 {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i]-'A' < 26 {
					b[i] |= 0x20
				}
			}
			return string(b)
		}
	}
	return s
}

// compareNumeric is i;ascii-numeric: the digits at the beginning, as a number of any
// length; text that begins with none is beyond every number (RFC 4790 §9.1).
func compareNumeric(a, b string) int {
	x, y := digits(a), digits(b)
	switch {
	case x == "" || y == "":
		return cmp.Compare(b2i(x == ""), b2i(y == ""))
	}
	x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y))
}

func digits(s string) string {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return s[:n]
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
