package imapserver

import (
	"context"
	"errors"

	"posta/internal/imap"
	"posta/internal/store"
)

func (c *conn) delete(ctx context.Context, d *imap.Decoder) error {
	name, err := d.OneMailbox()
	if err != nil {
		return err
	}
	m, err := c.mailboxNamed(ctx, name)
	if err != nil {
		return err
	}
	switch err := c.srv.Store.DeleteMailbox(ctx, c.account, m.ID); {
	case errors.Is(err, store.ErrConflict) && m.Name == "INBOX":
		return imap.No("CANNOT", "INBOX cannot be deleted")
	case errors.Is(err, store.ErrConflict):
		return imap.No("HASCHILDREN", "there are mailboxes below; delete those first")
	case err != nil:
		return err
	}
	if c.sel != nil && c.sel.id == m.ID {
		c.leave()
	}
	return nil
}
