package sieve

import (
	"errors"
	"io"
	"slices"
	"time"

	"posta/internal/message"
)

// Body is the stored octets of a message.
type Body interface {
	io.ReaderAt
	Size() int64
}

// Message is what a script judges: Header, then the octets of Body from Skip on. Tree
// describes exactly that (offsets count from the first octet of Header).
type Message struct {
	Header []byte // CRLF lines that stand above what is stored, and in place of its first Skip octets
	Skip   int64
	Body   Body
	Tree   *message.Part
}

// Env is what a script may ask for. The zero value of each field says that it is not
// known; a test of it is false then.
type Env struct {
	From   string            // reverse-path, "" is the null one
	To     string            // forward-path as it was given, with +detail
	Auth   string            // who submitted it, "" if nobody logged in
	Owner  string            // address of the script's owner
	Own    []string          // all addresses of the owner (vacation: RFC 5230 §4.5)
	Now    time.Time         // in the owner's zone
	Items  map[string]string // of "environment", RFC 5183: name, location, phase, remote-host, remote-ip, imap.*
	Spam   Score             // RFC 5235
	Virus  int               // 0 not tested, 1 clean … 5 certain, RFC 5235 §4
	Before []string          // flags and keywords that the message has (imapsieve)

	Mailboxes Mailboxes
	Seen      func(id string) bool                                              // of "duplicate", RFC 7352: was id noted for this owner within its time
	Lists     func(list string) bool                                            // extlists, RFC 6134 §2.7: is there such a list
	Listed    func(list, value string) (bool, error)                            // extlists: is value on the list
	Include   func(location, name string) (*Script, error)                      // RFC 6609; nil result: no such script
	Filter    func(program string, args []string, m *Message) (*Message, error) // vnd.posta.filter: the message that stands in m's place; an error means later, see ErrTryLater

	Trace bool // fill Result.Trace
}

// Score is what the content filter said of a message.
type Score struct {
	Known   bool
	Percent int // 0 surely wanted … 100 surely not
}

// Mailboxes answers about the owner's mailboxes. Names are as in IMAP, parted by "/".
type Mailboxes interface {
	Exists(name string) bool
	ByID(id string) (name string, ok bool)               // RFC 9042
	SpecialUse(use string) (name string, ok bool)        // RFC 8579: "\\Junk"
	Metadata(name, entry string) (value string, ok bool) // RFC 5490; name "" is the server's
}

// Kind of an Action.
type Kind uint8

// The kinds of action.
const (
	Keep     Kind = iota // into the inbox
	FileInto             // into Mailbox
	Redirect             // to Address
	Discard
	Reject // refuse with Text: at SMTP if it still can be (RFC 5429)
	EReject
	Vacation
	Notify
)

// Action is one thing that a script wants done. Which fields a kind uses stands with it.
type Action struct {
	Kind                           Kind
	Flags                          []string // Keep, FileInto: flags and keywords, RFC 5232
	Mailbox, MailboxID, SpecialUse string   // FileInto
	Create                         bool     // FileInto: make it if it is missing
	Address                        string   // Redirect
	List                           string   // Redirect, extlists: the list in place of Address
	Copy                           bool     // Redirect, FileInto: the implicit keep stayed
	Text                           string   // Reject, EReject: what the sender is told; any octets, as encoded-character can make them
	Reply                          *Reply   // Vacation
	Notice                         *Notice  // Notify
	Edited                         *Message // of Keep, FileInto, Redirect: the message as edited when the action was taken; nil: as it came
}

// Reply is what vacation (RFC 5230, 6131) wants answered. The caller applies RFC 3834
// and remembers whom it answered by Handle. Without Subject or From the caller chooses
// them (RFC 5230 §4.3, §5.1).
type Reply struct {
	Handle        string // what makes two replies the same
	Seconds       int64  // not again to the same sender within; 0: each time (RFC 6131)
	Subject, From string
	Own           []string // :addresses
	MIME          bool     // Text is a whole MIME entity
	Text          string
	Fcc           *Action // FileInto for a copy, RFC 8580; nil: none
}

// Notice is what notify (RFC 5435) wants told. Method is a mailto URI that ParseMailto
// reads; Importance is "1" (high), "2" or "3".
type Notice struct {
	Method, From, Importance, Message string
	Options                           []string
	Fcc                               *Action
}

// Result of a run.
type Result struct {
	Actions []Action
	Note    []Note   // ids of "duplicate" to be remembered, once the actions are done
	Steps   int      // of the budget that were used
	Err     error    // *RunError: the actions then are those taken before, and the implicit keep; see ErrTryLater
	Trace   []string // what was tested and done, a line each; only if it was asked for
}

// Note is an id to be remembered for a time.
type Note struct {
	ID      string
	Seconds int64
}

// Script is a compiled script; it does not change and may be run by many at once.
type Script struct {
	source   string
	limits   Limits
	requires []string // capabilities, in the order in which they were asked for
	body     []*call
}

// Source is the text that was compiled.
func (s *Script) Source() string { return s.source }

// Requires lists the capabilities that the script asked for, in their order.
func (s *Script) Requires() []string { return slices.Clone(s.requires) }

// Size returns the octets of the message.
func (m *Message) Size() int64 {
	return int64(len(m.Header)) + max(0, m.Body.Size()-m.Skip)
}

// ReadAt reads the message as one: Header, then Body from Skip on.
func (m *Message) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("sieve: negative offset")
	}
	h, n := int64(len(m.Header)), 0
	if off < h {
		n = copy(p, m.Header[off:])
		if n == len(p) {
			return n, nil
		}
		off = h
	}
	k, err := m.Body.ReadAt(p[n:], off-h+m.Skip)
	return n + k, err
}
