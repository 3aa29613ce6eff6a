package imapserver

import (
	"context"
	"strings"

	"posta/internal/imap"
	"posta/internal/mailbox"
)

func (c *conn) rename(ctx context.Context, d *imap.Decoder) error {
	from, to, err := d.Rename()
	if err != nil {
		return err
	}
	to = strings.TrimSuffix(to, string(mailbox.Separator))
	if err := goodName(to); err != nil {
		return err
	}
	m, err := c.mailboxNamed(ctx, from)
	if err != nil {
		return err
	}
	if strings.HasPrefix(to, m.Name+string(mailbox.Separator)) && m.Name != "INBOX" {
		return imap.No("CANNOT", "a mailbox cannot be put below itself")
	}
	return c.srv.Store.RenameMailbox(ctx, c.account, m.ID, to)
}
