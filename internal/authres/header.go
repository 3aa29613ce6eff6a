package authres

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// FieldName is the name of the header field.
	FieldName = "Authentication-Results"
	// ARCFieldName is the name of the field that ARC keeps it in.
	ARCFieldName = "ARC-Authentication-Results"

	maxField   = 16 << 10
	maxResults = 64
	maxProps   = 32
	maxText    = 512
	maxDepth   = 16
	lineWidth  = 76
)

// Header is one Authentication-Results field. Without results it says "none": no
// authentication was done.
type Header struct {
	// ServerID is the authserv-id, usually the domain of the administration that
	// did the checks.
	ServerID string
	Results  []Result
}

// Result is the outcome of one method.
type Result struct {
	Method  string // keyword in lower case: spf, dkim, dmarc, iprev, auth, arc…
	Value   string // keyword in lower case: pass, fail, none…
	Comment string // for people, without its parentheses; empty is none
	Reason  string // reason=; empty is none
	Props   []Property
}

// Property is one ptype.property=value, such as header.d=example.com.
type Property struct {
	Type  string // keyword in lower case: smtp, header, body, policy…
	Name  string // keyword in lower case
	Value string
}

// With returns r with one more property, or r itself if value is empty.
func (r Result) With(ptype, name, value string) Result {
	if value != "" {
		r.Props = append(r.Props[:len(r.Props):len(r.Props)], Property{ptype, name, value})
	}
	return r
}

// Property returns the first value of ptype.name, or "".
func (r Result) Property(ptype, name string) string {
	for _, p := range r.Props {
		if p.Type == ptype && p.Name == name {
			return p.Value
		}
	}
	return ""
}

// SPF is the result for the MAIL FROM identity or, where mailFrom is empty, for
// the HELO identity (RFC 8601 §2.7.2).
func SPF(value, mailFrom, helo string) Result {
	r := Result{Method: "spf", Value: value}
	if mailFrom != "" {
		return r.With("smtp", "mailfrom", mailFrom)
	}
	return r.With("smtp", "helo", helo)
}

// DKIM is the result for one signature (RFC 8601 §2.7.1): its d=, s=, a=, i=, and
// a prefix of its b= from SignaturePrefixes. Empty ones are left out.
func DKIM(value, d, s, a, i, b string) Result {
	return Result{Method: "dkim", Value: value}.
		With("header", "d", d).With("header", "i", i).With("header", "s", s).
		With("header", "a", a).With("header", "b", b)
}

// DMARC is the result for an author domain (RFC 9989).
func DMARC(value, from string) Result {
	return Result{Method: "dmarc", Value: value}.With("header", "from", from)
}

// IPRev is the result of the reverse lookup of the client's address (RFC 8601
// §3).
func IPRev(value, ip string) Result {
	return Result{Method: "iprev", Value: value}.With("policy", "iprev", ip)
}

// Auth is the result of SMTP AUTH for a login (RFC 8601 §2.7.4).
func Auth(value, login string) Result {
	return Result{Method: "auth", Value: value}.With("smtp", "auth", login)
}

// ARC is the result for an ARC chain: the client's address and the lowest
// instance that still verifies, both optional (RFC 8617 §10.2).
func ARC(value, remoteIP, oldestPass string) Result {
	return Result{Method: "arc", Value: value}.
		With("smtp", "remote-ip", remoteIP).With("header", "oldest-pass", oldestPass)
}

