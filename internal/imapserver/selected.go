package imapserver

import (
	"context"
	"slices"
	"strings"

	"posta/internal/imap"
	"posta/internal/mailbox"
)

// selected is the mailbox as this session knows it.
type selected struct {
	id          mailbox.ID
	name        string
	uidValidity uint32
	readOnly    bool // EXAMINE

	uids  uidList        // what was announced and not taken back
	gone  uidList        // expunged, but the client does not know yet
	known mailbox.ModSeq // changes up to here have been looked at
	own   []span         // changes of this session, told already
	words []string       // keywords announced by FLAGS, sorted
	saved []imap.Range   // UIDs of "$" (RFC 5182)
}

// span is a run of MODSEQs.
type span struct{ first, last mailbox.ModSeq }

// mine remembers a change that this session made and has told its client.
func (s *selected) mine(m mailbox.ModSeq) {
	if n := len(s.own); n > 0 && s.own[n-1].last+1 == m {
		s.own[n-1].last = m
		return
	}
	s.own = append(s.own, span{m, m})
}

func (s *selected) isMine(m mailbox.ModSeq) bool {
	return slices.ContainsFunc(s.own, func(o span) bool { return o.first <= m && m <= o.last })
}

// maxWords bounds the keywords that FLAGS lists.
const maxWords = 200

// changes are what happened to the selected mailbox since it was last looked at.
type changes struct {
	fresh   []mailbox.UID
	expunge []mailbox.UID
	flags   []mailbox.Message
}

// sync looks for changes and announces them: EXISTS and FETCH at once, EXPUNGE
// only if message numbers may move.
func (c *conn) sync(ctx context.Context, expunge bool) error {
	s := c.sel
	now, err := c.srv.Store.ModSeq(ctx, c.account)
	if err != nil {
		return err
	}
	if now > s.known {
		if err := c.look(ctx, now); err != nil {
			return err
		}
	}
	if expunge && s.gone.len() > 0 {
		c.announceGone(s.gone.all())
		s.gone = uidList{}
	}
	return nil
}

// look reads the changes in pages and announces those that never wait. At a page
// of flags they are written, so that memory is bounded.
func (c *conn) look(ctx context.Context, now mailbox.ModSeq) error {
	s := c.sel
	since := s.known
	var ch changes
	resynced := false
	for {
		page, floor, err := c.srv.Store.Changes(ctx, c.account, s.id, since, pageSize)
		if err != nil {
			return err
		}
		if floor > s.known && !resynced {
			resynced = true
			if err := c.resync(ctx); err != nil {
				return err
			}
		}
		for _, m := range page {
			since = max(since, m.ModSeq)
			c.sort(&ch, m)
		}
		if len(page) < pageSize {
			break
		}
		c.announceFlags(ch.flags)
		ch.flags = nil
	}
	c.announceFresh(ch.fresh)
	c.announceFlags(ch.flags)
	c.lose(ch.expunge)
	s.known = max(now, since)
	s.own = nil
	return nil
}

// sort puts a change where it belongs.
func (c *conn) sort(ch *changes, m mailbox.Message) {
	s := c.sel
	switch {
	case m.Expunged:
		if s.uids.seq(m.UID) != 0 {
			ch.expunge = append(ch.expunge, m.UID)
		}
	case m.UID > s.uids.last() && s.uids.seq(m.UID) == 0:
		ch.fresh = append(ch.fresh, m.UID)
	case s.uids.seq(m.UID) != 0:
		if !s.isMine(m.ModSeq) {
			ch.flags = append(ch.flags, m)
		}
	}
}

// resync compares all UIDs, when the store has forgotten what was expunged. Changes
// of flags it leaves to look.
func (c *conn) resync(ctx context.Context) error {
	s := c.sel
	live, _, err := c.srv.Store.UIDs(ctx, c.account, s.id)
	if err != nil {
		return err
	}
	list := newUIDs(live)
	var lost []mailbox.UID
	for _, u := range s.uids.all() {
		if list.seq(u) == 0 {
			lost = append(lost, u)
		}
	}
	i, _ := slices.BinarySearch(live, s.uids.last()+1)
	c.announceFresh(live[i:])
	c.lose(lost)
	return nil
}

