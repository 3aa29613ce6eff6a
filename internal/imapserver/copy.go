package imapserver

import (
	"context"

	"posta/internal/imap"
	"posta/internal/mailbox"
)

func (c *conn) copy(ctx context.Context, d *imap.Decoder) error {
	return c.transfer(ctx, d, false, false)
}

func (c *conn) uidCopy(ctx context.Context, d *imap.Decoder) error {
	return c.transfer(ctx, d, true, false)
}

func (c *conn) move(ctx context.Context, d *imap.Decoder) error {
	return c.transfer(ctx, d, false, true)
}

func (c *conn) uidMove(ctx context.Context, d *imap.Decoder) error {
	return c.transfer(ctx, d, true, true)
}

// transfer serves COPY and MOVE. COPYUID comes in the tagged OK of COPY, but in
// an untagged OK before the EXPUNGEs of MOVE (RFC 6851 §4.3).
func (c *conn) transfer(ctx context.Context, d *imap.Decoder, uid, move bool) error {
	set, name, err := d.Copy()
	if err != nil {
		return err
	}
	s := c.sel
	if move && s.readOnly {
		return imap.No("", "the mailbox is open read-only")
	}
	uids, err := c.resolve(set, uid)
	if err != nil {
		return err
	}
	dst, err := c.target(ctx, name)
	if err != nil || len(uids) == 0 {
		return err
	}
	run := c.srv.Store.Copy
	if move {
		run = c.srv.Store.Move
	}
	from, to, err := run(ctx, c.account, s.id, uids, dst.ID)
	if err != nil {
		if !move && len(to) > 0 { // RFC 9051 §6.4.7: the destination is as it was
			c.srv.Store.Expunge(context.WithoutCancel(ctx), c.account, dst.ID, to, false)
		}
		return err
	}
	if len(from) == 0 {
		return imap.No("EXPUNGEISSUED", "the messages are gone")
	}
	r := &imap.Reply{Status: imap.OK, Code: copyUID(dst.UIDValidity, from, to)}
	if move {
		r.Text = "moved"
		c.status("*", r)
		return nil
	}
	r.Text = "COPY completed"
	return r
}

// copyUID writes both sets in the order of the pairs, since that is what binds
// them (RFC 4315 §3).
func copyUID(validity uint32, from, to []mailbox.UID) string {
	b := appendUint([]byte("COPYUID "), uint64(validity))
	for _, list := range [][]mailbox.UID{from, to} {
		b = append(b, ' ')
		var set []imap.Range
		for _, u := range list {
			if n := len(set); n > 0 && set[n-1].Last+1 == uint32(u) {
				set[n-1].Last++
			} else {
				set = append(set, imap.Range{First: uint32(u), Last: uint32(u)})
			}
		}
		b = imap.AppendSet(b, set)
	}
	return string(b)
}
