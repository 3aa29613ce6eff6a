package dsn

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrSyntax is returned for a parameter or encoding that breaks its grammar.
var ErrSyntax = errors.New("dsn: syntax error")

const upperHex = "0123456789ABCDEF"

// EncodeXtext writes s as xtext (RFC 3461 §4): octets outside "!" to "~", and
// "+" and "=", become "+" and two upper-case hex digits.
func EncodeXtext(s string) string {
	n := 0
	for i := 0; i < len(s); i++ {
		if !isXchar(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := 0; i < len(s); i++ {
		if c := s[i]; isXchar(c) {
			b = append(b, c)
		} else {
			b = append(b, '+', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

// DecodeXtext reads xtext. Lower-case digits, which RFC 3461 forbids, are
// ErrSyntax like everything else outside the grammar.
func DecodeXtext(s string) (string, error) {
	if strings.IndexByte(s, '+') < 0 {
		for i := 0; i < len(s); i++ {
			if !isXchar(s[i]) {
				return "", ErrSyntax
			}
		}
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isXchar(c):
			b = append(b, c)
		case c == '+' && i+2 < len(s):
			hi, lo := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
			if hi < 0 || lo < 0 {
				return "", ErrSyntax
			}
			b = append(b, byte(hi<<4|lo))
			i += 2
		default:
			return "", ErrSyntax
		}
	}
	return string(b), nil
}

func isXchar(c byte) bool { return c >= '!' && c <= '~' && c != '+' && c != '=' }

// EncodeUTF8Address writes an address in the 7-bit form utf-8-addr-xtext of
// RFC 6533 §3: what is not plain ASCII becomes \x{HEX}.
func EncodeUTF8Address(s string) string { return encodeUTF8(s, false) }

// EncodeUTF8Unitext writes the form utf-8-addr-unitext, for ORCPT where
// SMTPUTF8 is in force: only what ASCII forbids is escaped.
func EncodeUTF8Unitext(s string) string { return encodeUTF8(s, true) }

func encodeUTF8(s string, keepUnicode bool) string {
	var b strings.Builder
	for _, r := range s {
		if isQchar(r) || keepUnicode && r >= utf8.RuneSelf && r != utf8.RuneError && !unicode.IsControl(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(`\x{`)
		digits := 2
		for r>>(4*digits) > 0 {
			digits++
		}
		for i := digits - 1; i >= 0; i-- {
			b.WriteByte(upperHex[r>>(4*i)&15])
		}
		b.WriteByte('}')
	}
	return b.String()
}

func isQchar(r rune) bool { return r >= '!' && r <= '~' && r != '+' && r != '=' && r != '\\' }

// DecodeUTF8Address reads any form of utf-8-enc-addr (RFC 6533 §3): escapes
// \x{HEX} of two to six upper-case digits between ASCII and UTF-8.
func DecodeUTF8Address(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", ErrSyntax
	}
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for len(s) > 0 {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			break
		}
		b = append(b, s[:i]...)
		digits, rest, ok := strings.Cut(s[i:], "}")
		digits, marked := strings.CutPrefix(digits, `\x{`)
		if !ok || !marked || len(digits) < 2 || len(digits) > 6 {
			return "", ErrSyntax
		}
		r := rune(0)
		for j := 0; j < len(digits); j++ {
			v := strings.IndexByte(upperHex, digits[j])
			if v < 0 {
				return "", ErrSyntax
			}
			r = r<<4 | rune(v)
		}
		if !utf8.ValidRune(r) {
			return "", ErrSyntax
		}
		b = utf8.AppendRune(b, r)
		s = rest
	}
	return string(append(b, s...)), nil
}
