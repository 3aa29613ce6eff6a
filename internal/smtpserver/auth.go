package smtpserver

import (
	"bytes"
	"context"
	"errors"

	"posta/internal/lineio"
	"posta/internal/sasl"
	"posta/internal/smtp"
)

// auth is the dialogue of RFC 4954 §4. Nothing that the client says in it is
// ever logged or told.
func auth(ctx context.Context, c *conn, arg []byte) {
	name, initial, _ := bytes.Cut(arg, []byte{' '})
	mechanism, ok := sasl.NewServer(string(name))
	if !ok {
		c.wrong(smtp.AuthMechanism.Reply())
		return
	}
	credentials, ok := c.askCredentials(mechanism, bytes.TrimSpace(initial))
	if !ok {
		return
	}
	r := c.session.Authenticate(ctx, &c.client, credentials)
	if r == nil || r.OK() {
		c.sayOr(r, smtp.AuthOK)
		return
	}
	c.wrong(*r)
	if !r.Permanent() {
		return
	}
	if c.used.authFailures++; c.used.authFailures >= c.budget().AuthFailures {
		c.overBudget(smtp.AuthTooMany.Reply(), "failed logins")
	}
}

// askCredentials runs the mechanism to its end; when it fails the client has
// been told.
func (c *conn) askCredentials(m sasl.Server, line []byte) (sasl.Credentials, bool) {
	var response []byte
	var err error
	if len(line) > 0 {
		response, err = sasl.Decode(line)
	}
	for {
		var challenge []byte
		var credentials sasl.Credentials
		var done bool
		if err == nil {
			challenge, credentials, done, err = m.Next(response)
		}
		switch {
		case errors.Is(err, sasl.ErrCancelled):
			c.wrong(smtp.AuthCancelled.Reply())
			return sasl.Credentials{}, false
		case err != nil:
			c.wrong(smtp.AuthSyntax.Reply())
			return sasl.Credentials{}, false
		case done:
			return credentials, true
		}
		c.say(smtp.AuthPrompt.With(string(sasl.AppendEncoded(nil, challenge))))
		line, err = c.line.ReadLine(c.budget().AuthLine)
		if err != nil && !errors.Is(err, lineio.ErrTooLong) {
			c.readFailed(err)
			return sasl.Credentials{}, false
		}
		if err == nil {
			response, err = sasl.Decode(line)
		}
	}
}
