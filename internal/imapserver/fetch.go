package imapserver

import (
	"context"
	"errors"
	"slices"

	"posta/internal/imap"
	"posta/internal/mailbox"
	"posta/internal/store"
)

func (c *conn) fetch(ctx context.Context, d *imap.Decoder) error { return c.fetchItems(ctx, d, false) }

func (c *conn) uidFetch(ctx context.Context, d *imap.Decoder) error {
	return c.fetchItems(ctx, d, true)
}

// fetchItems serves FETCH and UID FETCH with CHANGEDSINCE and VANISHED
// (RFC 7162 §3.1.4, §3.2.6). Messages come from the store in pages; each page is
// written before the next is read.
func (c *conn) fetchItems(ctx context.Context, d *imap.Decoder, uid bool) error {
	args, err := d.Fetch()
	if err != nil {
		return err
	}
	if args.Vanished && (!uid || !c.qresync) {
		return imap.Bad("VANISHED: only in UID FETCH, with QRESYNC enabled")
	}
	uids, err := c.resolve(args.Set, uid)
	if err != nil {
		return err
	}
	plan := planFetch(args, uid)
	if plan.modseq {
		c.condstore = true
	}
	if args.ChangedSince > 0 {
		if uids, err = c.changedSince(ctx, args, uids); err != nil {
			return err
		}
	}
	var failed error // of a message; the others are told all the same
	for page := range slices.Chunk(uids, plan.page) {
		err := c.fetchPage(ctx, plan, page, &failed)
		if err == nil {
			err = c.unwritten()
		}
		if err != nil {
			return err
		}
	}
	return failed
}

// changedSince narrows UIDs to those that changed, and tells what vanished.
func (c *conn) changedSince(ctx context.Context, args imap.Fetch, uids []mailbox.UID) ([]mailbox.UID, error) {
	within := args.Set.Resolve(uint32(c.sel.uids.last()))
	if !args.Vanished {
		within = nil
		for _, u := range uids {
			within = imap.Add(within, uint32(u))
		}
	}
	changed, gone, err := c.since(ctx, mailbox.ModSeq(args.ChangedSince), within)
	if err != nil {
		return nil, err
	}
	if args.Vanished {
		c.writeVanished(gone, true)
	}
	return changed, nil
}

// fetchPlan is what a FETCH needs, worked out once.
type fetchPlan struct {
	items  []imap.Item
	want   store.Want
	modseq bool // MODSEQ is among the items
	flags  bool // FLAGS is
	uid    bool // UID is
	seen   bool // the messages become \Seen
	page   int
}

func planFetch(args imap.Fetch, uid bool) fetchPlan {
	p := fetchPlan{items: args.Items, page: pageSize}
	for _, it := range args.Items {
		switch it.Attr {
		case imap.AttrUID:
			p.uid = true
		case imap.AttrFlags:
			p.flags = true
		case imap.AttrModSeq:
			p.modseq = true
		case imap.AttrEnvelope:
			p.want |= store.WantEnvelope
		case imap.AttrBodyStructure, imap.AttrBodyPlain:
			p.want |= store.WantStructure
		case imap.AttrPreview:
			p.want |= store.WantPreview
		case imap.AttrBody, imap.AttrBinary, imap.AttrBinarySize, imap.AttrRFC822, imap.AttrRFC822Header, imap.AttrRFC822Text:
			p.want |= store.WantBytes
			if whole := it.Section.Part == nil && it.Section.Text == imap.TextAll; !whole || it.Attr == imap.AttrRFC822Header || it.Attr == imap.AttrRFC822Text {
				p.want |= store.WantStructure
			}
			p.page = 50
			p.seen = p.seen || !it.Peek && it.Attr != imap.AttrBinarySize && it.Attr != imap.AttrRFC822Header
		}
	}
	if uid && !p.uid {
		p.items = slices.Insert(slices.Clone(p.items), 0, imap.Item{Attr: imap.AttrUID})
	}
	if args.ChangedSince > 0 && !p.modseq { // RFC 7162 §3.1.4.1
		p.items = append(slices.Clip(p.items), imap.Item{Attr: imap.AttrModSeq})
		p.modseq = true
	}
	return p
}

// fetchPage reads, marks and writes one page. failed is the first message's error
// that is not the connection's.
func (c *conn) fetchPage(ctx context.Context, p fetchPlan, uids []mailbox.UID, failed *error) error {
	found, err := c.srv.Store.Fetch(ctx, c.account, c.sel.id, fetchUIDs(uids, p.want))
	if err != nil {
		return err
	}
	marked := map[mailbox.UID]bool{}
	if p.seen && !c.sel.readOnly {
		if marked, err = c.markSeen(ctx, found); err != nil {
			return err
		}
	}
	for i := range found {
		m := &found[i]
		items := p.items
		if marked[m.UID] && !p.flags {
			items = append(slices.Clip(items), imap.Item{Attr: imap.AttrFlags})
		}
		if marked[m.UID] && c.condstore && !p.modseq {
			items = append(slices.Clip(items), imap.Item{Attr: imap.AttrModSeq})
		}
		switch err := c.writeFetch(ctx, m, items); {
		case errors.Is(err, errLost) || ctx.Err() != nil:
			return err
		case err != nil && *failed == nil:
			*failed = err
		}
	}
	return nil
}

// markSeen sets \Seen where it is not, in one call, and brings the messages up to
// date.
func (c *conn) markSeen(ctx context.Context, found []store.Stored) (map[mailbox.UID]bool, error) {
	var unseen []mailbox.UID
	at := map[mailbox.UID]int{}
	for i := range found {
		if found[i].Flags&mailbox.Seen == 0 {
			unseen = append(unseen, found[i].UID)
			at[found[i].UID] = i
		}
	}
	if len(unseen) == 0 {
		return nil, nil
	}
	changed, _, err := c.srv.Store.SetFlags(ctx, c.account, c.sel.id, unseen, store.FlagOp{Mode: store.Add, Flags: mailbox.Seen}, 0)
	if err != nil {
		return nil, err
	}
	marked := make(map[mailbox.UID]bool, len(changed))
	for _, m := range changed {
		c.sel.mine(m.ModSeq)
		marked[m.UID] = true
		if i, ok := at[m.UID]; ok {
			found[i].Flags, found[i].Keywords, found[i].ModSeq = m.Flags, m.Keywords, m.ModSeq
		}
	}
	return marked, nil
}

// maxHeld is how many octets of items that cannot be streamed (structures, header
// fields, decoded parts) are held for one message.
const maxHeld = 4 << 20

// writeFetch writes the FETCH of one message. What can fail is done before the
// line is begun; from there on an error is the end of the connection, since a
// literal that was announced cannot be taken back.
func (c *conn) writeFetch(ctx context.Context, m *store.Stored, items []imap.Item) error {
	seq := c.sel.uids.seq(m.UID)
	if seq == 0 {
		return nil
	}
	l := &letter{c: c, m: m}
	defer l.close()
	ready := make([]piece, len(items))
	held := 0
	for i, it := range items {
		var err error
		if ready[i], err = l.prepare(ctx, it); err != nil {
			return err
		}
		if held += len(ready[i].text); held > maxHeld {
			return imap.No("LIMIT", "too much of one message is asked for at once")
		}
	}
	c.learn(m.Keywords)
	c.compose(func(b []byte) []byte { return append(appendUint(append(b, "* "...), uint64(seq)), " FETCH ("...) })
	for i := range items {
		if i > 0 {
			c.print(" ")
		}
		if err := ready[i].write(c); err != nil {
			return lost(err)
		}
	}
	c.print(")\r\n")
	return nil
}
