// Package mbox reads and writes mailboxes in mbox form: messages one behind the
// other, each after a line "From sender date" (RFC 4155 and the older dialects).
//
// The dialects differ in how a line of a message that begins with "From " is kept
// apart from those: mboxo writes ">From ", mboxrd one ">" more on every such line, and
// mboxcl2 writes nothing, but tells the length in Content-Length. Reader reads all of
// them: a Content-Length that leads exactly to the next message or the end is
// believed, elsewhere one ">" is taken off. (Of mboxo a line that really began with
// ">From " loses its mark; nothing in the file says that it had one.) Writer writes
// mboxrd.
//
// Programs keep state in header fields of an mbox. Reader takes them off and gives
// what they say: Status, X-Status and X-Keywords (mutt, pine, Dovecot), X-Mozilla-Status
// and -Keys (Thunderbird).
package mbox

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// Message is one message of an mbox.
type Message struct {
	Line     int64     // of the file on which its "From " stands, from 1
	Sender   string    // as the line "From " tells it; "" if it tells none
	Date     time.Time // of that line, UTC unless it names a zone; zero if it cannot be read
	Seen     bool
	Answered bool
	Flagged  bool
	Draft    bool
	Deleted  bool
	Expunged bool // Thunderbird deleted it, and has not compacted the folder
	Folder   bool // no letter: state that a program keeps about the folder (UW IMAP)
	Keywords []string
	Data     []byte // header without the fields of state, and body; line ends as in the file
}

// fromLine reads "From sender date"; strict tells whether it is one beyond doubt:
// with a date at its end. In doubt a line of a letter is taken for a line of a letter.
func fromLine(line []byte) (sender string, at time.Time, strict bool) {
	rest, ok := strings.CutPrefix(strings.TrimRight(string(line), "\r\n"), "From ")
	if !ok {
		return "", time.Time{}, false
	}
	fields := strings.Fields(rest)
	for n := 5; n <= 7 && n <= len(fields); n++ {
		if at, ok := fromDate(fields[len(fields)-n:]); ok {
			return strings.Join(fields[:len(fields)-n], " "), at, true
		}
	}
	if len(fields) > 0 {
		sender = fields[0]
	}
	return sender, time.Time{}, false
}

// layouts of the date in a line "From ", whose blanks are one.
var layouts = []string{
	"Mon Jan 2 15:04:05 2006",
	"Mon Jan 2 15:04:05 -0700 2006",
	"Mon Jan 2 15:04:05 2006 -0700",
	"Mon Jan 2 15:04:05 MST 2006",
	"Mon Jan 2 15:04 2006",
	"Mon, 2 Jan 2006 15:04:05 -0700",
	"Mon Jan 2 15:04:05 MST 2006 -0700",
}

func fromDate(fields []string) (time.Time, bool) {
	s := strings.Join(fields, " ")
	for _, l := range layouts {
		if t, err := time.Parse(l, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// stateFields are those that programs keep state in; names in lower case.
func stateField(name string) bool {
	switch name {
	case "status", "x-status", "x-keywords", "x-uid", "x-imap", "x-imapbase", "x-mozilla-status", "x-mozilla-status2",
		"x-mozilla-keys", "content-length":
		return true
	}
	return false
}

// takeState takes the fields of state off a header and notes what they say. A field
// ends where the next line does not begin with a blank.
func (m *Message) takeState(data []byte) []byte {
	var out []byte
	dropping := false
	for rest := data; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		line := rest[:end]
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return append(out, rest...)
		}
		rest = rest[end:]
		if line[0] != ' ' && line[0] != '\t' {
			name, value, _ := bytes.Cut(line, []byte(":"))
			lower := strings.ToLower(string(bytes.TrimRight(name, " \t")))
			if dropping = stateField(lower); dropping {
				m.state(lower, strings.TrimSpace(string(value)))
			}
		}
		if !dropping {
			out = append(out, line...)
		}
	}
	return out
}

// state notes what a field says.
func (m *Message) state(name, value string) {
	has := func(letter string) bool { return strings.Contains(value, letter) }
	switch name {
	case "status":
		m.Seen = m.Seen || has("R")
	case "x-status":
		m.Answered, m.Flagged = m.Answered || has("A"), m.Flagged || has("F")
		m.Deleted, m.Draft = m.Deleted || has("D"), m.Draft || has("T")
	case "x-keywords", "x-mozilla-keys":
		m.Keywords = append(m.Keywords, strings.Fields(value)...)
	case "x-mozilla-status":
		bits, err := strconv.ParseUint(value, 16, 16)
		if err != nil {
			return
		}
		m.Seen, m.Answered = m.Seen || bits&1 != 0, m.Answered || bits&2 != 0
		m.Flagged, m.Expunged = m.Flagged || bits&4 != 0, m.Expunged || bits&8 != 0
	case "x-imap":
		m.Folder = true // UW's first message; X-IMAPbase stands in a real one
	}
}
