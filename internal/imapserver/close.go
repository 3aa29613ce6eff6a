package imapserver

import (
	"context"

	"posta/internal/imap"
)

// closeMailbox removes what has \Deleted without telling, and leaves the mailbox.
func (c *conn) closeMailbox(ctx context.Context, d *imap.Decoder) error {
	if err := d.End(); err != nil {
		return err
	}
	s := c.sel
	if !s.readOnly {
		if _, _, err := c.srv.Store.Expunge(ctx, c.account, s.id, nil, true); err != nil {
			return err
		}
	}
	c.sel, c.state = nil, Authenticated
	return nil
}

func (c *conn) unselect(_ context.Context, d *imap.Decoder) error {
	if err := d.End(); err != nil {
		return err
	}
	c.sel, c.state = nil, Authenticated
	return nil
}
