package message

import (
	"bytes"
	"strings"

	"posta/internal/message/charset"
)

// Param is one parameter of a MIME field as written: the name in lower case
// with the marks of RFC 2231 ("filename*0*"), the value without quotes.
type Param struct{ Name, Value string }

// Params are the parameters of a MIME field in order.
type Params []Param

// Get returns the value of a parameter as UTF-8: continuations joined,
// percent-encoding and charset resolved (RFC 2231 §3–4), encoded words too,
// which are not allowed here but common. "" when missing.
func (ps Params) Get(name string) string {
	for i := range ps {
		p := &ps[i]
		if p.Name == name {
			if ext := ps.extended(name); ext != "" {
				return ext
			}
			return charset.DecodeHeader(p.Value)
		}
		if len(p.Name) > len(name) && p.Name[len(name)] == '*' && p.Name[:len(name)] == name {
			if ext := ps.extended(name); ext != "" {
				return ext
			}
		}
	}
	return ""
}

// boundary returns the boundary as written: to decode it would break the match.
func (ps Params) boundary() string {
	for _, p := range ps {
		if p.Name == "boundary" {
			return p.Value
		}
	}
	return ps.extended("boundary")
}

// extended joins "name*", or "name*0", "name*0*", "name*1"… The work is
// bounded by the budget of parameters.
func (ps Params) extended(name string) string {
	var raw []byte
	label := ""
	for section := -1; section < len(ps); section++ {
		value, pct, ok := ps.section(name, section)
		if !ok {
			if section < 0 {
				continue
			}
			break
		}
		if pct && section <= 0 {
			if parts := strings.SplitN(value, "'", 3); len(parts) == 3 {
				label, value = parts[0], parts[2]
			}
		}
		if pct {
			raw = appendUnpercent(raw, value)
		} else {
			raw = append(raw, value...)
		}
		if section < 0 {
			break
		}
	}
	if raw == nil {
		return ""
	}
	return charset.ToUTF8(label, raw)
}

// section finds one piece; -1 is the piece without number. pct tells that it
// is percent-encoded.
func (ps Params) section(name string, n int) (value string, pct, ok bool) {
	for _, p := range ps {
		mark, found := strings.CutPrefix(p.Name, name)
		if !found || mark == "" || mark[0] != '*' {
			continue
		}
		digits, star := strings.CutSuffix(mark[1:], "*")
		switch {
		case n < 0 && mark == "*":
			return p.Value, true, true
		case n >= 0 && digits == itoa(n):
			return p.Value, star, true
		}
	}
	return "", false, false
}

// itoa writes a small number without allocation for those that occur.
func itoa(n int) string {
	const small = "0123456789"
	if n < 10 {
		return small[n : n+1]
	}
	return itoa(n/10) + small[n%10:n%10+1]
}

func appendUnpercent(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16 {
			dst = append(dst, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		dst = append(dst, s[i])
	}
	return dst
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// ParseContentType reads the value of a Content-Type field, folded or not.
// ok is false when there is no type/subtype; parameters are returned all the
// same. At most 64 of them are read.
func ParseContentType(value string) (mediaType, subtype string, params Params, ok bool) {
	s := mimeScanner{b: []byte(value), room: 64, text: len(value) + 1024}
	return s.contentType()
}

// ParseDisposition reads the value of a Content-Disposition field (RFC 2183).
func ParseDisposition(value string) (disposition string, params Params) {
	s := mimeScanner{b: []byte(value), room: 64, text: len(value) + 1024}
	return s.disposition()
}

// mimeScanner reads the structured MIME fields of RFC 2045 §5.1.
type mimeScanner struct {
	b    []byte
	i    int
	room int  // parameters that may still be read
	text int  // octets of text that may still be kept
	over bool // one of the two ran out
}

func (s *mimeScanner) contentType() (t, sub string, params Params, ok bool) {
	s.skipCFWS()
	t = s.keepLower(s.token())
	s.skipCFWS()
	if s.i < len(s.b) && s.b[s.i] == '/' {
		s.i++
		s.skipCFWS()
		sub = s.keepLower(s.token())
	}
	return t, sub, s.params(), t != "" && sub != ""
}

func (s *mimeScanner) disposition() (string, Params) {
	s.skipCFWS()
	d := s.keepLower(s.token())
	return d, s.params()
}

// params reads what follows the first ";".
func (s *mimeScanner) params() Params {
	var out Params
	for {
		s.skipTo(';')
		if s.i >= len(s.b) {
			return out
		}
		s.i++
		s.skipCFWS()
		name := s.token()
		s.skipCFWS()
		if len(name) == 0 || s.i >= len(s.b) || s.b[s.i] != '=' {
			continue
		}
		s.i++
		s.skipCFWS()
		value, quoted := s.value()
		if s.room <= 0 || s.text < len(name)+len(value) {
			s.over = true
			return out
		}
		s.room--
		if out == nil {
			out = make(Params, 0, 2)
		}
		p := Param{Name: s.keepLower(name)}
		if quoted {
			s.text -= len(value)
			p.Value = string(unquote(value))
		} else {
			p.Value = s.keep(value)
		}
		out = append(out, p)
	}
}

// value reads a quoted string without its quotes, or a token. An unquoted
// value with spaces runs to the ";", because file names come like that.
func (s *mimeScanner) value() (v []byte, quoted bool) {
	if s.i < len(s.b) && s.b[s.i] == '"' {
		return s.quoted(), true
	}
	start := s.i
	for s.i < len(s.b) && s.b[s.i] != ';' && s.b[s.i] != '(' && !isSpace(s.b[s.i]) {
		s.i++
	}
	end := s.i
	s.skipCFWS()
	if s.i < len(s.b) && s.b[s.i] != ';' {
		n := bytes.IndexByte(s.b[s.i:], ';')
		if n < 0 {
			n = len(s.b) - s.i
		}
		s.i += n
		return trimSpace(appendUnfolded(nil, s.b[start:s.i])), false
	}
	return s.b[start:end], false
}

// quoted reads a quoted string at i; an unclosed one runs to the end.
func (s *mimeScanner) quoted() []byte {
	s.i++
	start := s.i
	for s.i < len(s.b) && s.b[s.i] != '"' {
		if s.b[s.i] == '\\' {
			s.i++
		}
		s.i++
	}
	end := min(s.i, len(s.b))
	s.i = min(s.i+1, len(s.b))
	return s.b[start:end]
}

// unquote resolves quoted pairs and unfolds.
func unquote(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 && bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\' && i+1 < len(b):
			i++
			out = append(out, b[i])
		case c != '\r' && c != '\n':
			out = append(out, c)
		}
	}
	return out
}

