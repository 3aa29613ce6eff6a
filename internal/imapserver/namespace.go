package imapserver

import (
	"context"

	"posta/internal/imap"
)

// namespace: one personal namespace, nothing shared yet (RFC 9051 §6.3.10).
func (c *conn) namespace(_ context.Context, d *imap.Decoder) error {
	if err := d.End(); err != nil {
		return err
	}
	c.print("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n")
	return nil
}