// SignaturePrefixes returns for each base64 signature value a prefix of at least
// eight characters that tells it from the others (RFC 6008 §3). Equal signatures
// stay equal.
func SignaturePrefixes(signatures []string) []string {
	out := make([]string, len(signatures))
	for i, s := range signatures {
		n := 8
		for j, other := range signatures {
			if j != i && other != s {
				n = max(n, commonPrefix(s, other)+1)
			}
		}
		out[i] = s[:min(n, len(s))]
	}
	return out
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// Append appends the whole field to dst, from its name to CRLF. Results and
// properties whose keywords are not keywords (letters, digits, inner hyphens) are
// left out; longer text than 512 octets is cut.
func (h Header) Append(dst []byte) []byte {
	w := writer{buf: append(dst, FieldName+":"...), col: len(FieldName) + 1}
	return h.append(w)
}

// AppendARC appends an ARC-Authentication-Results field of an instance, 1 to 50,
// that says the same (RFC 8617 §4.1.1).
func (h Header) AppendARC(dst []byte, instance int) []byte {
	w := writer{buf: append(dst, ARCFieldName+":"...), col: len(ARCFieldName) + 1}
	w.item("i="+strconv.Itoa(instance)+";", false)
	return h.append(w)
}

func (h Header) append(w writer) []byte {
	w.item(quoteValue(clean(h.ServerID)), false)
	written := 0
	for _, r := range h.Results[:min(len(h.Results), maxResults)] {
		if !isKeyword(r.Method) || !isKeyword(r.Value) {
			continue
		}
		w.semicolon()
		w.result(r)
		written++
	}
	if written == 0 {
		w.semicolon()
		w.item("none", false)
	}
	return append(w.buf, "\r\n"...)
}

// String returns the field as Append writes it, without the final CRLF.
func (h Header) String() string { return strings.TrimSuffix(string(h.Append(nil)), "\r\n") }

// writer writes items separated by white space and folds before one that does
// not fit.
type writer struct {
	buf []byte
	col int
}

func (w *writer) semicolon() {
	w.buf = append(w.buf, ';')
	w.col++
}

// item writes one item; fresh asks for a new line.
func (w *writer) item(s string, fresh bool) {
	if fresh || w.col+1+len(s) > lineWidth {
		w.buf = append(w.buf, "\r\n"...)
		w.col = 0
	}
	w.buf = append(append(w.buf, ' '), s...)
	w.col += 1 + len(s)
}

func (w *writer) result(r Result) {
	w.item(strings.ToLower(r.Method)+"="+strings.ToLower(r.Value), true)
	if c := clean(r.Comment); c != "" {
		w.comment(c)
	}
	if c := clean(r.Reason); c != "" {
		w.item("reason="+quoteValue(c), false)
	}
	for _, p := range r.Props[:min(len(r.Props), maxProps)] {
		if isKeyword(p.Type) && isKeyword(p.Name) {
			w.item(strings.ToLower(p.Type)+"."+strings.ToLower(p.Name)+"="+quoteProperty(clean(p.Value)), false)
		}
	}
}

// comment writes a comment, folding between its words: the only text that may be
// long.
func (w *writer) comment(s string) {
	s = "(" + escape(s, "()\\") + ")"
	for first := true; ; first = false {
		word, rest, more := strings.Cut(s, " ")
		// White space at a fold must not stand alone on a line.
		if first || word != "" && rest != "" {
			w.item(word, false)
		} else {
			w.buf = append(append(w.buf, ' '), word...)
			w.col += 1 + len(word)
		}
		if !more {
			return
		}
		s = rest
	}
}

// clean makes text safe for one field: valid UTF-8 without control characters, no
// longer than maxText.
func clean(s string) string {
	bad := func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError || r >= 0x80 && r < 0xa0 }
	if strings.ContainsFunc(s, bad) {
		s = strings.Map(func(r rune) rune {
			if bad(r) {
				return '?'
			}
			return r
		}, s)
	}
	for len(s) > maxText {
		_, n := utf8.DecodeLastRuneInString(s[:maxText+1])
		s = s[:maxText+1-n]
	}
	return s
}

// quoteValue writes value = token / quoted-string (RFC 2045 §5.1).
func quoteValue(s string) string {
	if isToken(s) {
		return s
	}
	return `"` + escape(s, `"\`) + `"`
}

// quoteProperty writes pvalue, which may also be a plain address or domain.
func quoteProperty(s string) string {
	local, domain, ok := strings.Cut(s, "@")
	if ok && isToken(domain) && (local == "" || isToken(local)) {
		return s
	}
	return quoteValue(s)
}

func escape(s, special string) string {
	if !strings.ContainsAny(s, special) {
		return s
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(special, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// isToken reports whether s can stand unquoted: ASCII without space, controls and
// the tspecials of RFC 2045 §5.1.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// isKeyword implements Keyword = Ldh-str (RFC 5321 §4.1.2), as registered methods,
// results and properties are.
func isKeyword(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if ('a' > c || c > 'z' || s[i] < 'A') && ('0' > s[i] || s[i] > '9') && s[i] != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 64 && s[len(s)-1] != '-'
}
