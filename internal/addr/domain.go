package addr

import (
	"strings"

	"golang.org/x/net/idna"
)

const (
	// MaxDomain is the longest domain in octets, as text without trailing
	// dot. RFC 5321 §4.5.3.1.2 says 255; the DNS carries 253 (RFC 1035 §2.3.4).
	MaxDomain = 253
	maxLabel  = 63
	// maxUDomain bounds what is given to IDNA: a U-label takes at most four
	// octets for each character it could have as an A-label.
	maxUDomain = 4 * MaxDomain
)

// Domain is a domain name in normal form: lower-case A-labels, no trailing
// dot. Two domains are the same exactly when the strings are equal. The zero
// value is no domain.
type Domain string

// ParseDomain brings a domain, in A-labels or U-labels and any case, to normal
// form. It does not allocate when s is in normal form already.
//
// Errors: ErrDomainSyntax (also for a name whose last label is a number: that
// is an IP address, not a domain), ErrDomainTooLong, ErrTrailingDot, ErrUTF8,
// ErrControl.
func ParseDomain(s string) (Domain, error) {
	upper, nonASCII := false, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 0x80:
			nonASCII = true
		case c < ' ' || c == 0x7f:
			return "", ErrControl
		case 'A' <= c && c <= 'Z':
			upper = true
		}
	}
	if nonASCII {
		if len(s) > maxUDomain {
			return "", ErrDomainTooLong
		}
		a, err := toASCII(s)
		if err != nil {
			return "", err
		}
		s = a
	} else if upper {
		if len(s) > MaxDomain+1 {
			return "", ErrDomainTooLong
		}
		s = strings.ToLower(s)
	}
	if err := checkDomain(s); err != nil {
		return "", err
	}
	return Domain(s), nil
}

func toASCII(s string) (string, error) {
	if !validUTF8(s) {
		return "", ErrUTF8
	}
	// Lookup maps case and width (UTS #46) and applies the Bidi rule.
	a, err := idna.Lookup.ToASCII(s)
	if err != nil {
		return "", ErrDomainSyntax
	}
	for i := 0; i < len(a); i++ {
		if a[i] >= 0x80 {
			return "", ErrDomainSyntax
		}
	}
	return strings.ToLower(a), nil
}

// checkDomain checks an ASCII lower-case domain label by label.
func checkDomain(s string) error {
	if s == "" {
		return ErrDomainSyntax
	}
	if s[len(s)-1] == '.' && len(s) > 1 {
		return ErrTrailingDot
	}
	if len(s) > MaxDomain {
		return ErrDomainTooLong
	}
	start, digits := 0, true
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			c := s[i]
			isDigit := '0' <= c && c <= '9'
			if !isDigit && (c < 'a' || c > 'z') && c != '-' && c != '_' {
				return ErrDomainSyntax
			}
			digits = digits && isDigit
			continue
		}
		switch n := i - start; {
		case n == 0 || s[start] == '-' || s[i-1] == '-':
			return ErrDomainSyntax
		case n > maxLabel:
			return ErrDomainTooLong
		}
		if i == len(s) && digits {
			return ErrDomainSyntax
		}
		start, digits = i+1, true
	}
	return nil
}

// IsHostname reports whether d follows RFC 1123 §2.1: letters, digits and
// hyphens only, without underscore.
func (d Domain) IsHostname() bool {
	return d != "" && strings.IndexByte(string(d), '_') < 0
}

// Labels returns the number of labels; 0 for the zero value.
func (d Domain) Labels() int {
	if d == "" {
		return 0
	}
	return 1 + strings.Count(string(d), ".")
}

// Parent returns d without its first label, "" when there is one label only.
func (d Domain) Parent() Domain {
	_, rest, _ := strings.Cut(string(d), ".")
	return Domain(rest)
}

// Within reports whether d is parent or below it.
func (d Domain) Within(parent Domain) bool {
	if parent == "" || !strings.HasSuffix(string(d), string(parent)) {
		return false
	}
	n := len(d) - len(parent)
	return n == 0 || d[n-1] == '.'
}

// Unicode returns d with U-labels, for people to read. A label that is not the
// A-label of a proper U-label stays as it is, so ParseDomain(d.Unicode()) is
// always d again.
func (d Domain) Unicode() string {
	if !strings.Contains(string(d), "xn--") {
		return string(d)
	}
	labels := strings.Split(string(d), ".")
	for i, label := range labels {
		if !strings.HasPrefix(label, "xn--") {
			continue
		}
		u, err := idna.Lookup.ToUnicode(label)
		if err != nil {
			continue
		}
		if a, err := idna.Lookup.ToASCII(u); err == nil && a == label {
			labels[i] = u
		}
	}
	u := strings.Join(labels, ".")
	// The Bidi rule looks at all labels together, so the whole is tried too.
	if back, err := ParseDomain(u); err != nil || back != d {
		return string(d)
	}
	return u
}
