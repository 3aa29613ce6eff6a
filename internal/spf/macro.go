package spf

import "strings"

// Macro is a macro-string or domain-spec of a record that was parsed, so its syntax is right (RFC 7208 §7.1).
type Macro string

// HasMacro tells whether expansion depends on the message: there is a %{…} in it.
func (m Macro) HasMacro() bool { return strings.Contains(string(m), "%{") }

// Uses tells whether it has a macro of this letter (lower-case), such as 'l' or 'p'.
func (m Macro) Uses(letter byte) bool {
	for s := string(m); ; {
		_, rest, ok := strings.Cut(s, "%")
		if !ok || rest == "" {
			return false
		}
		if rest[0] == '{' && len(rest) > 1 && rest[1]|0x20 == letter {
			return true
		}
		s = rest[1:]
	}
}

// Which letters a macro-string may have.
const (
	domainLetters = "slodiphv"    // in a domain-spec
	anyLetter     = "slodiphcrtv" // in an explanation (RFC 7208 §7.2)
)

const delimiters = ".-+,/_="

// checkMacro checks a macro-string (§7.1) and gives what is wrong with it, or "".
func checkMacro(s, letters string) (reason string) {
	for s != "" {
		switch c := s[0]; {
		case c != '%':
			if c < 0x21 || c > 0x7e {
				return "character outside printable ASCII"
			}
			s = s[1:]
		case len(s) > 1 && (s[1] == '%' || s[1] == '_' || s[1] == '-'):
			s = s[2:]
		default:
			if _, s, reason = readExpand(s, letters); reason != "" {
				return reason
			}
		}
	}
	return ""
}

// expansion is one %{…}.
type expansion struct {
	letter  byte // lower-case
	escape  bool // it was upper-case: URL escape
	keep    int  // right-hand labels to keep; 0: all
	reverse bool
	delims  string // where to split; "" means at dots
}

// readExpand reads one macro-expand at the start of s: "%{" letter *DIGIT ["r"] *delimiter "}".
func readExpand(s, letters string) (x expansion, rest, reason string) {
	body, rest, ok := strings.Cut(s, "}")
	if !ok || len(body) < 3 || body[1] != '{' {
		return x, "", "bad macro"
	}
	x.letter, x.escape = body[2]|0x20, body[2]&0x20 == 0
	if !isAlpha(body[2]) || strings.IndexByte(letters, x.letter) < 0 {
		return x, "", "macro letter not allowed here"
	}
	body = body[3:]
	digits := 0
	for digits < len(body) && isDigit(body[digits]) {
		x.keep = min(x.keep*10+int(body[digits]-'0'), 1000)
		digits++
	}
	if digits > 0 && x.keep == 0 {
		return x, "", "macro keeps zero labels"
	}
	body = body[digits:]
	if body != "" && body[0]|0x20 == 'r' {
		x.reverse, body = true, body[1:]
	}
	if strings.Trim(body, delimiters) != "" {
		return x, "", "bad macro"
	}
	x.delims = body
	return x, rest, ""
}

// checkDomainSpec checks macro-string domain-end; domain-end = ( "." toplabel [ "." ] ) / macro-expand.
func checkDomainSpec(s string) (reason string) {
	if s == "" {
		return "domain missing"
	}
	if reason := checkMacro(s, domainLetters); reason != "" {
		return reason
	}
	if endsInExpand(s) {
		return ""
	}
	s = strings.TrimSuffix(s, ".")
	dot := strings.LastIndexByte(s, '.')
	if dot < 0 || !isTopLabel(s[dot+1:]) {
		return "domain does not end in a top-level label or macro"
	}
	return ""
}

// endsInExpand tells whether the final "}" closes a macro: a literal "}" is also possible, as in "%%{}".
func endsInExpand(s string) bool {
	for s != "" {
		switch {
		case s[0] != '%':
			s = s[1:]
		case s[1] != '{':
			s = s[2:]
		default:
			_, rest, _ := strings.Cut(s, "}")
			if rest == "" {
				return true
			}
			s = rest
		}
	}
	return false
}

// isTopLabel: letters, digits and inner hyphens, not digits alone.
func isTopLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	digits := true
	for i := range len(s) {
		switch c := s[i]; {
		case isAlpha(c) || c == '-':
			digits = false
		case !isDigit(c):
			return false
		}
	}
	return !digits
}

// expand appends the expansion of a checked macro-string to dst. value gives what a letter stands for. It stops and reports
// false when the text passes most octets. An explanation may hold spaces, which stand for themselves.
func expand(dst []byte, s string, value func(letter byte) string, most int) ([]byte, bool) {
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			i = len(s)
		}
		dst, s = append(dst, s[:i]...), s[i:]
		if len(dst) > most {
			return dst, false
		}
		if len(s) < 2 {
			break
		}
		switch s[1] {
		case '%':
			dst, s = append(dst, '%'), s[2:]
		case '_':
			dst, s = append(dst, ' '), s[2:]
		case '-':
			dst, s = append(dst, "%20"...), s[2:]
		default:
			x, rest, reason := readExpand(s, anyLetter)
			if reason != "" {
				return dst, false
			}
			dst, s = x.append(dst, value(x.letter)), rest
		}
	}
	return dst, len(dst) <= most
}

// append puts the transformed value at the end of dst (RFC 7208 §7.3).
func (x expansion) append(dst []byte, value string) []byte {
	if x.keep == 0 && !x.reverse && x.delims == "" {
		return x.put(dst, value)
	}
	delims := x.delims
	if delims == "" {
		delims = "."
	}
	var parts []string
	for {
		i := strings.IndexAny(value, delims)
		if i < 0 {
			break
		}
		parts, value = append(parts, value[:i]), value[i+1:]
	}
	parts = append(parts, value)
	n := len(parts)
	first := 0
	if x.keep > 0 && x.keep < n {
		first = n - x.keep
	}
	for i := first; i < n; i++ {
		if i > first {
			dst = append(dst, '.')
		}
		if x.reverse {
			dst = x.put(dst, parts[n-1-i])
		} else {
			dst = x.put(dst, parts[i])
		}
	}
	return dst
}

// put appends s, URL-escaped when the letter was upper-case: all but the unreserved characters of RFC 3986 §2.3.
func (x expansion) put(dst []byte, s string) []byte {
	if !x.escape {
		return append(dst, s...)
	}
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case isAlpha(c), isDigit(c), c == '-', c == '.', c == '_', c == '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}
