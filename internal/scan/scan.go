package scan

import (
	"context"
	"fmt"
	"io"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/milter"
	"posta/internal/smtp"
)

// Facts are what scanners are told beside the message. They are read only.
type Facts struct {
	Envelope *mail.Envelope
	Hostname string // ours
	Name     string // of the client, forward-confirmed; "" if it has none
	PTR      string // of the client, confirmed or not; "" if it has none
	AuthType string // SASL mechanism; "" stands for PLAIN where somebody has logged in
}

// Message is a message in two parts, as it is stored: an edited header may share
// its body with what was received.
type Message struct {
	Header []byte // with its empty line, if it has one
	Body   blob.Body
}

// Size of the whole in octets.
func (m Message) Size() int64 { return int64(len(m.Header)) + m.Body.Size() }

// Reader reads the whole from the start.
func (m Message) Reader() io.Reader {
	return io.MultiReader(bytesReader(m.Header), m.body())
}

func (m Message) body() io.Reader { return io.NewSectionReader(m.Body, 0, m.Body.Size()) }

// Scanner asks one program. Implementations are safe for use by many goroutines.
type Scanner interface {
	// Scan asks about one message, and ends early with ctx. An error means that
	// the scanner's opinion is not known; a *Failure says why.
	Scan(ctx context.Context, f *Facts, m Message, tmp TempDir) (Report, error)
	// Ping asks whether the program is there and what it is. It does not wait
	// longer than ctx.
	Ping(ctx context.Context) (version string, err error)
	// Defaults are the settings of a member that does not say otherwise.
	Defaults() Defaults
	io.Closer
}

// Defaults of a kind of scanner.
type Defaults struct {
	Kind       string // "milter", "rspamd", "clamav"
	Timeout    time.Duration
	OnFailure  Fallback
	OnTooLarge Fallback
}

// Fallback says what a failed scanner means for the message.
type Fallback uint8

// The fallbacks.
const (
	ByKind Fallback = iota // the scanner's Defaults
	Defer                  // put it off: 451
	Pass                   // go on as if the scanner were not there
)

var fallbackNames = [...]string{"default", "defer", "pass"}

func (f Fallback) String() string { return fallbackNames[f] }

// ParseFallback is the inverse of String.
func ParseFallback(s string) (Fallback, bool) {
	for i, n := range fallbackNames {
		if n == s {
			return Fallback(i), true
		}
	}
	return 0, false
}

// Cause tells why a scanner's opinion is not known.
type Cause uint8

// The causes.
const (
	NoCause   Cause = iota // it answered
	Down                   // cannot be reached, or broke off in the middle
	Slow                   // took longer than it may
	Nonsense               // said what its protocol does not know
	Refused                // said that it cannot scan: its own error
	TooLarge               // the message exceeds its limit
	Busy                   // no place became free in time
	Resting                // was not asked, after failures in a row
	Cancelled              // the caller gave up
	Local                  // a failure on our side
)

var causeNames = [...]string{"", "down", "slow", "nonsense", "refused", "too large", "busy", "resting", "cancelled", "local failure"}

func (c Cause) String() string { return causeNames[c] }

// Failure is an error with its cause.
type Failure struct {
	Cause Cause
	Err   error
}

func (f *Failure) Error() string { return f.Cause.String() + ": " + f.Err.Error() }

// Unwrap gives the error itself.
func (f *Failure) Unwrap() error { return f.Err }

func failed(c Cause, format string, args ...any) error {
	return &Failure{c, fmt.Errorf(format, args...)}
}

// Symbol is one reason of a score.
type Symbol struct {
	Name    string
	Score   float64
	Options []string
}

// Report is a scanner's opinion.
type Report struct {
	Action   mail.Action // Accept, Junk, Quarantine, Discard, Defer or Reject
	Reply    smtp.Reply  // what it wants the client told; the zero Reply leaves that to us
	Reason   string      // in its words, printable ASCII; may be ""
	Score    float64
	Required float64 // the score from which it takes a message for spam
	Symbols  []Symbol
	// Greylist: it would like to see the message again later, but has no memory of
	// its own for that. Whoever has one may greylist; Action is not Defer.
	Greylist bool

	Rcpt  []RcptReport // recipients that it refuses; Action is about the others
	Edits []milter.Edit
	body  *spool // replaces the body; nil: it stays
}

// RcptReport is the refusal of one recipient.
type RcptReport struct {
	Index  int         // in the envelope that the scanner was told of
	Action mail.Action // Defer or Reject
	Reply  smtp.Reply
}
