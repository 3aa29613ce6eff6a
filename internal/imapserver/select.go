package imapserver

import (
	"context"

	"posta/internal/imap"
	"posta/internal/mailbox"
)

func (c *conn) selectMailbox(ctx context.Context, d *imap.Decoder) error {
	return c.open(ctx, d, false)
}

func (c *conn) examine(ctx context.Context, d *imap.Decoder) error { return c.open(ctx, d, true) }

// open serves SELECT and EXAMINE. Whatever comes of it, the mailbox that was
// selected before is not any more (RFC 9051 §6.3.2).
func (c *conn) open(ctx context.Context, d *imap.Decoder, readOnly bool) error {
	args, err := d.Select()
	if err != nil {
		return err
	}
	if args.QResync != nil && !c.qresync {
		return imap.Bad("QRESYNC: it must be enabled first") // RFC 7162 §3.2.5
	}
	c.leave()
	if args.CondStore || args.QResync != nil {
		c.condstore = true
	}
	m, err := c.mailboxNamed(ctx, args.Mailbox)
	if err != nil {
		return err
	}
	uids, now, err := c.srv.Store.UIDs(ctx, c.account, m.ID)
	if err != nil {
		return err
	}
	c.sel = &selected{id: m.ID, name: m.Name, uidValidity: m.UIDValidity, readOnly: readOnly, uids: newUIDs(uids), known: now}
	c.state = Selected
	if len(uids) > 0 {
		m.UIDNext = max(m.UIDNext, uids[len(uids)-1]+1)
	}
	c.describe(m)
	if q := args.QResync; q != nil && q.UIDValidity == m.UIDValidity {
		if err := c.catchUp(ctx, q); err != nil {
			c.leave()
			return err
		}
	}
	r := &imap.Reply{Status: imap.OK, Code: "READ-WRITE", Text: "SELECT completed"}
	if readOnly {
		r.Code, r.Text = "READ-ONLY", "EXAMINE completed"
	}
	return r
}

// leave forgets the selected mailbox; a client that knows QRESYNC or IMAP4rev2 is
// told where its responses end (RFC 7162 §3.2.11).
func (c *conn) leave() {
	if c.sel != nil && (c.qresync || c.rev2) {
		c.status("*", &imap.Reply{Status: imap.OK, Code: "CLOSED", Text: "the mailbox before is closed"})
	}
	c.sel, c.state = nil, Authenticated
}

// describe writes what SELECT tells. m may be older than the UIDs: its HighModSeq
// then makes a client ask for a change it has seen already, never miss one.
func (c *conn) describe(m mailbox.Mailbox) {
	s := c.sel
	c.writeFlagsLine()
	c.compose(func(b []byte) []byte {
		b = appendCount(b, s.uids.len(), "EXISTS")
		if !c.rev2 {
			b = append(b, "* 0 RECENT\r\n"...)
		}
		if s.readOnly {
			b = append(b, "* OK [PERMANENTFLAGS ()] read-only\r\n"...)
		} else {
			b = append(b, `* OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft \*)] kept`+"\r\n"...)
		}
		b = append(appendUint(append(b, "* OK [UIDVALIDITY "...), uint64(m.UIDValidity)), "] UIDs valid\r\n"...)
		b = append(appendUint(append(b, "* OK [UIDNEXT "...), uint64(m.UIDNext)), "] next UID\r\n"...)
		b = append(appendUint(append(b, "* OK [HIGHESTMODSEQ "...), uint64(max(m.HighModSeq, 1))), "] highest\r\n"...)
		b = append(appendUint(append(b, "* OK [MAILBOXID (M"...), uint64(m.ID)), ")] id\r\n"...)
		if c.rev2 { // RFC 9051 §6.3.2: LIST is required
			b = append(b, `* LIST () "/" `...)
			b = append(imap.AppendMailbox(b, m.Name, c.utf8), "\r\n"...)
		}
		return b
	})
}
