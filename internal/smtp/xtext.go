package smtp

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

const upperHex = "0123456789ABCDEF"

// AppendXtext writes s as xtext: printable ASCII but "+" and "=" as it is,
// everything else as "+XX" (RFC 3461 §4).
func AppendXtext(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c > ' ' && c <= '~' && c != '+' && c != '=' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '+', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// DecodeXtext is the inverse of AppendXtext. Digits of hex are wanted in upper
// case, as the RFC has them.
func DecodeXtext(s string) (string, bool) {
	if strings.IndexByte(s, '+') < 0 {
		return s, isXtext(s)
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			out = append(out, s[i])
			if !isXtext(s[i : i+1]) {
				return "", false
			}
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		out = append(out, byte(hi<<4|lo))
		i += 2
	}
	return string(out), true
}

func isXtext(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '=' {
			return false
		}
	}
	return true
}

// decodeUTF8Xtext reads utf-8-addr-xtext, "\x{…}" for what xtext cannot carry,
// and utf-8-addr-unitext, the same with UTF-8 as it is (RFC 6533 §3). A "+" that
// stands there against the grammar, as in user+detail, is taken as it is.
func decodeUTF8Xtext(s string) (string, bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	var out strings.Builder
	for s != "" {
		at := strings.Index(s, `\x{`)
		if at < 0 {
			at = len(s)
		}
		out.WriteString(s[:at])
		if s = s[at:]; s == "" {
			break
		}
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return "", false
		}
		n, err := strconv.ParseUint(s[3:end], 16, 32)
		if err != nil || end-3 > 6 || !utf8.ValidRune(rune(n)) {
			return "", false
		}
		out.WriteRune(rune(n))
		s = s[end+1:]
	}
	return out.String(), true
}
