package smtpserver

import (
	"context"
	"io"

	"posta/internal/mail"
	"posta/internal/sasl"
	"posta/internal/smtp"
)

// Backend is what stands behind a door. It is called from many connections at
// once.
type Backend interface {
	// Open is called once for each connection, before the greeting, with what
	// is known of the client; it may fill c.Class. With a reply the connection
	// is refused and closed (554 or 421) and there is no session; the session
	// must be nil then. It may block; the client waits for the greeting.
	Open(ctx context.Context, c *mail.Client) (Session, *smtp.Reply)
}

// Session is one connection's conversation. All calls are made from the
// connection's goroutine, one after the other. A nil reply means "proceed", and
// the engine speaks the standard one; a reply of 4yz or 5yz refuses; one of 2yz
// is spoken in place of the standard one. After a reply of 421 or 521 the
// connection is closed. Pointers are valid during the call only, save the
// Envelope, which the session may keep until Commit, Abort or Reset; the engine
// changes it only by appending recipients.
type Session interface {
	// Hello is called for each HELO, EHLO and LHLO with c.HELO and c.EHLO set.
	// A refusal leaves the session ungreeted; 2yz counts as nil.
	Hello(ctx context.Context, c *mail.Client) *smtp.Reply

	// Authenticate verifies a password. With nil the client is authenticated,
	// and c.Login, c.Account and c.Class must be filled. It delays itself; the
	// engine only counts failures.
	Authenticate(ctx context.Context, c *mail.Client, a sasl.Credentials) *smtp.Reply

	// Mail begins a transaction.
	Mail(ctx context.Context, e *mail.Envelope) *smtp.Reply

	// Rcpt is asked for each recipient; the engine appends r to e.Recipients
	// when it is accepted.
	Rcpt(ctx context.Context, e *mail.Envelope, r mail.Recipient) *smtp.Reply

	// Data is called after DATA, or the first BDAT, when there is at least one
	// recipient. Exactly one of Sink and reply is nil.
	Data(ctx context.Context, e *mail.Envelope) (Sink, *smtp.Reply)

	// Notice tells of a client's misbehaviour, each kind at most once in a
	// connection.
	Notice(n Notice)

	// Delivered is called when the client is known to have read the reply to
	// the last accepted message, since it sent a command after that (RFC 1047).
	Delivered()

	// Reset ends a transaction that was begun by Mail and did not end in
	// acceptance: RSET, a new greeting, a refused message.
	Reset(ctx context.Context)

	// Close is always the last call, and is made once.
	Close(ctx context.Context, why CloseReason)
}

// Sink takes the bytes of one message: dots unstuffed, lines ended by CR LF
// unless the message is Binary. Exactly one of Commit and Abort ends it.
//
// When Write fails the engine reads the message to its end, aborts, and
// answers with the smtp.Reply that is in the error, or 451.
type Sink interface {
	io.Writer

	// Commit makes the message durable and gives the reply: one for SMTP, one
	// for each accepted recipient, in order, for LMTP (RFC 2033 §4.2). The
	// context ends 60 s after the final dot; what is not durable by then must
	// be refused with 451. With another number of replies the client reads 451.
	Commit(ctx context.Context) []smtp.Reply

	// Abort forgets the message: the client went away, the message is refused.
	Abort()
}

// Notice is a misbehaviour of the client that the engine saw.
type Notice struct {
	Kind   NoticeKind
	Detail string // what was seen, shortened; "" if there is nothing to tell
}

// NoticeKind says which misbehaviour.
type NoticeKind uint8

// The kinds of Notice.
const (
	EarlyTalker            NoticeKind = iota // bytes before the greeting (RFC 5321 §3.1)
	PipelinedBeforeReply                     // commands before a reply that had to be awaited (RFC 2920 §3.1)
	BareNewline                              // a CR or LF that stands alone (RFC 5321 §2.3.8)
	InjectionAfterStartTLS                   // cleartext behind STARTTLS (RFC 3207 §5; CVE-2011-0411)
	HTTPVerb                                 // a browser, or a request forged by a web page
	ProxyHeader                              // a PROXY header from who is not our proxy
	BadSequence                              // commands out of order
	UnknownCommand                           // a verb that nobody knows
	OverBudget                               // a limit of the Budget was reached
	AuthBeforeTLS                            // a password offered in clear
	NonASCIIBeforeSMTPUTF8                   // 8-bit octets in a command without SMTPUTF8
	numNoticeKinds         = iota
)

var noticeNames = [numNoticeKinds]string{
	"early-talker", "pipelined-before-reply", "bare-newline", "injection-after-starttls",
	"http-verb", "proxy-header", "bad-sequence", "unknown-command", "over-budget", "auth-before-tls",
	"non-ascii-before-smtputf8",
}

func (k NoticeKind) String() string { return noticeNames[k] }

// CloseReason tells a session how its connection ended.
type CloseReason struct {
	Cause CloseCause

	// Unconfirmed says that a message was accepted and it is not known whether
	// the client read our 250: nothing came after it (RFC 1047).
	Unconfirmed bool
}

// CloseCause is why a connection ended.
type CloseCause uint8

// The causes of an end.
const (
	Quit      CloseCause = iota // the client said QUIT
	Dropped                     // the client went away, or the network did
	TimedOut                    // no command, or not all of the data, in time
	Exhausted                   // the Budget was used up
	Refused                     // the session answered 421 or 521
	Abused                      // HTTP, PROXY, bare newlines: not a mail client
	ShutDown                    // Posta goes down
	Failed                      // our own fault: a panic was caught
	TLSFailed                   // the handshake failed
	numCauses = iota
)

var causeNames = [numCauses]string{
	"quit", "dropped", "timed-out", "exhausted", "refused", "abused", "shutdown", "failed", "tls-failed",
}

func (c CloseCause) String() string { return causeNames[c] }
