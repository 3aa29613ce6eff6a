package imapserver

import (
	"context"
	"math"
	"slices"

	"posta/internal/imap"
	"posta/internal/mailbox"
)

// catchUp tells a client that knew the mailbox at a MODSEQ what changed since
// (RFC 7162 §3.2.5.1): VANISHED (EARLIER) and FETCH with UID, FLAGS and MODSEQ.
// The sequence match data is not needed: it only lets a server that has forgotten
// what was expunged tell less.
func (c *conn) catchUp(ctx context.Context, q *imap.QResync) error {
	known := []imap.Range{{First: 1, Last: math.MaxUint32}}
	if q.Known != nil {
		known = q.Known.Resolve(uint32(c.sel.uids.last()))
	}
	live, gone, err := c.since(ctx, mailbox.ModSeq(q.ModSeq), known)
	if err != nil {
		return err
	}
	c.writeVanished(gone, true)
	for page := range slices.Chunk(live, pageSize) {
		found, err := c.srv.Store.Fetch(ctx, c.account, c.sel.id, fetchUIDs(page, 0))
		if err != nil {
			return err
		}
		for i := range found {
			c.writeFlags(&found[i].Message, true, true)
		}
		if err := c.unwritten(); err != nil {
			return err
		}
	}
	return nil
}

// since gives the UIDs of ranges that changed after a MODSEQ: those of the
// session's messages, ascending, and those that are gone.
func (c *conn) since(ctx context.Context, modseq mailbox.ModSeq, within []imap.Range) (live []mailbox.UID, gone []imap.Range, err error) {
	s := c.sel
	var lost []mailbox.UID
	for at := modseq; ; {
		page, floor, err := c.srv.Store.Changes(ctx, c.account, s.id, at, pageSize)
		if err != nil {
			return nil, nil, err
		}
		for _, m := range page {
			at = max(at, m.ModSeq)
			switch {
			case !imap.Contains(within, uint32(m.UID)):
			case m.Expunged:
				lost = append(lost, m.UID)
			case s.uids.seq(m.UID) != 0:
				live = append(live, m.UID)
			}
		}
		if len(page) < pageSize {
			slices.Sort(live)
			if floor > modseq { // forgotten: name all that the client may have and that are not there
				return slices.Compact(live), c.absent(within), nil
			}
			slices.Sort(lost)
			for _, u := range lost {
				gone = imap.Add(gone, uint32(u))
			}
			return slices.Compact(live), gone, nil
		}
	}
}

// absent gives the part of ranges, up to the last UID, that names no message.
func (c *conn) absent(within []imap.Range) (out []imap.Range) {
	live := c.sel.uids.ranges()
	last := uint32(c.sel.uids.last())
	for _, r := range within {
		first := uint64(r.First)
		for _, l := range live {
			if uint64(l.Last) < first || l.First > r.Last {
				continue
			}
			if uint64(l.First) > first {
				out = append(out, imap.Range{First: uint32(first), Last: l.First - 1})
			}
			first = uint64(l.Last) + 1
		}
		if end := min(r.Last, last); first <= uint64(end) {
			out = append(out, imap.Range{First: uint32(first), Last: end})
		}
	}
	return out
}
