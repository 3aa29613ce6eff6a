package imapserver

import (
	"context"

	"posta/internal/imap"
)

func (c *conn) logout(_ context.Context, d *imap.Decoder) error {
	if err := d.End(); err != nil {
		return err
	}
	c.status("*", &imap.Reply{Status: imap.BYE, Text: "until next time"})
	c.state, c.sel = Logout, nil
	return errBye
}
