package imapserver

import (
	"context"
	"fmt"
	"strings"

	"posta/internal/imap"
	"posta/internal/mailbox"
)

// create makes a mailbox, with a special use if one is asked for (RFC 6154 §5).
func (c *conn) create(ctx context.Context, d *imap.Decoder) error {
	name, use, err := d.Create()
	if err != nil {
		return err
	}
	name = strings.TrimSuffix(name, string(mailbox.Separator)) // "there will be mailboxes below"
	if err := goodName(name); err != nil {
		return err
	}
	role := mailbox.None
	if len(use) > 0 {
		if role = mailbox.RoleOfAttr(use[0]); role == mailbox.None || len(use) > 1 {
			return imap.No("USEATTR", "one special use of \\Archive \\Drafts \\Junk \\Sent \\Trash can be given")
		}
		all, err := c.srv.Store.ListMailboxes(ctx, c.account)
		if err != nil {
			return err
		}
		for _, m := range all {
			if m.Role == role {
				return imap.No("USEATTR", "another mailbox has that special use")
			}
		}
	}
	m, err := c.srv.Store.CreateMailbox(ctx, c.account, name, role)
	if err != nil {
		return err
	}
	return &imap.Reply{Status: imap.OK, Code: fmt.Sprintf("MAILBOXID (M%d)", m.ID), Text: "CREATE completed"}
}
