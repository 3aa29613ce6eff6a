package imapserver

import (
	"strconv"

	"posta/internal/mailbox"
)

func appendUint(b []byte, n uint64) []byte { return strconv.AppendUint(b, n, 10) }

// appendCount writes "* n WORD".
func appendCount(b []byte, n int, word string) []byte {
	b = append(b, "* "...)
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, ' ')
	b = append(b, word...)
	return append(b, "\r\n"...)
}

// flagNames are the system flags in the order of the bits of mailbox.Flags.
var flagNames = [...]string{`\Seen`, `\Answered`, `\Flagged`, `\Draft`, `\Deleted`}

// appendFlags writes the flags and keywords of a message in parentheses.
func appendFlags(b []byte, m *mailbox.Message) []byte {
	b = append(b, '(')
	sp := false
	for i, n := range flagNames {
		if m.Flags&(1<<i) != 0 {
			if sp {
				b = append(b, ' ')
			}
			b, sp = append(b, n...), true
		}
	}
	for _, k := range m.Keywords {
		if sp {
			b = append(b, ' ')
		}
		b, sp = append(b, k...), true
	}
	return append(b, ')')
}
