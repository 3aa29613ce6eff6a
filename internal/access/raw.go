package access

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The raw form of a name is what the table holds: domains and addresses as
// text, "user@" for a local part, ".example.org" with its dot; networks as one
// of the octets below, their length in bits, and as many octets as that needs.
// Text never begins with these octets.
const (
	rawNet4     = 1 + iota
	rawNet6     // 128 bits
	rawBracket4 // [192.0.2.1]
	rawBracket6
	rawCert    // distinguished name, lower case
	rawDefault // the key "TLS_Srv:" itself
)

// kind is the shape of a name.
type kind uint8

const (
	kindHost    kind = iota
	kindBelow        // .example.org
	kindUser         // user@
	kindAddress      // user@example.org
	kindNet
	kindBracket
	kindOther
)

func kindOf(raw string) kind {
	if raw == "" {
		return kindOther
	}
	switch raw[0] {
	case rawNet4, rawNet6:
		return kindNet
	case rawBracket4, rawBracket6:
		return kindBracket
	case rawCert, rawDefault:
		return kindOther
	case '.':
		return kindBelow
	}
	switch strings.LastIndexByte(raw, '@') {
	case -1:
		return kindHost
	case len(raw) - 1:
		return kindUser
	}
	return kindAddress
}

// nameOf is the name that gives this raw form when it is parsed.
func nameOf(raw string) string {
	switch kindOf(raw) {
	case kindNet:
		return networkName(prefixOf(raw))
	case kindBracket:
		return "[" + networkName(prefixOf(raw)) + "]"
	case kindOther:
		if raw == "" {
			return ""
		}
		return raw[1:]
	}
	return raw
}

// rawPrefix gives the raw form of a network; bracketed are the names of clients
// that have none.
func rawPrefix(p netip.Prefix, bracketed bool) string {
	var b [18]byte
	return string(appendRaw(b[:0], p.Addr(), p.Bits(), bracketed))
}

// appendRaw appends the raw form of the first bits of an address.
func appendRaw(b []byte, ip netip.Addr, bits int, bracketed bool) []byte {
	first := byte(rawNet4)
	if bracketed {
		first = rawBracket4
	}
	n := (bits + 7) / 8
	start := len(b) + 2
	if ip.Is4() {
		a := ip.As4()
		b = append(append(b, first, byte(bits)), a[:n]...)
	} else {
		a := ip.As16()
		b = append(append(b, first+1, byte(bits)), a[:n]...)
	}
	if rest := bits % 8; rest != 0 {
		b[start+n-1] &= 0xff << (8 - rest)
	}
	return b
}

func prefixOf(raw string) netip.Prefix {
	if first := raw[0]; first == rawNet4 || first == rawBracket4 {
		var a [4]byte
		copy(a[:], raw[2:])
		return netip.PrefixFrom(netip.AddrFrom4(a), int(raw[1]))
	}
	var a [16]byte
	copy(a[:], raw[2:])
	return netip.PrefixFrom(netip.AddrFrom16(a), int(raw[1]))
}

// networkName writes a network in sendmail's form where it has one.
func networkName(p netip.Prefix) string {
	bits := p.Bits()
	switch {
	case bits == 0 || p.Addr().Is4() && bits%8 != 0 || !p.Addr().Is4() && bits%16 != 0:
		return p.String()
	case p.Addr().Is4():
		a := p.Addr().As4()
		parts := make([]string, bits/8)
		for i := range parts {
			parts[i] = strconv.Itoa(int(a[i]))
		}
		return strings.Join(parts, ".")
	}
	a := p.Addr().As16()
	parts := make([]string, bits/16)
	for i := range parts {
		parts[i] = strconv.FormatUint(uint64(a[2*i])<<8|uint64(a[2*i+1]), 16)
	}
	return "IPv6:" + strings.Join(parts, ":")
}

// parseNetwork reads an address, a network by its octets or groups, or CIDR; ok
// tells whether s is meant as one.
func parseNetwork(s string) (p netip.Prefix, ok bool, err error) {
	rest, six := s, false
	if len(s) > 5 && strings.EqualFold(s[:5], "IPv6:") {
		rest, six = s[5:], true
	}
	host, length, cidr := strings.Cut(rest, "/")
	switch {
	case six || strings.IndexByte(host, ':') >= 0:
		p, err = parseSix(host, cidr)
	case host != "" && strings.Trim(host, "0123456789.") == "":
		p, err = parseFour(host, cidr)
	case cidr:
		return netip.Prefix{}, false, fmt.Errorf("%q is no network", s)
	default:
		return netip.Prefix{}, false, nil
	}
	if err != nil || !cidr {
		return p, err == nil, err
	}
	bits, err := strconv.Atoi(length)
	if err != nil || bits < 0 || bits > p.Addr().BitLen() {
		return netip.Prefix{}, false, fmt.Errorf("/%s is no length of a network", length)
	}
	whole := netip.PrefixFrom(p.Addr(), bits)
	if whole.Masked() != whole {
		return netip.Prefix{}, false, fmt.Errorf("%s has bits beyond its length; write %s", s, whole.Masked())
	}
	return whole, true, nil
}

// parseFour reads one to four octets.
func parseFour(s string, cidr bool) (netip.Prefix, error) {
	var a [4]byte
	parts := strings.Split(s, ".")
	if parts[len(parts)-1] == "" {
		return netip.Prefix{}, fmt.Errorf("write the network %q without the dot at the end", strings.TrimRight(s, "."))
	}
	if len(parts) > 4 {
		return netip.Prefix{}, fmt.Errorf("%q has more than four octets", s)
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("%q is no octet of an address", part)
		}
		a[i] = byte(n)
	}
	bits := 8 * len(parts)
	if cidr {
		bits = 32
	}
	return netip.PrefixFrom(netip.AddrFrom4(a), bits), nil
}

// parseSix reads a whole address, or the first groups of one.
func parseSix(s string, cidr bool) (netip.Prefix, error) {
	groups := strings.Split(s, ":")
	if strings.Contains(s, "::") || len(groups) == 8 || cidr || strings.IndexByte(s, '.') >= 0 {
		if strings.HasSuffix(s, "::") && !cidr {
			return netip.Prefix{}, fmt.Errorf("is %q an address or a network? Write %s:0 or the length, as in %s/32", s, s[:len(s)-1], s)
		}
		ip, err := netip.ParseAddr(s)
		switch {
		case err != nil || !ip.Is6() || ip.Zone() != "":
			return netip.Prefix{}, fmt.Errorf("%q is no IPv6 address", s)
		case ip.Is4In6():
			return netip.Prefix{}, fmt.Errorf("write %s: a client with an IPv4-mapped address counts as IPv4", ip.Unmap())
		}
		return netip.PrefixFrom(ip, 128), nil
	}
	if len(groups) > 8 {
		return netip.Prefix{}, errors.New("an IPv6 address has eight groups")
	}
	var a [16]byte
	for i, g := range groups {
		if !isGroup(g) {
			return netip.Prefix{}, fmt.Errorf("%q is no group of an IPv6 address", g)
		}
		n, _ := strconv.ParseUint(g, 16, 16) // isGroup
		a[2*i], a[2*i+1] = byte(n>>8), byte(n)
	}
	return netip.PrefixFrom(netip.AddrFrom16(a), 16*len(groups)), nil
}
