package edit

import (
	"strings"
	"unicode/utf8"

	"posta/internal/addr"
	"posta/internal/message"
	"posta/internal/message/charset"
)

// maxWord is how many octets without white space a value may have: RFC 5322 §2.1.1
// ends a line at 998, and folding needs white space.
const maxWord = 900

// AppendText appends a header field with a value in UTF-8. Text in ASCII stays as it
// is, encoded words in it too; anything else becomes encoded words (RFC 2047), in a
// field of addresses those of the display names. Lines are folded at 78 octets where
// white space allows it (RFC 5322 §2.2.3). A line break in the value is folding when
// white space follows it, and a space otherwise; other controls are encoded.
func AppendText(dst []byte, name, text string) []byte {
	text = strings.TrimSpace(unfold(text))
	if !travels(text) {
		text = encode(name, text)
	}
	return message.AppendField(dst, name, text)
}

// unfold removes the line breaks of folded text.
func unfold(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	var b strings.Builder
	for line := range strings.Lines(s) {
		line = strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\r", " ")
		if b.Len() > 0 && line != "" && line[0] != ' ' && line[0] != '\t' {
			b.WriteByte(' ')
		}
		b.WriteString(line)
	}
	return b.String()
}

// travels reports whether a value is printable ASCII that can be folded.
func travels(s string) bool {
	run := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ' || c == '\t':
			run = 0
		case c < ' ' || c > '~':
			return false
		default:
			if run++; run > maxWord {
				return false
			}
		}
	}
	return true
}

func encode(name, text string) string {
	if holdsAddresses(name) && utf8.ValidString(text) {
		if value, ok := encodeAddresses(text); ok {
			return value
		}
	}
	return charset.EncodeHeader(text)
}

// encodeAddresses writes a list of addresses anew with encoded display names. It
// reports false for a list that it does not understand whole: to encode that is better
// than to lose something of it.
func encodeAddresses(text string) (string, bool) {
	entries, err := addr.ParseList(text, 0)
	if err != nil || len(entries) == 0 {
		return "", false
	}
	var b strings.Builder
	first := true // of the list or group: no comma before it
	for _, e := range entries {
		if e.Kind == addr.EntryGroupEnd {
			b.WriteByte(';')
			first = false
			continue
		}
		if !first {
			b.WriteString(", ")
		}
		if first = e.Kind == addr.EntryGroupStart; first {
			b.WriteString(charset.EncodePhrase(e.DisplayName()) + ": ")
			continue
		}
		a, err := e.Address()
		if err != nil || e.Route != "" {
			return "", false
		}
		b.WriteString(addr.FormatMailbox(e.DisplayName(), a))
	}
	// What is beyond ASCII now is in an address itself, which RFC 6532 lets stand.
	return b.String(), true
}
