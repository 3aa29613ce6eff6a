package imapserver

import (
	"context"

	"posta/internal/imap"
	"posta/internal/mailbox"
)

func (c *conn) statusOf(ctx context.Context, d *imap.Decoder) error {
	name, items, err := d.Status()
	if err != nil {
		return err
	}
	m, err := c.mailboxNamed(ctx, name)
	if err != nil {
		return err
	}
	return c.writeStatus(ctx, m, items)
}

// writeStatus writes the untagged STATUS of a mailbox.
func (c *conn) writeStatus(ctx context.Context, m mailbox.Mailbox, items imap.StatusItem) error {
	var deleted, storage int64
	if items&(imap.StatusDeleted|imap.StatusDeletedStorage) != 0 {
		var err error
		if deleted, storage, err = c.countDeleted(ctx, m.ID); err != nil {
			return err
		}
	}
	if items&imap.StatusHighestModSeq != 0 {
		c.condstore = true // RFC 7162 §3.1: a CONDSTORE enabling command
	}
	c.compose(func(b []byte) []byte {
		b = append(b, "* STATUS "...)
		b = imap.AppendMailbox(b, m.Name, c.utf8)
		b = append(b, " ("...)
		first := true
		for i, name := range imap.StatusNames {
			item := imap.StatusItem(1) << i
			if items&item == 0 {
				continue
			}
			if !first {
				b = append(b, ' ')
			}
			first = false
			b = append(append(b, name...), ' ')
			switch item {
			case imap.StatusMessages:
				b = appendUint(b, uint64(m.Exists))
			case imap.StatusRecent:
				b = append(b, '0')
			case imap.StatusUIDNext:
				b = appendUint(b, uint64(m.UIDNext))
			case imap.StatusUIDValidity:
				b = appendUint(b, uint64(m.UIDValidity))
			case imap.StatusUnseen:
				b = appendUint(b, uint64(m.Unseen))
			case imap.StatusDeleted:
				b = appendUint(b, uint64(deleted))
			case imap.StatusDeletedStorage:
				b = appendUint(b, uint64(storage))
			case imap.StatusSize:
				b = appendUint(b, uint64(m.Size))
			case imap.StatusHighestModSeq:
				b = appendUint(b, uint64(max(m.HighModSeq, 1)))
			case imap.StatusMailboxID:
				b = append(appendUint(append(b, "(M"...), uint64(m.ID)), ')')
			case imap.StatusAppendLimit:
				b = appendUint(b, uint64(c.limits.Message))
			}
		}
		return append(b, ")\r\n"...)
	})
	return nil
}

// countDeleted counts messages with \Deleted and their octets; the store keeps no
// such counter, so it costs a walk.
func (c *conn) countDeleted(ctx context.Context, m mailbox.ID) (n, octets int64, err error) {
	for from := mailbox.UID(1); ; {
		page, err := c.srv.Store.Fetch(ctx, c.account, m, fetchFrom(from, pageSize))
		if err != nil {
			return 0, 0, err
		}
		for i := range page {
			from = page[i].UID + 1
			if page[i].Flags&mailbox.Deleted != 0 {
				n++
				octets += page[i].Size
			}
		}
		if len(page) < pageSize || from == 0 {
			return n, octets, nil
		}
	}
}
