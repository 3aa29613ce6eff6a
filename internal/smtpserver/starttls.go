package smtpserver

import (
	"context"
	"crypto/tls"
	"time"

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

// handshake begins TLS on the connection as it is.
func (c *conn) handshake() bool {
	cfg := c.srv.cfg.TLS()
	if cfg == nil {
		c.ended, c.cause = true, TLSFailed
		return false
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.budget().Handshake)
	defer cancel()
	tc := tls.Server(c.raw, cfg)
	c.raw.SetDeadline(time.Time{})
	if err := tc.HandshakeContext(ctx); err != nil {
		c.log.InfoContext(c.ctx, "smtp TLS handshake failed", "ip", c.client.IP, "err", err)
		c.ended, c.cause = true, TLSFailed
		return false
	}
	if _, err := c.line.Upgrade(tc); err != nil {
		c.ended, c.cause = true, Dropped
		return false
	}
	st := tc.ConnectionState()
	c.client.TLS = mail.TLS{Version: tlsName(st.Version), Cipher: tls.CipherSuiteName(st.CipherSuite), Name: st.ServerName}
	return true
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
