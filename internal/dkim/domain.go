package dkim

import (
	"strings"

	"golang.org/x/net/idna"
)

// maxName is the longest name of the DNS as text (RFC 1035 §2.3.4).
const maxName = 253

// aLabels returns the normal form of a domain name from d=, s= or i=: A-labels
// in lower case (RFC 8616 §5). It reports false for what cannot be a name in
// the DNS. It is laxer than addr.ParseDomain, for selectors may be numbers, and
// d= only has to lead to a key.
func aLabels(name []byte) (string, bool) {
	if len(name) == 0 || len(name) > 1024 {
		return "", false
	}
	s := string(name)
	for i := range len(s) {
		if s[i] >= 0x80 {
			a, err := idna.Lookup.ToASCII(s)
			if err != nil {
				return "", false
			}
			return a, validName(a)
		}
	}
	s = strings.ToLower(s)
	return s, validName(s)
}

func validName(s string) bool {
	if len(s) > maxName {
		return false
	}
	label := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
			continue
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return label > 0
}

// within reports whether name is domain or below it. Both are in normal form.
func within(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, domain) && name[len(name)-len(domain)-1] == '.'
}

// RecordName returns the DNS name of a key: selector._domainkey.domain.
func RecordName(selector, domain string) string {
	return selector + "._domainkey." + domain
}
