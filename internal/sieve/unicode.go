package sieve

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// foldUnicode brings text to one form for i;unicode-casemap (RFC 5051 §2): the case of
// letters is folded and characters are decomposed, so that "Ñ" is "ñ", written in one
// character or in two.
func foldUnicode(s string) string {
	if ascii(s) {
		return fold(s)
	}
	return strings.ToLower(norm.NFKD.String(strings.ToTitle(s)))
}

// foldRunes folds the case only, each character by itself: for patterns, whose
// wildcards take characters of the value as it was written.
func foldRunes(s string) string {
	if ascii(s) {
		return fold(s)
	}
	return strings.Map(func(c rune) rune { return unicode.ToLower(unicode.ToTitle(c)) }, s)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// origins turns spans of what foldRunes made of value, which are in order, into spans
// of value.
func origins(value, folded string, spans [][2]int) {
	v, f := 0, 0
	for i := range spans {
		for j, at := range spans[i] {
			for f < at {
				_, n := utf8.DecodeRuneInString(value[v:])
				_, m := utf8.DecodeRuneInString(folded[f:])
				v, f = v+n, f+m
			}
			spans[i][j] = v
		}
	}
}
