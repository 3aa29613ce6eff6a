package imapserver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"posta/internal/gate"
	"posta/internal/imap"
	"posta/internal/lineio"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// conn is one client. All fields are of the connection's goroutine, save io's
// Abort; in IDLE the selected mailbox and the writing side are lent to the
// announcer.
type conn struct {
	srv    *Server
	limits *Limits
	log    *slog.Logger
	io     *gate.Conn

	secure  bool // TLS is on
	state   State
	account mailbox.AccountID

	utf8      bool // names and strings may be UTF-8: UTF8=ACCEPT or IMAP4rev2
	rev2      bool // IMAP4rev2 is enabled
	condstore bool
	qresync   bool

	sel *selected // in Selected

	wake      <-chan struct{} // of the account, from login on
	unsubsc   func()
	preCmds   int
	badLogins int
	bad       int
	tag       string // of the command that is being done
	large     bool   // the read buffer has grown
	lent      bool   // in IDLE: what is written goes to idleOut
	idleOut   []byte
	broken    error  // the first error of writing
	farewell  string // why the connection ends after the reply, "" if it does not
}

// errBye ends a connection after what was written.
var errBye = errors.New("imapserver: connection ends")

// Run implements gate.Talk: from the greeting to the last word.
func (c *conn) Run(ctx context.Context) {
	c.io.SetTimeouts(c.limits.Login, c.limits.Literal)
	c.io.SetLast(time.Now().Add(c.limits.Login))
	c.greet()
	err := c.loop(ctx)
	c.bye(err)
	if !errors.Is(err, errBye) {
		c.log.DebugContext(ctx, "imap: connection ended", "err", err)
	}
}

func (c *conn) greet() {
	c.status("*", &imap.Reply{Status: imap.OK, Code: "CAPABILITY " + c.capabilities(), Text: c.srv.Hostname + " Posta ready"})
}

// Fault implements gate.Talk.
func (c *conn) Fault() {
	c.status("*", &imap.Reply{Status: imap.BYE, Code: "SERVERBUG", Text: "internal error"})
}

// End implements gate.Talk.
func (c *conn) End(context.Context) {
	if c.unsubsc != nil {
		c.unsubsc()
	}
}

// startTLS makes the handshake and forgets what was sent in clear ahead of it.
func (c *conn) startTLS(ctx context.Context) error {
	err := c.io.StartTLS(ctx, c.limits.Login)
	c.secure = err == nil
	return err
}

// loop reads and does commands until the connection ends, and says why it did:
// the error is never nil. Its frame, and those above it, are as long as the session
// waits: a stack of 8 KiB has room for them and one of the next size costs as much
// as all the rest.
func (c *conn) loop(ctx context.Context) error {
	for {
		if err := c.command(ctx); err != nil {
			return err
		}
	}
}

