package pop3server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"posta/internal/gate"
	"posta/internal/lineio"
	"posta/internal/mailbox"
)

// maxLine is the longest command: 255 octets (RFC 2449 §4), with room for long
// names; what AUTH brings is longer.
const (
	maxLine = 1024
	maxAuth = 2 * 9216
)

// conn is one client. All fields are of its goroutine.
type conn struct {
	srv    *Server
	limits *Limits
	log    *slog.Logger
	io     *gate.Conn

	secure    bool
	state     State
	name      string // of USER
	account   mailbox.AccountID
	drop      drop
	preCmds   int
	badLogins int
	bad       int
}

// reply is an answer of one line. It is an error when it is negative.
type reply struct {
	code string // response code (RFC 2449 §8), "" for none
	text string
}

func (r *reply) Error() string {
	if r.code != "" {
		return "-ERR [" + r.code + "] " + r.text
	}
	return "-ERR " + r.text
}

func refuse(code, format string, args ...any) *reply {
	return &reply{code, fmt.Sprintf(format, args...)}
}

var (
	errQuit = errors.New("pop3server: connection ends")
	errLost = errors.New("pop3server: connection lost")
)

// Run implements gate.Talk: from the greeting to the last word.
func (c *conn) Run(ctx context.Context) {
	c.io.SetTimeouts(c.limits.Login, c.limits.Write)
	c.io.SetLast(time.Now().Add(c.limits.Login))
	c.ok("%s Posta ready", c.srv.Hostname)
	if err := c.loop(ctx); !errors.Is(err, errQuit) {
		c.log.DebugContext(ctx, "pop3: connection ended", "err", err)
	}
}

// Fault implements gate.Talk.
func (c *conn) Fault() { c.line("-ERR [SYS/TEMP] internal error") }

// End implements gate.Talk.
func (c *conn) End(context.Context) {}

// startTLS makes the handshake and forgets what was sent in clear ahead of it.
func (c *conn) startTLS(ctx context.Context) error {
	err := c.io.StartTLS(ctx, c.limits.Login)
	c.secure = err == nil
	return err
}

// line writes one line. Errors of writing stay in c.io and end the connection when
// it reads next.
func (c *conn) line(s string) { c.io.WriteString(s + "\r\n") }

func (c *conn) ok(format string, args ...any) { c.line("+OK " + fmt.Sprintf(format, args...)) }

// loop reads and does commands until the connection ends, and says why it did: the
// error is never nil.
func (c *conn) loop(ctx context.Context) error {
	for {
		c.io.SetTimeouts(c.limits.Idle, c.limits.Write)
		line, err := c.io.ReadLine(maxLine)
		switch {
		case errors.Is(err, lineio.ErrTooLong):
			err = c.answer(ctx, refuse("", "line longer than %d octets", maxLine))
		case errors.Is(err, lineio.ErrInterrupted):
			c.line("-ERR [SYS/TEMP] the server is going down")
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.line("-ERR idle for too long") // nothing is removed: RFC 1939 §3
		case err == nil:
			err = c.command(ctx, string(line))
		}
		if err != nil {
			return err
		}
	}
}

// command does one command. An error ends the connection.
func (c *conn) command(ctx context.Context, line string) error {
	if c.state == Authorization {
		if c.preCmds++; c.preCmds > c.limits.PreCommands {
			c.line("-ERR too many commands without a login")
			return errQuit
		}
	}
	verb, rest, _ := strings.Cut(line, " ")
	cmd := byVerb()[strings.ToUpper(verb)]
	switch {
	case cmd == nil:
		return c.answer(ctx, foreign(verb, rest))
	case cmd.in&c.state == 0:
		return c.answer(ctx, refuse("", "%s is not allowed now: the state is %s", cmd.verb, c.state))
	}
	args := strings.Fields(rest)
	if cmd.verb == "PASS" || cmd.verb == "USER" { // a password may have spaces in it
		args = []string{rest}
	}
	err := cmd.run(c, ctx, args)
	if err == nil {
		c.bad = 0
	}
	return c.answer(ctx, err)
}

// answer writes what a handler could not do; nil was answered already.
func (c *conn) answer(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, errQuit) || errors.Is(err, errLost) {
		return err
	}
	r, ok := errors.AsType[*reply](err)
	if !ok {
		c.log.WarnContext(ctx, "pop3: command not done", "err", err)
		c.line("-ERR [SYS/TEMP] not done, try again later")
		return nil
	}
	c.line(r.Error())
	if c.badLogins >= c.limits.FailedLogins {
		return errQuit
	}
	if c.bad++; c.bad > c.limits.BadCommands {
		return errQuit
	}
	return nil
}

// foreign knows the first lines of clients that speak another protocol, and tells
// their users where they are.
func foreign(verb, rest string) *reply {
	second, _, _ := strings.Cut(rest, " ")
	switch strings.ToUpper(second) {
	case "LOGIN", "CAPABILITY", "SELECT", "EXAMINE", "LOGOUT", "STARTTLS", "AUTHENTICATE", "ID", "NOOP":
		return refuse("", "this is POP3; IMAP is on port 993 with TLS and 143 with STARTTLS")
	}
	switch strings.ToUpper(verb) {
	case "EHLO", "HELO", "MAIL", "RCPT":
		return refuse("", "this is POP3; mail is submitted on port 465 with TLS and 587 with STARTTLS")
	case "GET", "POST", "HEAD":
		return refuse("", "this is POP3, not a web server")
	}
	return refuse("", "command is unknown")
}

func lost(err error) error { return fmt.Errorf("%w: %w", errLost, err) }