// token reads what RFC 2045 §5.1 allows, and octets over 127.
func (s *mimeScanner) token() []byte {
	start := s.i
	for s.i < len(s.b) && isMIMEToken(s.b[s.i]) {
		s.i++
	}
	return s.b[start:s.i]
}

func isMIMEToken(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '@', ',', ';', ':', '\\', '"', '/', '[', ']', '?', '=', 0x7f:
		return false
	}
	return c > ' '
}

// skipTo goes to the next c outside quotes and comments, or to the end.
func (s *mimeScanner) skipTo(c byte) {
	for s.i < len(s.b) && s.b[s.i] != c {
		switch s.b[s.i] {
		case '"':
			s.quoted()
		case '(':
			s.skipComment()
		default:
			s.i++
		}
	}
}

func (s *mimeScanner) skipCFWS() {
	for s.i < len(s.b) {
		switch {
		case isSpace(s.b[s.i]):
			s.i++
		case s.b[s.i] == '(':
			s.skipComment()
		default:
			return
		}
	}
}

func (s *mimeScanner) skipComment() {
	for depth := 0; s.i < len(s.b); s.i++ {
		switch s.b[s.i] {
		case '\\':
			s.i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				s.i++
				return
			}
		}
	}
	s.i = len(s.b)
}

// keep makes a string of b within the budget of text.
func (s *mimeScanner) keep(b []byte) string {
	if c := common(b); c != "" {
		return c
	}
	if s.text < len(b) {
		s.over = true
		return ""
	}
	s.text -= len(b)
	return string(b)
}

func (s *mimeScanner) keepLower(b []byte) string {
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			return s.keep(bytes.Map(func(r rune) rune {
				if 'A' <= r && r <= 'Z' {
					return r + 'a' - 'A'
				}
				return r
			}, b))
		}
	}
	return s.keep(b)
}

// common returns the words that most parts have, without allocating.
func common(b []byte) string {
	switch string(b) {
	case "text":
		return "text"
	case "plain":
		return "plain"
	case "html":
		return "html"
	case "multipart":
		return "multipart"
	case "alternative":
		return "alternative"
	case "mixed":
		return "mixed"
	case "related":
		return "related"
	case "application":
		return "application"
	case "octet-stream":
		return "octet-stream"
	case "image":
		return "image"
	case "message":
		return "message"
	case "rfc822":
		return "rfc822"
	case "charset":
		return "charset"
	case "boundary":
		return "boundary"
	case "name":
		return "name"
	case "filename":
		return "filename"
	case "format":
		return "format"
	case "flowed":
		return "flowed"
	case "utf-8":
		return "utf-8"
	case "UTF-8":
		return "UTF-8"
	case "us-ascii":
		return "us-ascii"
	case "iso-8859-1":
		return "iso-8859-1"
	case "7bit":
		return "7bit"
	case "8bit":
		return "8bit"
	case "base64":
		return "base64"
	case "quoted-printable":
		return "quoted-printable"
	case "attachment":
		return "attachment"
	case "inline":
		return "inline"
	}
	return ""
}
