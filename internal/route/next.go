package route

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"posta/internal/addr"
)

// Next is a configured next hop.
type Next struct {
	Host     string // a name in A-labels, or an address in brackets
	Port     uint16 // 0: 25
	MX       bool   // the host's MX records say where it goes
	TLS      TLS
	Implicit bool           // TLS from the first octet
	Roots    *x509.CertPool // who vouches for the host at the level Verify; nil: the relay's
	Login    *Login
}

// ErrNext says that a next hop cannot be read.
var ErrNext = errors.New(`route: a next hop is "host", "host:port", "[host]" or "[host]:port"`)

// ParseNext reads a next hop as administrators of Postfix write it: "host" goes
// by the MX of host, "[host]" to the host itself, each with ":port" if it is not
// 25. Port 465 means TLS from the first octet (RFC 8314 §3.3). TLS level and
// login are the caller's to add.
func ParseNext(s string) (*Next, error) {
	host, port, err := cutPort(s)
	if err != nil {
		return nil, err
	}
	n := &Next{Port: port, Implicit: port == 465}
	inner, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		if inner, bracketed = strings.CutSuffix(inner, "]"); !bracketed {
			return nil, fmt.Errorf("%w, not %q", ErrNext, s)
		}
	}
	if ip, err := netip.ParseAddr(strings.TrimPrefix(inner, "IPv6:")); err == nil {
		n.Host = literalOf(ip.Unmap().WithZone(""))
		return n, nil
	}
	if inner == "localhost" { // no domain of mail, but a host that many relay to
		n.Host, n.MX = inner, !bracketed
		return n, nil
	}
	d, err := addr.ParseDomain(inner)
	if err != nil {
		return nil, fmt.Errorf("%w, not %q: %w", ErrNext, s, err)
	}
	n.Host, n.MX = string(d), !bracketed
	return n, nil
}

// literalOf writes an address as RFC 5321 §4.1.3 does.
func literalOf(ip netip.Addr) string {
	if ip.Is4() {
		return "[" + ip.String() + "]"
	}
	return "[IPv6:" + ip.String() + "]"
}

// cutPort splits "host:port"; colons inside brackets belong to an address.
func cutPort(s string) (host string, port uint16, err error) {
	at := strings.LastIndexByte(s, ':')
	if at < 0 || at < strings.LastIndexByte(s, ']') {
		return s, 0, nil
	}
	n, err := strconv.ParseUint(s[at+1:], 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%w, not %q", ErrNext, s)
	}
	return s[:at], uint16(n), nil
}
