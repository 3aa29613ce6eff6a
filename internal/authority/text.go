package authority

import (
	"strconv"
	"strings"
)

// Text puts the character-strings of a TXT record, as zone files have them (RFC 1035
// §5.1) and Records of this package too, together (RFC 6376 §3.6.2.2). What is not in quotes stands for itself.
func Text(data string) string {
	var b strings.Builder
	for quoted := false; data != ""; {
		c := data[0]
		data = data[1:]
		switch {
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
		case c == '\\' && len(data) >= 3 && isDigits(data[:3]):
			n, _ := strconv.Atoi(data[:3])
			b.WriteByte(byte(n))
			data = data[3:]
		case c == '\\' && data != "":
			b.WriteByte(data[0])
			data = data[1:]
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isDigits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}
