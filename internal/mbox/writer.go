package mbox

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"time"
)

// Writer writes an mbox in the dialect mboxrd, with LF as line end, as programs of
// Unix expect it.
type Writer struct{ out *bufio.Writer }

// NewWriter writes to w; nothing is there for sure before Flush.
func NewWriter(w io.Writer) *Writer { return &Writer{bufio.NewWriterSize(w, 64<<10)} }

// Write appends a message, whose state becomes header fields below its own. Its Data
// may have CRLF or LF. A field of state that stands in the message itself is left out.
func (w *Writer) Write(m *Message) error {
	sender := m.Sender
	if sender == "" || strings.ContainsAny(sender, " \t\r\n") {
		sender = "MAILER-DAEMON"
	}
	at := m.Date
	if at.IsZero() {
		at = time.Unix(0, 0)
	}
	w.out.WriteString("From " + sender + " " + at.UTC().Format(time.ANSIC) + "\n")
	header := true // as long as state is to be written: at its end, for a line that is folded belongs to the one above
	for rest := new(Message).takeState(m.Data); len(rest) > 0; {
		end := lineEnd(rest)
		line := bytes.TrimSuffix(rest[:end], []byte("\r"))
		rest = rest[min(end+1, len(rest)):]
		if header && len(line) == 0 {
			w.state(m)
			header = false
		}
		if !header && bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
			w.out.WriteByte('>')
		}
		w.out.Write(line)
		w.out.WriteByte('\n')
	}
	if header {
		w.state(m)
	}
	return w.out.WriteByte('\n')
}

// state writes the fields that mutt, pine and Dovecot read.
func (w *Writer) state(m *Message) {
	letters := func(of string, on ...bool) string {
		var b strings.Builder
		for i, is := range on {
			if is {
				b.WriteByte(of[i])
			}
		}
		return b.String()
	}
	w.out.WriteString("Status: " + letters("RO", m.Seen, true) + "\n")
	if s := letters("AFDT", m.Answered, m.Flagged, m.Deleted, m.Draft); s != "" {
		w.out.WriteString("X-Status: " + s + "\n")
	}
	if len(m.Keywords) > 0 {
		w.out.WriteString("X-Keywords: " + strings.Join(m.Keywords, " ") + "\n")
	}
}

// Flush writes what is left, and tells the first error of writing.
func (w *Writer) Flush() error { return w.out.Flush() }
