package imap

import "fmt"

// Status is the kind of a status response (RFC 9051 §7.1).
type Status string

// The five status responses.
const (
	OK      Status = "OK"
	NO      Status = "NO"
	BAD     Status = "BAD"
	BYE     Status = "BYE"
	PREAUTH Status = "PREAUTH"
)

// Reply is a status response: what a command ends with. It is an error so that a
// handler can return it; Code is the response code without brackets, "" for none.
type Reply struct {
	Status Status
	Code   string
	Text   string
	// Cause is what went wrong for the operator's log; it is never sent.
	Cause error
}

// Error is the reply as the client reads it, without the tag.
func (r *Reply) Error() string {
	if r.Code != "" {
		return string(r.Status) + " [" + r.Code + "] " + r.Text
	}
	return string(r.Status) + " " + r.Text
}

// Unwrap gives the cause.
func (r *Reply) Unwrap() error { return r.Cause }

// Append writes the reply behind a tag ("*" for untagged) with its CRLF. An
// octet that may not stand in resp-text (control or 8-bit) becomes "?".
func (r *Reply) Append(b []byte, tag string) []byte {
	b = append(b, tag...)
	b = append(b, ' ')
	b = append(b, r.Status...)
	b = append(b, ' ')
	if r.Code != "" {
		b = append(b, '[')
		b = appendText(b, r.Code)
		b = append(b, "] "...)
	}
	if r.Text == "" {
		b = append(b, '-') // text is at least one octet
	}
	b = appendText(b, r.Text)
	return append(b, "\r\n"...)
}

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c >= 0x7f {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}

// Bad is a reply to a command that breaks the grammar.
func Bad(format string, args ...any) *Reply {
	return &Reply{Status: BAD, Text: fmt.Sprintf(format, args...)}
}

// No is a reply to a command that cannot be done.
func No(code, text string) *Reply { return &Reply{Status: NO, Code: code, Text: text} }
