package message

import (
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
