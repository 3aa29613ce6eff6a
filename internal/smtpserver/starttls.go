package smtpserver

import (
	"context"
	"crypto/tls"

	"posta/internal/mail"
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
	}
	c.say(smtp.StartTLSReady.Reply())
	c.endTransaction()
	c.state = connected
	c.client.HELO, c.client.EHLO = "", false
	c.handshake()
}

// handshake begins TLS behind our 220.
func (c *conn) handshake() {
	if err := c.gate.StartTLS(c.ctx, c.budget().Handshake); err != nil {
		c.log.InfoContext(c.ctx, "smtp TLS handshake failed", "err", err)
		c.ended, c.cause = true, TLSFailed
		return
	}
	if st, ok := c.gate.TLS(); ok {
		c.client.TLS = tlsOf(st)
	}
}

func tlsOf(st tls.ConnectionState) mail.TLS {
	return mail.TLS{Version: tlsName(st.Version), Cipher: tls.CipherSuiteName(st.CipherSuite), Name: st.ServerName}
}

// tlsName is "TLS1.3", as Received fields have it.
func tlsName(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "TLS1.2"
	case tls.VersionTLS13:
		return "TLS1.3"
	}
	return tls.VersionName(v)
}
