package scan

import (
	"bytes"
	"io"
	"strings"
)

// maxText bounds a text of a scanner in a report, in octets.
const maxText = 300

// clean makes a scanner's text printable ASCII of at most maxText octets, so that
// it can stand in a reply, a trace and a log.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, s[:min(len(s), maxText)])
	return strings.TrimSpace(s)
}

func bytesReader(b []byte) io.Reader { return bytes.NewReader(b) }