// bye tells the client what ended the connection without its wish.
func (c *conn) bye(err error) {
	var bye imap.Reply
	switch {
	case errors.Is(err, lineio.ErrInterrupted):
		bye = imap.Reply{Code: "UNAVAILABLE", Text: "the server is going down"}
	case errors.Is(err, lineio.ErrFlood):
		bye = imap.Reply{Code: "TOOBIG", Text: "line too long"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		bye = imap.Reply{Text: "idle for too long"}
		if c.io.LastPassed() {
			bye.Text = "no login in time"
		}
	default:
		return
	}
	bye.Status = imap.BYE
	c.status("*", &bye)
}

// rest sends what was written and gives back buffers that grew, when the client
// has nothing more to say for now: a session that only waits must stay small.
func (c *conn) rest() error {
	if c.io.Buffered() > 0 {
		return nil
	}
	err := c.io.Flush()
	c.io.Compose(func(b []byte) []byte {
		if len(b) == 0 && cap(b) > 2048 {
			return nil
		}
		return b
	})
	if c.large {
		c.io.Use(make([]byte, restBuffer))
		c.large = false
	}
	return err
}

// line reads a command's first line.
func (c *conn) line() ([]byte, error) {
	if err := c.rest(); err != nil {
		return nil, err
	}
	c.io.SetTimeouts(c.limits.Idle, c.limits.Literal)
	line, err := c.io.ReadLine(c.budget().Bytes)
	c.io.SetTimeouts(c.limits.Literal, c.limits.Literal)
	return line, err
}

func (c *conn) budget() imap.Limits {
	if c.state == NotAuthenticated {
		return imap.BeforeLogin
	}
	return imap.AfterLogin
}

// Line is imap.Source: the line after a literal.
func (c *conn) Line(max int) ([]byte, error) {
	line, err := c.io.ReadLine(max)
	c.grew(line, err)
	return line, err
}

// grew notes that a line made the read buffer larger.
func (c *conn) grew(line []byte, err error) {
	c.large = c.large || len(line)+len("\r\n") > restBuffer || errors.Is(err, lineio.ErrTooLong)
}

// Literal is imap.Source: it asks for the octets when the client waits for that.
func (c *conn) Literal(l imap.Literal) ([]byte, error) {
	if !l.NonSync {
		c.cont("go ahead")
	}
	b := make([]byte, l.Size)
	_, err := io.ReadFull(c.io, b)
	return b, err
}

// compose lets f append to what is written. An error of writing is kept: who writes
// much asks for it with unwritten, and the connection ends when it reads next.
func (c *conn) compose(f func([]byte) []byte) {
	if c.lent {
		c.idleOut = f(c.idleOut)
		return
	}
	if err := c.io.Compose(f); err != nil && c.broken == nil {
		c.broken = lost(err)
	}
}

// unwritten is why nothing more can be written, nil as long as it can. Without it
// a client that has gone would be told all of a large mailbox.
func (c *conn) unwritten() error { return c.broken }

func (c *conn) print(s string) {
	c.compose(func(b []byte) []byte { return append(b, s...) })
}

// cont writes a continuation request and sends it.
func (c *conn) cont(text string) {
	c.print("+ " + text + "\r\n")
}

// status writes a status response.
func (c *conn) status(tag string, r *imap.Reply) {
	c.compose(func(b []byte) []byte { return r.Append(b, tag) })
}

// command reads and does one command. An error ends the connection.
func (c *conn) command(ctx context.Context) error {
	d, cmd, err := c.next(ctx)
	if cmd == nil {
		return err
	}
	err = cmd.run(c, ctx, d)
	if errors.Is(err, imap.ErrSource) {
		return err // the rest of the command could not be read
	}
	return c.end(ctx, c.tag, cmd, d, err)
}

// next reads the beginning of a command and finds who does it; nil when that was
// answered already.
func (c *conn) next(ctx context.Context) (*imap.Decoder, *command, error) {
	line, err := c.line()
	c.grew(line, err)
	if errors.Is(err, lineio.ErrTooLong) {
		return nil, nil, c.refuse(ctx, "*", imap.Bad("line longer than %d octets", c.budget().Bytes))
	}
	if err != nil {
		return nil, nil, err
	}
	if c.state == NotAuthenticated {
		if c.preCmds++; c.preCmds > c.limits.PreCommands {
			c.status("*", &imap.Reply{Status: imap.BYE, Text: "too many commands without a login"})
			return nil, nil, errBye
		}
	}
	if r := foreign(line); r != nil {
		return nil, nil, c.refuse(ctx, "*", r)
	}
	d := imap.NewDecoder(line, c, c.budget())
	d.UTF8 = c.utf8
	c.tag = d.Tag()
	d.SP("command")
	name := d.Word("command")
	if name == "UID" {
		d.SP("command")
		name += " " + d.Word("command")
	}
	if d.Err() != nil {
		tag := c.tag
		if tag == "" {
			tag = "*"
		}
		return nil, nil, c.end(ctx, tag, nil, d, d.Err())
	}
	cmd := find(name)
	switch {
	case cmd == nil:
		err = imap.Bad("command %.24q is unknown", name)
	case cmd.in&c.state == 0:
		err = imap.Bad("%s is not allowed now: the state is %s", cmd.name, c.state)
	default:
		return d, cmd, nil
	}
	return nil, nil, c.end(ctx, c.tag, nil, d, err)
}

// end announces what changed, answers a command and makes the stream ready for
// the next one.
func (c *conn) end(ctx context.Context, tag string, cmd *command, d *imap.Decoder, err error) error {
	if tail, ok := d.Tail(); ok && tail.NonSync {
		if err := c.skip(tail); err != nil {
			return err
		}
	}
	if errors.Is(err, errBye) {
		if cmd != nil && c.state == Logout {
			c.status(tag, &imap.Reply{Status: imap.OK, Text: cmd.name + " completed"})
		}
		return errBye
	}
	if errors.Is(err, errLost) {
		return err
	}
	r := c.replyFor(ctx, err)
	if r == nil {
		r = &imap.Reply{Status: imap.OK}
	}
	if c.sel != nil && cmd != nil {
		if err := c.sync(ctx, !cmd.numbered); errors.Is(err, store.ErrNotFound) {
			c.farewell = "the selected mailbox was deleted"
		} else if err != nil {
			c.log.WarnContext(ctx, "imap: changes could not be read", "err", err)
		}
		if cmd.numbered && r.Status == imap.OK && r.Code == "" && c.sel.gone.len() > 0 {
			r.Code = "EXPUNGEISSUED" // RFC 5530 §3
		}
	}
	if r.Status == imap.BAD {
		return c.refuse(ctx, tag, r)
	}
	if r.Status == imap.OK {
		c.bad = 0
		if r.Text == "" {
			r.Text = cmd.name + " completed"
		}
	}
	c.status(tag, r)
	if c.farewell != "" {
		c.status("*", &imap.Reply{Status: imap.BYE, Text: c.farewell})
		return errBye
	}
	if cmd != nil && cmd.after != nil {
		return cmd.after(c, ctx, r)
	}
	return nil
}

// refuse answers BAD and counts it.
func (c *conn) refuse(_ context.Context, tag string, r *imap.Reply) error {
	c.status(tag, r)
	if r.Status == imap.BYE {
		return errBye
	}
	if c.bad++; c.bad > c.limits.BadCommands {
		c.status("*", &imap.Reply{Status: imap.BYE, Text: "too many commands in error"})
		return errBye
	}
	return nil
}

// skip reads past non-synchronizing literals that nobody wanted, and the lines
// after them. What is over the command's budget ends the connection.
func (c *conn) skip(l imap.Literal) error {
	left := int64(c.budget().Bytes)
	for {
		if left -= l.Size; left < 0 {
			c.status("*", &imap.Reply{Status: imap.BYE, Code: "TOOBIG", Text: "literal too long"})
			return errBye
		}
		if _, err := io.CopyN(io.Discard, c.io, l.Size); err != nil {
			return err
		}
		line, err := c.io.ReadLine(int(left))
		if errors.Is(err, lineio.ErrTooLong) {
			return nil
		}
		if err != nil {
			return err
		}
		left -= int64(len(line))
		var ok bool
		if l, _, ok = imap.ParseTail(line); !ok || !l.NonSync {
			return nil
		}
	}
}
