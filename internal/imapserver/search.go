package imapserver

import (
	"context"
	"errors"
	"slices"

	"posta/internal/blob"
	"posta/internal/imap"
	"posta/internal/mailbox"
)

func (c *conn) search(ctx context.Context, d *imap.Decoder) error {
	return c.searchKeys(ctx, d, false)
}

func (c *conn) uidSearch(ctx context.Context, d *imap.Decoder) error {
	return c.searchKeys(ctx, d, true)
}

// searchKeys serves SEARCH and UID SEARCH with the result options of RFC 4731 and
// RFC 5182.
func (c *conn) searchKeys(ctx context.Context, d *imap.Decoder, uid bool) error {
	args, err := d.Search()
	if err != nil {
		return c.searchFailed(args, err)
	}
	if c.rev2 && !args.Extended { // RFC 9051 §6.4.4: IMAP4rev2 has ESEARCH only
		args.Extended, args.Return = true, imap.ReturnAll
	}
	if args.Key.Uses(imap.OpModSeq) {
		c.condstore = true
	}
	m, err := c.compile(&args.Key)
	if err != nil {
		return c.searchFailed(args, err)
	}
	found, err := c.scan(ctx, m, c.candidates(&args.Key), args.Key.Uses(imap.OpModSeq))
	if err != nil {
		return c.searchFailed(args, err)
	}
	if args.Return&imap.ReturnSave != 0 {
		c.sel.saved = found.save(args.Return)
	}
	c.writeFound(args, found, uid)
	return nil
}

// searchFailed: a SEARCH with SAVE that ends in NO empties "$" (RFC 5182 §2.1).
func (c *conn) searchFailed(args imap.Search, err error) error {
	if args.Return&imap.ReturnSave != 0 {
		if r := c.replyFor(context.Background(), err); r.Status == imap.NO {
			c.sel.saved = nil
		}
	}
	return err
}

// hits are the messages found, ascending.
type hits struct {
	uids              []mailbox.UID
	highest           mailbox.ModSeq // of all
	firstMod, lastMod mailbox.ModSeq // of the first and the last
}

// scan asks the matcher about each candidate. Messages are read from the store in
// pages, and only when the keys ask for more than their numbers.
func (c *conn) scan(ctx context.Context, m matcher, uids []mailbox.UID, modseq bool) (h hits, err error) {
	if m.cost == costNumber && !modseq {
		for _, u := range uids {
			l := letter{c: c, m: numberOnly(u)}
			ok, err := m.match(ctx, &l)
			if err != nil {
				return h, err
			}
			if ok {
				h.uids = append(h.uids, u)
			}
		}
		return h, nil
	}
	page := pageSize
	if m.cost >= costBytes {
		page = 50
	}
	for some := range slices.Chunk(uids, page) {
		found, err := c.srv.Store.Fetch(ctx, c.account, c.sel.id, fetchUIDs(some, m.want))
		if err != nil {
			return h, err
		}
		for i := range found {
			l := letter{c: c, m: &found[i]}
			ok, err := m.match(ctx, &l)
			l.close()
			if err != nil {
				if errors.Is(err, blob.ErrCorrupt) || errors.Is(err, blob.ErrNotFound) { // it hides no other
					c.log.ErrorContext(ctx, "imap: message passed over in a search", "err", err)
					continue
				}
				return h, err
			}
			if ok {
				h.add(found[i].UID, found[i].ModSeq)
			}
		}
	}
	return h, nil
}

func (h *hits) add(u mailbox.UID, m mailbox.ModSeq) {
	if len(h.uids) == 0 {
		h.firstMod = m
	}
	h.uids = append(h.uids, u)
	h.lastMod = m
	h.highest = max(h.highest, m)
}

// onlyEnds: of the options that give messages only MIN and MAX were asked for.
func onlyEnds(r imap.SearchReturn) bool {
	return r&(imap.ReturnAll|imap.ReturnCount) == 0 && r&(imap.ReturnMin|imap.ReturnMax) != 0
}

// save is what "$" becomes (RFC 5182 §2.1).
func (h *hits) save(r imap.SearchReturn) (out []imap.Range) {
	if len(h.uids) == 0 {
		return nil
	}
	if !onlyEnds(r) {
		for _, u := range h.uids {
			out = imap.Add(out, uint32(u))
		}
		return out
	}
	if r&imap.ReturnMin != 0 {
		out = imap.Add(out, uint32(h.uids[0]))
	}
	if r&imap.ReturnMax != 0 {
		out = imap.Add(out, uint32(h.uids[len(h.uids)-1]))
	}
	return out
}

// modseq is what the answer to a search by MODSEQ tells (RFC 7162 §3.1.5, §3.1.10).
func (h *hits) modseq(args imap.Search) mailbox.ModSeq {
	if !args.Extended || !onlyEnds(args.Return) {
		return h.highest
	}
	var m mailbox.ModSeq
	if args.Return&imap.ReturnMin != 0 {
		m = h.firstMod
	}
	if args.Return&imap.ReturnMax != 0 {
		m = max(m, h.lastMod)
	}
	return m
}

// writeFound writes SEARCH or ESEARCH.
func (c *conn) writeFound(args imap.Search, h hits, uid bool) {
	number := func(u mailbox.UID) uint32 {
		if uid {
			return uint32(u)
		}
		return c.sel.uids.seq(u)
	}
	modseq := args.Key.Uses(imap.OpModSeq) && len(h.uids) > 0
	if !args.Extended {
		c.print("* SEARCH")
		for _, u := range h.uids {
			c.compose(func(b []byte) []byte { return appendUint(append(b, ' '), uint64(number(u))) })
		}
		c.compose(func(b []byte) []byte {
			if modseq {
				b = append(appendUint(append(b, " (MODSEQ "...), uint64(h.modseq(args))), ')')
			}
			return append(b, "\r\n"...)
		})
		return
	}
	if args.Return == imap.ReturnSave {
		return
	}
	c.compose(func(b []byte) []byte {
		b = append(append(append(b, `* ESEARCH (TAG "`...), c.tag...), `")`...)
		if uid {
			b = append(b, " UID"...)
		}
		if n := len(h.uids); n > 0 {
			if args.Return&imap.ReturnMin != 0 {
				b = appendUint(append(b, " MIN "...), uint64(number(h.uids[0])))
			}
			if args.Return&imap.ReturnMax != 0 {
				b = appendUint(append(b, " MAX "...), uint64(number(h.uids[n-1])))
			}
			if args.Return&imap.ReturnAll != 0 {
				var set []imap.Range
				for _, u := range h.uids {
					set = imap.Add(set, number(u))
				}
				b = imap.AppendSet(append(b, " ALL "...), set)
			}
		}
		if args.Return&imap.ReturnCount != 0 {
			b = appendUint(append(b, " COUNT "...), uint64(len(h.uids)))
		}
		if modseq {
			b = appendUint(append(b, " MODSEQ "...), uint64(h.modseq(args)))
		}
		return append(b, "\r\n"...)
	})
}
