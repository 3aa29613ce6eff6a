package message

import (
	"bytes"
)

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
