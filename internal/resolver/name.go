package resolver

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

var (
	errNameEmpty = errors.New("empty name or label")
	errNameLong  = errors.New("name longer than 253 octets")
	errLabelLong = errors.New("label longer than 63 octets")
	errNotASCII  = errors.New("name is not ASCII")
	errNotIP     = errors.New("not an IP address")
	errNotData   = errors.New("not a data type")
)

// Normalize checks a name and gives its form inside this package: lower-case, no trailing dot, the root as ".". It does not
// allocate when the name is in that form already. The error says what is wrong with the name.
func Normalize(name string) (string, error) {
	if name == "." {
		return name, nil
	}
	name = strings.TrimSuffix(name, ".")
	if len(name) > 253 {
		return "", errNameLong
	}
	label, upper := 0, false
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return "", errNameEmpty
			}
			label = 0
			continue
		case c >= 0x80:
			return "", errNotASCII
		case 'A' <= c && c <= 'Z':
			upper = true
		}
		if label++; label > 63 {
			return "", errLabelLong
		}
	}
	if label == 0 {
		return "", errNameEmpty
	}
	if upper {
		name = strings.ToLower(name)
	}
	return name, nil
}

// ReverseName is the name under which the reverse zone keeps an address: the octets backwards under in-addr.arpa (RFC 1035
// §3.5), or the nibbles backwards under ip6.arpa (RFC 3596 §2.5). An IPv4-mapped address counts as IPv4, a zone is ignored.
// The zero Addr gives "".
func ReverseName(ip netip.Addr) string {
	ip = ip.Unmap()
	var buf [80]byte
	b := buf[:0]
	switch {
	case ip.Is4():
		for _, octet := range reversed(ip.As4()) {
			b = append(strconv.AppendUint(b, uint64(octet), 10), '.')
		}
		b = append(b, "in-addr.arpa"...)
	case ip.Is6():
		const hex = "0123456789abcdef"
		a := ip.As16()
		for i := len(a) - 1; i >= 0; i-- {
			b = append(b, hex[a[i]&15], '.', hex[a[i]>>4], '.')
		}
		b = append(b, "ip6.arpa"...)
	}
	return string(b)
}

func reversed(a [4]byte) [4]byte { return [4]byte{a[3], a[2], a[1], a[0]} }

// toWire gives a normal name in the presentation form that the message packer reads: absolute, backslashes escaped.
func toWire(name string) string {
	if name == "." {
		return name
	}
	if strings.Contains(name, `\`) {
		name = strings.ReplaceAll(name, `\`, `\\`)
	}
	return name + "."
}

// fromWire gives a name that was unpacked in presentation form as names come out of this package.
func fromWire(name string) string {
	if name == "." || name == "" {
		return "."
	}
	if !strings.Contains(name, `\`) {
		return strings.ToLower(strings.TrimSuffix(name, "."))
	}
	b := make([]byte, 0, len(name))
	for i := 0; i < len(name); {
		c, n := unescape(name[i:])
		if n > 1 && c == '.' {
			b = append(b, '\\')
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
		i += n
	}
	return strings.TrimSuffix(string(b), ".")
}

// unescapeText undoes the escapes (\" \\ \DDD) that the message unpacker puts in character-strings.
func unescapeText(dst []byte, s string) []byte {
	for len(s) > 0 {
		if i := strings.IndexByte(s, '\\'); i != 0 {
			if i < 0 {
				i = len(s)
			}
			dst, s = append(dst, s[:i]...), s[i:]
			continue
		}
		c, n := unescape(s)
		dst, s = append(dst, c), s[n:]
	}
	return dst
}

// unescape reads one octet of a presentation form and says how many characters it took (1, 2 or 4).
func unescape(s string) (byte, int) {
	if s[0] != '\\' || len(s) < 2 {
		return s[0], 1
	}
	if len(s) >= 4 && isDigit(s[1]) && isDigit(s[2]) && isDigit(s[3]) {
		return (s[1]-'0')*100 + (s[2]-'0')*10 + (s[3] - '0'), 4
	}
	return s[1], 2
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
