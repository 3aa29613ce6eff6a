package smtpserver

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"posta/internal/gate"
	"posta/internal/lineio"
	"posta/internal/mail"
	"posta/internal/smtp"
)

// conn is one connection; everything belongs to the goroutine that runs it.
type conn struct {
	srv  *Server
	ctx  context.Context // of Run: it ends when the connection is cut off
	gate *gate.Conn
	line *lineio.Conn // of gate
	log  *slog.Logger

	client  mail.Client
	session Session
	state   state
	used    spent
	noticed uint16 // bits of NoticeKind

	transaction

	lent  *buffers // large buffers, while message data comes
	small []byte   // the buffer that they replace

	ended bool // no further command
	cause CloseCause

	// A message was accepted, and its reply flushed after so many reads.
	unconfirmed bool
	repliedAt   uint64
}

// transaction is what MAIL begins.
type transaction struct {
	envelope *mail.Envelope
	sink     Sink // open from DATA or the first BDAT on
	unstuff  smtp.Unstuffer
	size     int64 // octets of content so far
	sinkErr  error // first error of the sink
}

func (s *Server) newConn(g *gate.Conn) *conn {
	c := &conn{srv: s, gate: g, line: g.Conn, log: g.Log, client: mail.Client{Door: s.cfg.Door}, cause: Dropped}
	if s.cfg.Who != nil {
		var err error
		if c.client, err = s.cfg.Who(g.NetConn()); err != nil {
			c.log.Warn("smtp client without credentials", "err", err)
			c.ended, c.cause = true, Refused
		}
	}
	if g.Remote.IsValid() {
		c.client.IP, c.client.Port, c.client.Local = g.Remote.Addr(), g.Remote.Port(), g.Local
	}
	if st, ok := g.TLS(); ok {
		c.client.TLS = tlsOf(st)
	}
	return c
}

// Run implements gate.Talk: from the greeting to the last reply.
func (c *conn) Run(ctx context.Context) {
	c.ctx = ctx
	b := c.budget()
	c.line.SetTimeouts(b.Command, b.Write)
	if b.Total > 0 {
		c.line.SetLast(time.Now().Add(b.Total))
	}
	if !c.ended && c.greet() {
		for !c.ended {
			c.next()
		}
	}
}

// budget is the Budget of the moment: strangers at the MX have less of it while
// the node is busy.
func (c *conn) budget() *Budget {
	s := c.srv
	if s.cfg.Load == nil || c.client.Door != mail.MX || c.client.Class >= mail.LocalNetwork ||
		s.cfg.Load() < loadTight || c.gate.Trusted {
		return &s.calm
	}
	return &s.tight
}

// greet opens the session and speaks first.
func (c *conn) greet() bool {
	wait := c.srv.cfg.GreetDelay
	if c.gate.Trusted {
		wait = 0
	}
	early := !c.srv.cfg.ImplicitTLS && c.line.Early(wait)
	session, reply := c.srv.backend.Open(c.ctx, &c.client)
	if reply != nil {
		c.end(*reply, Refused)
		return false
	}
	c.session = session
	// Looking things up took time in which the client may have spoken.
	if early || !c.srv.cfg.ImplicitTLS && c.line.Early(0) {
		c.notice(EarlyTalker, string(snippet(c.line.Peek())))
	}
	c.say(smtp.Greeting.With(c.srv.cfg.Hostname + " " + c.srv.cfg.Greeting))
	return true
}

// next reads one command and answers it.
func (c *conn) next() {
	b := c.budget()
	c.giveBack()
	c.line.SetTimeouts(b.Command, b.Write)
	line, err := c.line.ReadLine(c.longestLine(b))
	if err != nil && !errors.Is(err, lineio.ErrTooLong) {
		c.readFailed(err)
		return
	}
	c.confirm()
	if c.used.commands++; c.used.commands > b.Commands {
		c.overBudget(smtp.TooManyCommands.Reply(), "commands")
		return
	}
	if err != nil {
		c.wrong(smtp.CommandTooLong.Reply())
	} else {
		c.execute(b, line)
	}
	if c.used.errors > b.Errors || c.used.unknown > b.Unknown {
		c.overBudget(smtp.TooManyErrors.Reply(), "errors")
	}
}

// longestLine is what any verb may have; execute asks for the verb's own.
func (c *conn) longestLine(b *Budget) int {
	if c.client.Door == mail.Submission && c.secure() {
		return max(b.AuthLine, b.ParamLine)
	}
	return max(b.ParamLine, b.Line)
}

// execute finds the row of a command line and does what it says.
func (c *conn) execute(b *Budget, line []byte) {
	verb, arg := smtp.ParseCommand(line)
	row := &c.srv.table[verb]
	limit := b.Line
	switch verb {
	case smtp.MAIL, smtp.RCPT:
		limit = b.ParamLine
	case smtp.AUTH:
		limit = b.AuthLine
	}
	if c.line.Buffered() > 0 && verb != smtp.STARTTLS && verb != smtp.Unknown && !row.skip &&
		(row.last || !c.client.EHLO) {
		c.notice(PipelinedBeforeReply, verb.String())
	}
	if row.abuse {
		row.handle(c.ctx, c, arg)
		return
	}
	reply, ok := c.allowed(verb, row, arg, len(line) <= limit, line)
	switch {
	case ok:
		row.handle(c.ctx, c, arg)
	case row.skip:
		c.refuseChunk(arg, reply)
	default:
		c.wrong(reply)
	}
}

