package imapserver

import (
	"context"

	"posta/internal/imap"
	"posta/internal/mailbox"
)

func (c *conn) expunge(ctx context.Context, d *imap.Decoder) error {
	if err := d.End(); err != nil {
		return err
	}
	return c.expungeUIDs(ctx, nil)
}

func (c *conn) uidExpunge(ctx context.Context, d *imap.Decoder) error {
	set, err := d.UIDSet()
	if err != nil {
		return err
	}
	uids, err := c.resolve(set, true)
	if err != nil {
		return err
	}
	if len(uids) == 0 {
		return nil
	}
	return c.expungeUIDs(ctx, uids)
}

// expungeUIDs removes those of the messages, nil for all, that have \Deleted.
// They are announced with all other changes when the command ends (RFC 7162
// §3.2.7 for HIGHESTMODSEQ).
func (c *conn) expungeUIDs(ctx context.Context, uids []mailbox.UID) error {
	if c.sel.readOnly {
		return imap.No("", "the mailbox is open read-only")
	}
	gone, modseq, err := c.srv.Store.Expunge(ctx, c.account, c.sel.id, uids, true)
	if err != nil {
		return err
	}
	if len(gone) == 0 || !c.condstore {
		return nil
	}
	return &imap.Reply{Status: imap.OK, Code: string(appendUint([]byte("HIGHESTMODSEQ "), uint64(modseq))), Text: "EXPUNGE completed"}
}