// lose remembers UIDs that are gone, until it may be told.
func (c *conn) lose(uids []mailbox.UID) {
	if len(uids) == 0 {
		return
	}
	all := append(c.sel.gone.all(), uids...)
	slices.Sort(all)
	c.sel.gone = newUIDs(all)
}

// announceFresh tells of new messages, ascending or not.
func (c *conn) announceFresh(uids []mailbox.UID) {
	if len(uids) == 0 {
		return
	}
	slices.Sort(uids)
	for _, u := range uids {
		c.sel.uids.append(u)
	}
	c.compose(func(b []byte) []byte { return appendCount(b, c.sel.uids.len(), "EXISTS") })
}

// announceGone tells of messages that are gone: VANISHED for a client that
// enabled QRESYNC (RFC 7162 §3.2.10), else EXPUNGE for each.
func (c *conn) announceGone(uids []mailbox.UID) {
	var set []imap.Range
	c.sel.uids.remove(uids, func(seq uint32, u mailbox.UID) {
		if c.qresync {
			set = imap.Add(set, uint32(u))
			return
		}
		c.compose(func(b []byte) []byte { return appendCount(b, int(seq), "EXPUNGE") })
	})
	c.sel.saved = without(c.sel.saved, uids)
	c.writeVanished(set, false)
}

func (c *conn) writeVanished(set []imap.Range, earlier bool) {
	if len(set) == 0 {
		return
	}
	c.compose(func(b []byte) []byte {
		b = append(b, "* VANISHED "...)
		if earlier {
			b = append(b, "(EARLIER) "...)
		}
		return append(imap.AppendSet(b, set), "\r\n"...)
	})
}

// announceFlags writes FETCH with the flags of each message.
func (c *conn) announceFlags(ms []mailbox.Message) {
	for i := range ms {
		c.writeFlags(&ms[i], c.qresync, c.condstore)
	}
}

// writeFlags writes one unsolicited FETCH. Messages that the client does not
// know, or that are gone, are passed over.
func (c *conn) writeFlags(m *mailbox.Message, uid, modseq bool) {
	seq := c.sel.uids.seq(m.UID)
	if seq == 0 || c.sel.gone.seq(m.UID) != 0 {
		return
	}
	c.learn(m.Keywords)
	c.compose(func(b []byte) []byte {
		b = append(b, "* "...)
		b = appendUint(b, uint64(seq))
		b = append(b, " FETCH ("...)
		if uid {
			b = appendUint(append(b, "UID "...), uint64(m.UID))
			b = append(b, ' ')
		}
		b = appendFlags(append(b, "FLAGS "...), m)
		if modseq {
			b = append(b, " MODSEQ ("...)
			b = append(appendUint(b, uint64(m.ModSeq)), ')')
		}
		return append(b, ")\r\n"...)
	})
}

// learn announces keywords that the client has not heard of (RFC 9051 §7.3.5).
func (c *conn) learn(words []string) {
	fresh := false
	for _, w := range words {
		if len(c.sel.words) >= maxWords {
			break
		}
		i, found := slices.BinarySearchFunc(c.sel.words, w, compareFold)
		if !found {
			c.sel.words = slices.Insert(c.sel.words, i, w)
			fresh = true
		}
	}
	if fresh {
		c.writeFlagsLine()
	}
}

func compareFold(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

func (c *conn) writeFlagsLine() {
	c.compose(func(b []byte) []byte {
		b = append(b, `* FLAGS (\Answered \Flagged \Deleted \Seen \Draft`...)
		for _, w := range c.sel.words {
			b = append(append(b, ' '), w...)
		}
		return append(b, ")\r\n"...)
	})
}

// without takes ascending UIDs out of ranges.
func without(rs []imap.Range, uids []mailbox.UID) []imap.Range {
	if len(rs) == 0 {
		return rs
	}
	var out []imap.Range
	k := 0
	for _, r := range rs {
		first := uint64(r.First)
		for k < len(uids) && uint32(uids[k]) < r.First {
			k++
		}
		for k < len(uids) && uint32(uids[k]) <= r.Last {
			u := uint64(uids[k])
			if u > first {
				out = append(out, imap.Range{First: uint32(first), Last: uint32(u - 1)})
			}
			first = u + 1
			k++
		}
		if first <= uint64(r.Last) {
			out = append(out, imap.Range{First: uint32(first), Last: r.Last})
		}
	}
	return out
}
