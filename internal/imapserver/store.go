package imapserver

import (
	"context"
	"slices"

	"posta/internal/imap"
	"posta/internal/mailbox"
	"posta/internal/store"
)

func (c *conn) store(ctx context.Context, d *imap.Decoder) error { return c.storeFlags(ctx, d, false) }

func (c *conn) uidStore(ctx context.Context, d *imap.Decoder) error {
	return c.storeFlags(ctx, d, true)
}

// storeFlags serves STORE and UID STORE with UNCHANGEDSINCE (RFC 7162 §3.1.3).
func (c *conn) storeFlags(ctx context.Context, d *imap.Decoder, uid bool) error {
	args, err := d.Store()
	if err != nil {
		return err
	}
	s := c.sel
	if s.readOnly {
		return imap.No("", "the mailbox is open read-only")
	}
	op := store.FlagOp{Mode: store.FlagMode(args.Mode)}
	if op.Flags, op.Keywords, err = c.keywords(args.Flags); err != nil {
		return err
	}
	uids, err := c.resolve(args.Set, uid)
	if err != nil {
		return err
	}
	if args.Unchanged {
		c.condstore = true
	}
	var failed []mailbox.UID
	if args.Unchanged && args.UnchangedSince == 0 {
		failed, uids = uids, nil // every message has a MODSEQ above 0
	}
	for page := range slices.Chunk(uids, pageSize) {
		changed, not, err := c.srv.Store.SetFlags(ctx, c.account, s.id, page, op, mailbox.ModSeq(args.UnchangedSince))
		if err != nil {
			return err
		}
		failed = append(failed, not...)
		c.tellChanged(changed, args.Silent, uid)
		if !args.Silent {
			if err := c.tellSame(ctx, page, changed, not, uid); err != nil {
				return err
			}
		}
		if err := c.unwritten(); err != nil {
			return err
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return c.modified(failed, uid)
}

// tellChanged writes FETCH for messages that were changed; of a silent STORE only
// the MODSEQ, for who wants that (RFC 7162 §3.1.3).
func (c *conn) tellChanged(changed []mailbox.Message, silent, uid bool) {
	for i := range changed {
		m := &changed[i]
		c.sel.mine(m.ModSeq)
		switch {
		case !silent:
			c.writeFlags(m, uid || c.qresync, c.condstore)
		case c.condstore:
			c.writeModSeq(m, uid || c.qresync)
		}
	}
}

// tellSame writes FETCH for messages that had the wanted flags already.
func (c *conn) tellSame(ctx context.Context, page []mailbox.UID, changed []mailbox.Message, failed []mailbox.UID, uid bool) error {
	if len(changed)+len(failed) == len(page) {
		return nil
	}
	told := make(map[mailbox.UID]bool, len(page))
	for i := range changed {
		told[changed[i].UID] = true
	}
	for _, u := range failed {
		told[u] = true
	}
	rest := slices.DeleteFunc(slices.Clone(page), func(u mailbox.UID) bool { return told[u] })
	found, err := c.srv.Store.Fetch(ctx, c.account, c.sel.id, fetchUIDs(rest, 0))
	if err != nil {
		return err
	}
	for i := range found {
		c.writeFlags(&found[i].Message, uid || c.qresync, c.condstore)
	}
	return nil
}

func (c *conn) writeModSeq(m *mailbox.Message, uid bool) {
	seq := c.sel.uids.seq(m.UID)
	if seq == 0 {
		return
	}
	c.compose(func(b []byte) []byte {
		b = append(appendUint(append(b, "* "...), uint64(seq)), " FETCH ("...)
		if uid {
			b = append(appendUint(append(b, "UID "...), uint64(m.UID)), ' ')
		}
		return append(appendUint(append(b, "MODSEQ ("...), uint64(m.ModSeq)), "))\r\n"...)
	})
}

// modified is the reply that names what UNCHANGEDSINCE left alone.
func (c *conn) modified(failed []mailbox.UID, uid bool) error {
	slices.Sort(failed)
	var set []imap.Range
	for _, u := range failed {
		n := uint32(u)
		if !uid {
			n = c.sel.uids.seq(u)
		}
		if n != 0 {
			set = imap.Add(set, n)
		}
	}
	return &imap.Reply{Status: imap.OK, Code: "MODIFIED " + string(imap.AppendSet(nil, set)), Text: "the rest was changed"}
}

// fetchUIDs asks for messages by UID.
func fetchUIDs(uids []mailbox.UID, want store.Want) store.FetchQuery {
	if len(uids) == 0 {
		return store.FetchQuery{From: 1, To: 1, UIDs: []mailbox.UID{}, Limit: 1, Want: want}
	}
	return store.FetchQuery{From: uids[0], To: uids[len(uids)-1], UIDs: uids, Limit: len(uids), Want: want}
}

// fetchFrom asks for the next messages from a UID on.
func fetchFrom(from mailbox.UID, limit int) store.FetchQuery {
	return store.FetchQuery{From: from, Limit: limit}
}
