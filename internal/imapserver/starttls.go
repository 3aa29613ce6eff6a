package imapserver

import (
	"context"

	"posta/internal/imap"
)

func (c *conn) starttls(_ context.Context, d *imap.Decoder) error {
	if err := d.End(); err != nil {
		return err
	}
	if c.secure {
		return imap.Bad("TLS is on already")
	}
	return &imap.Reply{Status: imap.OK, Text: "begin TLS now"}
}

// handshake begins TLS behind the OK of STARTTLS. What came in clear behind the
// command is thrown away (RFC 9051 §11.3: command injection).
func (c *conn) handshake(ctx context.Context, r *imap.Reply) error {
	if r.Status != imap.OK {
		return nil
	}
	if err := c.startTLS(ctx); err != nil {
		c.log.DebugContext(ctx, "imap: TLS handshake failed", "err", err)
		return errBye // nothing can be said any more
	}
	c.bad = 0
	return nil
}
