package zone

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxData bounds the data of a record that is read, in octets: no DNS message holds
// more, and each octet may be written as four.
const maxData = 4 * 65535

// ErrData says that data is not of its type's shape.
var ErrData = errors.New("zone: malformed record data")

// Canonical reads the data of a record as a zone file or a provider writes it and
// gives it the form of Record.Value, so that equal records have equal values. Types
// that we do not publish keep their data, its blanks made single.
func Canonical(typ, data string) (string, error) {
	if len(data) > maxData {
		return "", fmt.Errorf("%w: %s of %d octets", ErrData, typ, len(data))
	}
	if typ == "TXT" {
		return unquoteTXT(data)
	}
	words := strings.Fields(data)
	bad := func() (string, error) { return "", fmt.Errorf("%w: %s %q", ErrData, typ, data) }
	switch typ {
	case "A", "AAAA":
		ip, err := netip.ParseAddr(strings.TrimSpace(data))
		if err != nil || ip.Zone() != "" || (typ == "A") != ip.Is4() {
			return bad()
		}
		return ip.String(), nil
	case "CNAME", "PTR", "NS":
		name := hostName(strings.Join(words, " "))
		if len(words) != 1 || name == "" {
			return bad()
		}
		return name, nil
	case "MX", "SRV":
		if n := map[string]int{"MX": 2, "SRV": 4}[typ]; len(words) != n || !numbers(words[:n-1]) {
			return bad()
		}
		name := hostName(words[len(words)-1])
		if name == "" {
			return bad()
		}
		words[len(words)-1] = name
	case "TLSA":
		if len(words) < 4 || !numbers(words[:3]) {
			return bad()
		}
		words = append(words[:3], strings.ToLower(strings.Join(words[3:], "")))
	case "CAA":
		if len(words) < 3 || !numbers(words[:1]) || strings.Contains(words[1], `"`) || isDigits(words[1]) {
			return bad() // a tag is letters and digits (RFC 8659 §4.1)
		}
		_, rest, _ := strings.Cut(data, words[1])
		value, err := unquoteTXT(strings.TrimSpace(rest))
		if err != nil || len(value) > 255 {
			return bad()
		}
		return words[0] + " " + strings.ToLower(words[1]) + " " + quoteTXT(value), nil
	}
	return strings.Join(words, " "), nil
}

// hostName gives a name its form: lower case, without the final dot; "." is the root,
// "" no name at all.
func hostName(s string) string {
	if s == "." {
		return s
	}
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	if strings.HasSuffix(s, ".") {
		return ""
	}
	return s
}

// numbers tells whether all words are numbers of 16 bits.
func numbers(words []string) bool {
	for i, w := range words {
		n, err := strconv.ParseUint(w, 10, 16)
		if err != nil {
			return false
		}
		words[i] = strconv.FormatUint(n, 10)
	}
	return true
}

// unquoteTXT joins the strings of a text. Data that does not begin with a quote is
// the text itself, as providers' interfaces give it.
func unquoteTXT(data string) (string, error) {
	s := strings.TrimSpace(data)
	if !strings.HasPrefix(s, `"`) {
		return data, nil
	}
	var b strings.Builder
	for s != "" {
		if s[0] != '"' {
			return "", fmt.Errorf("%w: TXT %q", ErrData, data)
		}
		n, err := unquoteOne(&b, s[1:])
		if err != nil {
			return "", err
		}
		s = strings.TrimLeft(s[1+n:], " \t")
	}
	return b.String(), nil
}

// unquoteOne reads one string up to its closing quote and says how much that was.
func unquoteOne(b *strings.Builder, s string) (int, error) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1, nil
		case c != '\\':
			b.WriteByte(c)
		case i+3 < len(s) && isDigits(s[i+1:i+4]):
			n, err := strconv.ParseUint(s[i+1:i+4], 10, 8)
			if err != nil {
				return 0, fmt.Errorf("%w: TXT escape \\%s", ErrData, s[i+1:i+4])
			}
			b.WriteByte(byte(n))
			i += 3
		case i+1 < len(s):
			i++
			b.WriteByte(s[i])
		}
	}
	return 0, fmt.Errorf("%w: TXT without its closing quote", ErrData)
}

func isDigits(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// Same tells whether two values of a type say the same: texts that are tag lists
// (RFC 6376 §3.2, as DKIM, DMARC, TLSRPT, MTA-STS and BIMI use it) may differ in the blanks around
// their parts.
func Same(typ, a, b string) bool {
	if a == b {
		return true
	}
	return typ == "TXT" && Purpose(Record{Type: typ, Value: a}) != "" && tight(a) == tight(b)
}

// tight takes the blanks out that mean nothing in a tag list, and single blanks stay
// between words.
func tight(s string) string {
	var parts []string
	for p := range strings.SplitSeq(s, ";") {
		tag, value, ok := strings.Cut(p, "=")
		tag = strings.Join(strings.Fields(tag), " ")
		if ok {
			value = strings.Join(strings.Fields(value), " ")
			if strings.TrimSpace(tag) == "p" { // base64 may be folded
				value = strings.ReplaceAll(value, " ", "")
			}
			tag += "=" + value
		}
		if tag != "" {
			parts = append(parts, tag)
		}
	}
	return strings.Join(parts, ";")
}

// Purpose is what a record is for where one name can have only one record for it: the
// version of a text ("v=spf1"), or the type where all its records together are one
// statement about who does it. "" is a record beside which others may stand.
func Purpose(r Record) string {
	switch r.Type {
	case "A", "AAAA", "MX", "SRV", "CNAME", "PTR":
		return r.Type
	case "TXT":
		version, _, _ := strings.Cut(strings.TrimSpace(r.Value), ";")
		tag, value, ok := strings.Cut(version, "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(tag), "v") {
			return ""
		}
		first, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		for _, known := range []string{"spf1", "DKIM1", "DMARC1", "STSv1", "TLSRPTv1", "BIMI1"} {
			if strings.EqualFold(first, known) {
				return "v=" + known
			}
		}
	}
	return ""
}