// allowed asks everything that the table knows about a command; fits says that
// the line is short enough.
func (c *conn) allowed(verb smtp.Verb, row *command, arg []byte, fits bool, line []byte) (smtp.Reply, bool) {
	switch {
	case !fits:
		return smtp.CommandTooLong.Reply(), false
	case c.line.BareLF() && c.strange():
		c.notice(BareNewline, verb.String())
		return smtp.CommandBareNewline.Reply(), false
	case hasControl(line):
		return smtp.CommandOctets.Reply(), false
	case row.noArg && len(arg) > 0:
		return smtp.ParametersUnwanted.With(verb), false
	case !row.states.has(c.state):
		c.notice(BadSequence, verb.String())
		return refusal(verb, c.state).Reply(), false
	}
	for _, n := range row.needs {
		if reply, ok := n.check(c); !ok {
			return reply, false
		}
	}
	return smtp.Reply{}, true
}

// hasControl: a NUL or a lone CR has no place in a command, even from friends.
func hasControl(line []byte) bool {
	for _, b := range line {
		if b < ' ' && b != '\t' || b == 0x7f {
			return true
		}
	}
	return false
}

// strange says that the client is nobody's friend: neither authenticated nor on
// a local network.
func (c *conn) strange() bool { return c.client.Class < mail.LocalNetwork }

func (c *conn) secure() bool { return c.client.TLS.Version != "" }

// say puts a reply into the write buffer.
func (c *conn) say(r smtp.Reply) {
	r = c.srv.linked(r)
	c.line.Compose(r.Append) // an error comes again at the next read
	if r.Closes() && !c.ended {
		c.ended, c.cause = true, Refused
	}
}

// wrong says a refusal that the client has caused by its own fault.
func (c *conn) wrong(r smtp.Reply) {
	c.used.errors++
	c.say(r)
}

// end says a last reply and closes.
func (c *conn) end(r smtp.Reply, why CloseCause) {
	c.say(r)
	c.ended, c.cause = true, why
}

func (c *conn) overBudget(r smtp.Reply, what string) {
	if c.ended {
		return
	}
	c.notice(OverBudget, what)
	c.end(r, Exhausted)
}

// readFailed ends the connection when the next line cannot be read.
func (c *conn) readFailed(err error) {
	switch {
	case errors.Is(err, lineio.ErrInterrupted):
		c.end(smtp.GoingDown.Reply(), ShutDown)
	case errors.Is(err, lineio.ErrFlood):
		c.overBudget(smtp.CommandTooLong.Reply(), "line")
	case !errors.Is(err, os.ErrDeadlineExceeded):
		c.ended, c.cause = true, Dropped
	case c.line.LastPassed():
		c.overBudget(smtp.TooLong.Reply(), "time")
	default:
		c.end(smtp.Idle.Reply(), TimedOut)
	}
}

// confirm tells the session that the client has read the last acceptance: what
// was read from the network after that reply was flushed.
func (c *conn) confirm() {
	if c.unconfirmed && c.line.Fills() > c.repliedAt {
		c.unconfirmed = false
		c.session.Delivered()
	}
}

// notice tells the session of a misbehaviour, once of each kind, so that a
// client cannot fill our books.
func (c *conn) notice(k NoticeKind, detail string) {
	if c.session == nil || c.noticed&(1<<k) != 0 {
		return
	}
	c.noticed |= 1 << k
	c.session.Notice(Notice{Kind: k, Detail: detail})
}

// snippet is the beginning of what a client sent, for a Notice.
func snippet(b []byte) []byte { return b[:min(len(b), 64)] }

// Fault implements gate.Talk: the client may try again.
func (c *conn) Fault() { c.end(smtp.InternalError.Reply(), Failed) }

// End implements gate.Talk: it ends whatever is open and tells the session.
func (c *conn) End(ctx context.Context) {
	defer c.tellEnd(ctx) // even if our own fault ends what comes first
	c.endTransaction()
}

func (c *conn) tellEnd(ctx context.Context) {
	if c.lent != nil {
		c.srv.buffers.Put(c.lent)
		c.lent = nil
	}
	c.log.DebugContext(ctx, "smtp connection ended", "cause", c.cause, "accepted", c.used.messages)
	if c.session != nil {
		why := CloseReason{Cause: c.cause, Unconfirmed: c.unconfirmed}
		c.session.Close(context.WithoutCancel(ctx), why)
	}
}

// endTransaction forgets a transaction that did not end in acceptance.
func (c *conn) endTransaction() {
	sink, open := c.sink, c.envelope != nil
	c.forget()
	if sink != nil {
		sink.Abort()
	}
	if open {
		c.session.Reset(context.WithoutCancel(c.ctx))
	}
}

// forget goes back to the state before MAIL.
func (c *conn) forget() {
	c.envelope, c.sink, c.sinkErr, c.size = nil, nil, nil, 0
	c.unstuff = smtp.Unstuffer{}
	c.used.chunks = 0
	if c.state > greeted {
		c.state = greeted
	}
}
