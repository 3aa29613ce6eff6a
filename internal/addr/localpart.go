package addr

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// MaxLocalpart is the length in octets that every host must be able to
	// take (RFC 5321 §4.5.3.1.1).
	MaxLocalpart = 64
	// HardLocalpart is the length in octets, decoded, that this package takes.
	HardLocalpart = 128
)

// Localpart is the part before the @, decoded: without quotes and backslashes,
// in the case and Unicode form in which it came. It never holds control
// characters or invalid UTF-8. The zero value is no local part.
type Localpart string

// Quote returns the local part as it is written in an address: a dot-string
// where that is possible, else a quoted string.
func (l Localpart) Quote() string {
	if isDotString(string(l)) {
		return string(l)
	}
	return string(l.AppendQuote(make([]byte, 0, len(l)+8)))
}

// AppendQuote appends what Quote returns.
func (l Localpart) AppendQuote(b []byte) []byte {
	if isDotString(string(l)) {
		return append(b, l...)
	}
	b = append(b, '"')
	for i := 0; i < len(l); i++ {
		if l[i] == '"' || l[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, l[i])
	}
	return append(b, '"')
}

// NeedsUTF8 reports whether the local part can only travel with SMTPUTF8.
func (l Localpart) NeedsUTF8() bool { return !isASCII(string(l)) }

// Fold returns the form under which a directory that ignores case files the
// local part: lower case in Unicode form NFC. It does not allocate when l has
// that form.
func (l Localpart) Fold() Localpart {
	if isASCII(string(l)) {
		return Localpart(strings.ToLower(string(l)))
	}
	return Localpart(norm.NFC.String(strings.ToLower(norm.NFC.String(string(l)))))
}

// LegacyRoute reports whether the local part carries routing of the old days
// (RFC 5321 §3.6.1, App. F.2): user%domain, host!user, or an @ inside quotes.
// A host that resolves such forms relays for strangers.
func LegacyRoute(l Localpart) bool { return strings.ContainsAny(string(l), "%!@") }

// SplitDetail splits a sub-address (RFC 5233) at the first octet that is in
// sep: "user+news" gives "user" and "news". Without a separator, with an empty
// sep, or when nothing would stay before it, base is l and detail is empty.
func SplitDetail(l Localpart, sep string) (base Localpart, detail string) {
	i := strings.IndexAny(string(l), sep)
	if i <= 0 {
		return l, ""
	}
	_, n := utf8.DecodeRuneInString(string(l[i:]))
	return l[:i], string(l[i+n:])
}

// ParseLocalpart reads a local part as written in an address: dot-string or
// quoted string, with UTF-8.
func ParseLocalpart(s string) (Localpart, error) {
	l, n, err := scanLocal(s, true)
	if err == nil && n != len(s) {
		err = ErrLocalSyntax
	}
	if err != nil {
		return "", err
	}
	return l, nil
}

// scanLocal reads a local part at the start of s and returns how many octets
// it took.
func scanLocal(s string, allowUTF8 bool) (l Localpart, n int, err error) {
	if s == "" {
		return "", 0, ErrLocalSyntax
	}
	if s[0] == '"' {
		l, n, err = scanQuoted(s)
	} else {
		l, n, err = scanDotString(s)
	}
	if err != nil {
		return "", n, err
	}
	if len(l) > HardLocalpart {
		return "", n, ErrLocalTooLong
	}
	if !isASCII(string(l)) {
		if !allowUTF8 {
			return "", n, ErrNeedUTF8
		}
		if err := checkRunes(string(l)); err != nil {
			return "", n, err
		}
	}
	return l, n, nil
}

func scanDotString(s string) (Localpart, int, error) {
	i := 0
	for i < len(s) && (isAtext(s[i]) || s[i] == '.') {
		if s[i] == '.' && (i == 0 || s[i-1] == '.') {
			return "", i, ErrLocalSyntax
		}
		i++
	}
	if i < len(s) && isControl(s[i]) {
		return "", i, ErrControl
	}
	if i == 0 || s[i-1] == '.' {
		return "", i, ErrLocalSyntax
	}
	return Localpart(s[:i]), i, nil
}

// scanQuoted reads Quoted-string (RFC 5321 §4.1.2). Only a backslash makes it
// allocate.
func scanQuoted(s string) (Localpart, int, error) {
	pairs := 0
	i := 1
	for ; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' {
			pairs++
			i++
			if i == len(s) {
				return "", i, ErrLocalSyntax
			}
			if s[i] >= 0x80 {
				return "", i, ErrLocalSyntax
			}
		}
		if isControl(s[i]) {
			return "", i, ErrControl
		}
		if i > 2*HardLocalpart+2 {
			return "", i, ErrLocalTooLong
		}
	}
	if i >= len(s) || i == 1 {
		return "", i, ErrLocalSyntax
	}
	raw := s[1:i]
	if pairs == 0 {
		return Localpart(raw), i + 1, nil
	}
	b := make([]byte, 0, len(raw)-pairs)
	for j := 0; j < len(raw); j++ {
		if raw[j] == '\\' {
			j++
		}
		b = append(b, raw[j])
	}
	return Localpart(b), i + 1, nil
}

func isDotString(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '.' {
			if i == 0 || i == len(s)-1 || s[i-1] == '.' {
				return false
			}
		} else if !isAtext(s[i]) {
			return false
		}
	}
	return s != ""
}

// isAtext: RFC 5322 §3.2.3, with UTF8-non-ascii of RFC 6531 §3.3.
func isAtext(c byte) bool { return atext[c] }

var atext = func() (t [256]bool) {
	for c := range t {
		t[c] = '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80 ||
			strings.IndexByte("!#$%&'*+-/=?^_`{|}~", byte(c)) >= 0 && c != 0
	}
	return t
}()

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func validUTF8(s string) bool { return utf8.ValidString(s) }

// checkRunes refuses invalid UTF-8 and the control characters beyond ASCII.
func checkRunes(s string) error {
	if !utf8.ValidString(s) {
		return ErrUTF8
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ErrControl
		}
	}
	return nil
}
