package smtpserver

import (
	"time"

	"posta/internal/mail"
	"posta/internal/smtp"
)

// Budget is what one connection may cost. A zero field takes the default of the
// door. Over a count, the reply is 421 and the connection is closed, save where
// the field says otherwise.
type Budget struct {
	Commands     int // commands since the last accepted message (or since the greeting)
	Errors       int // refused commands of all kinds but RCPT
	Unknown      int // verbs that nobody knows
	AuthFailures int // passwords refused with 5yz
	Recipients   int // accepted in one transaction; further ones get 452 4.5.3
	Refused      int // recipients refused with 5yz
	Messages     int // accepted; the next MAIL gets 421
	Chunks       int // BDAT commands in one transaction

	MessageBytes int64 // octets of one message; more gets 552 5.3.4
	SkipBytes    int64 // octets read for nothing after a message was refused; then closed

	// Octets of a command line without CR LF.
	Line      int
	ParamLine int // MAIL and RCPT, which carry parameters
	AuthLine  int // AUTH and the responses of its dialogue

	Command   time.Duration // for one command line to arrive
	Block     time.Duration // for the next block of message data to arrive
	Write     time.Duration // for the client to take what we write
	Handshake time.Duration // TLS and the PROXY header
	Commit    time.Duration // from the final dot to the reply
	Total     time.Duration // the whole connection
}

// defaults are the limits towards a stranger's server, with their reasons.
var defaults = Budget{
	// A client that does not know RCPTMAX may offer 1,000 recipients at once
	// (Postfix: smtpd_recipient_limit); it shall hear 452, not lose the lot.
	Commands: 1500,
	// Postfix: smtpd_hard_error_limit = 20. People who type need a few.
	Errors:  20,
	Unknown: 5,
	// Each costs a password hash; guessing is slowed by the guard besides.
	AuthFailures: 3,
	// RFC 5321 §4.5.3.1.8: at least 100.
	Recipients: 100,
	// A list with dead addresses has some; a harvester has nothing else.
	Refused: 20,
	// A relay that reuses its connection; announced as MAILMAX.
	Messages: 100,
	// 25 MiB in pieces of 8 KiB is 3,200. Tiny chunks cost a reply each.
	Chunks: 4000,

	MessageBytes: 25 << 20,
	SkipBytes:    50 << 20,

	// RFC 5321 §4.5.3.1.4: 512 with CR LF. Extensions raise it: SIZE 26,
	// 8BITMIME 17, SMTPUTF8 10, RET and ENVID 109, AUTH 500; for RCPT, NOTIFY
	// and ORCPT 529. 2,048 has room for all.
	Line:      510,
	ParamLine: 2046,
	// RFC 4954 §4: 12,288 with CR LF.
	AuthLine: 12286,

	// RFC 5321 §4.5.3.2.7: at least 5 minutes.
	Command: 5 * time.Minute,
	// RFC 5321 §4.5.3.2.5: clients get at least 3 minutes for a block; so we
	// wait no less.
	Block: 5 * time.Minute,
	Write: time.Minute,
	// A handshake is three packets.
	Handshake: 30 * time.Second,
	// RFC 5321 §4.5.3.2.6 lets clients wait 10 minutes; many wait one or two.
	Commit: 60 * time.Second,
	// 25 MiB over 64 kbit/s take 55 minutes.
	Total: 2 * time.Hour,
}

// DefaultBudget is the Budget of a door.
func DefaultBudget(d mail.Door) Budget {
	b := defaults
	switch d {
	case mail.Submission:
		b.Recipients = 1000 // a person's newsletter; rates are limited by account
		b.Commands = 2500
		b.Refused = 100 // an old address book is no attack
	case mail.LMTP, mail.Local, mail.Internal:
		// Neighbours whom we asked to send; only faults are bounded.
		b.Recipients, b.Refused = 10_000, 10_000
		b.Commands, b.Errors, b.Messages = 25_000, 1000, smtp.MaxLimit
		b.Total = 0
	}
	return b
}

// filled puts a door's defaults into the zero fields.
func (b Budget) filled(d mail.Door) Budget {
	def := DefaultBudget(d)
	for _, f := range []struct {
		have *int
		def  int
	}{
		{&b.Commands, def.Commands}, {&b.Errors, def.Errors}, {&b.Unknown, def.Unknown},
		{&b.AuthFailures, def.AuthFailures}, {&b.Recipients, def.Recipients}, {&b.Refused, def.Refused},
		{&b.Messages, def.Messages}, {&b.Chunks, def.Chunks}, {&b.Line, def.Line},
		{&b.ParamLine, def.ParamLine}, {&b.AuthLine, def.AuthLine},
	} {
		if *f.have == 0 {
			*f.have = f.def
		}
	}
	for _, f := range []struct {
		have *time.Duration
		def  time.Duration
	}{
		{&b.Command, def.Command}, {&b.Block, def.Block}, {&b.Write, def.Write},
		{&b.Handshake, def.Handshake}, {&b.Commit, def.Commit}, {&b.Total, def.Total},
	} {
		if *f.have == 0 {
			*f.have = f.def
		}
	}
	if b.MessageBytes == 0 {
		b.MessageBytes = def.MessageBytes
	}
	if b.SkipBytes == 0 {
		b.SkipBytes = def.SkipBytes
	}
	return b
}

// loadTight is the load from which strangers get the tight Budget.
const loadTight = 0.75

// tight is the Budget under load: below the RFC's patience, since the choice is
// then between some clients and none (Postfix STRESS_README: timeouts of 10 s,
// one error). Sizes and recipients stay, for they do not hold a place for long.
func (b Budget) tight() Budget {
	b.Errors = min(b.Errors, 1)
	b.Unknown = min(b.Unknown, 1)
	b.Refused = min(b.Refused, 5)
	b.Command = min(b.Command, 10*time.Second)
	b.Block = min(b.Block, 60*time.Second)
	b.Write = min(b.Write, 10*time.Second)
	b.Handshake = min(b.Handshake, 10*time.Second)
	return b
}

// spent counts what a connection has used of its Budget.
type spent struct {
	commands, errors, unknown, authFailures, refused, messages, chunks int
	skipped                                                            int64
}
