package imap

// Classes of octets (RFC 9051 §9).
const (
	atomChar    uint8 = 1 << iota // ATOM-CHAR
	astringChar                   // ATOM-CHAR / "]"
	listChar                      // ATOM-CHAR / list-wildcards / "]"
	tagChar                       // ASTRING-CHAR without "+"
	digit
	itemChar // a letter, digit, "." or "-": the words of FETCH
)

var classes = func() (t [256]uint8) {
	for i := 1; i < 0x80; i++ {
		c := byte(i)
		if c >= '0' && c <= '9' {
			t[i] |= digit
		}
		if c < ' ' || c == 0x7f {
			continue
		}
		if c == '.' || c == '-' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
			t[i] |= itemChar
		}
		switch c {
		case '(', ')', '{', ' ', '"', '\\':
		case '%', '*':
			t[i] |= listChar
		case ']':
			t[i] |= astringChar | listChar | tagChar
		case '+':
			t[i] |= atomChar | astringChar | listChar
		default:
			t[i] |= atomChar | astringChar | listChar | tagChar
		}
	}
	return t
}()

// IsAtom reports whether a text can be written as an atom.
func IsAtom(s string) bool {
	for i := range len(s) {
		if classes[s[i]]&atomChar == 0 {
			return false
		}
	}
	return s != ""
}
