package links

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// URL is where a link leads.
type URL struct {
	Scheme   string     // "http" or "https"; a URL without one has http
	UserInfo string     // what stands before "@"
	Host     string     // in lower case and, where that can be, A-labels
	Addr     netip.Addr // the host, if it is an address
	Domain   string     // the registrable domain of the host; the host itself where it has none
}

// Parse reads a URL of the web as a browser does; ok is false for others, such as
// mailto:, and for what has no host.
func Parse(s string) (u URL, ok bool) {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return -1
		case r == '\\':
			return '/'
		}
		return r
	}, strings.TrimSpace(s))
	u.Scheme = "http"
	if i := strings.IndexAny(s, ":/?#."); i > 0 && s[i] == ':' {
		switch scheme := strings.ToLower(s[:i]); {
		case scheme == "http" || scheme == "https":
			u.Scheme, s = scheme, s[i+1:]
		case !isPort(s[i+1:]): // "host:81" has no scheme
			return URL{}, false
		}
	} else if strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") {
		return URL{}, false // a path
	}
	s = strings.TrimLeft(s, "/")
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		s = s[:i]
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		u.UserInfo, s = s[:i], s[i+1:]
	}
	return u, u.host(s)
}

func isPort(s string) bool {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n > 0 && (n == len(s) || s[n] == '/' || s[n] == '?' || s[n] == '#')
}

// host reads the host with its port.
func (u *URL) host(s string) bool {
	if strings.HasPrefix(s, "[") {
		literal, _, _ := strings.Cut(s[1:], "]")
		addr, err := netip.ParseAddr(literal)
		if err != nil || addr.Zone() != "" {
			return false
		}
		u.Host, u.Addr = literal, addr.Unmap()
		return true
	}
	s, _, _ = strings.Cut(s, ":")
	s = strings.ToLower(strings.TrimRight(unpercent(s), "."))
	if s == "" || len(s) > 1000 {
		return false
	}
	if a, err := idna.ToASCII(s); err == nil {
		s = a
	}
	if strings.ContainsFunc(s, forbidden) {
		return false
	}
	u.Host = s
	if addr, ok := parseIPv4(s); ok {
		u.Addr = addr
		return true
	}
	u.Domain = s
	if d, err := publicsuffix.EffectiveTLDPlusOne(s); err == nil {
		u.Domain = d
	}
	return strings.Contains(s, ".")
}

// forbidden tells what no host may contain, also after decoding.
func forbidden(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune("#/<>?@[\\]^|%:", r)
}

// unpercent decodes %xx; a faulty one stays.
func unpercent(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// parseIPv4 reads all forms that browsers take for an address: one to four
// numbers, decimal, octal or hexadecimal, of which the last fills the rest.
func parseIPv4(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var n uint64
	for i, p := range parts {
		digits, base := baseOf(p)
		v, err := strconv.ParseUint(digits, base, 64)
		if err != nil {
			return netip.Addr{}, false
		}
		left := 4 - i
		if i < len(parts)-1 {
			left = 1
		}
		if v >= 1<<(8*left) {
			return netip.Addr{}, false
		}
		if i < len(parts)-1 {
			n |= v << (8 * (3 - i))
		} else {
			n |= v
		}
	}
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), true
}

// baseOf tells the base of a number, and cuts the mark of it.
func baseOf(s string) (digits string, base int) {
	switch {
	case strings.HasPrefix(s, "0x"):
		return s[2:], 16
	case len(s) > 1 && s[0] == '0':
		return s[1:], 8
	}
	return s, 10
}
