package smtpserver

import (
	"context"

	"posta/internal/smtp"
)

// startTLS encrypts the connection. What the client sent in clear behind the
// command is thrown away and told, and the session begins anew: nothing learnt
// in clear is kept (RFC 3207 §4.2).
func startTLS(_ context.Context, c *conn, _ []byte) {
	if c.srv.cfg.TLS() == nil {
		c.wrong(smtp.StartTLSUnavailable.Reply())
		return
	}
	if c.line.Buffered() > 0 {
		c.notice(InjectionAfterStartTLS, string(snippet(c.line.Peek())))
		c.line.Discard()
	}
	c.say(smtp.StartTLSReady.Reply())
	if err := c.line.Flush(); err != nil {
		c.ended, c.cause = true, Dropped
		return
	}
	c.endTransaction()
	c.state = connected
	c.client.HELO, c.client.EHLO = "", false
	c.handshake()
}
