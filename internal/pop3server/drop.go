package pop3server

import (
	"context"
	"strconv"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// drop is INBOX as it was at login.
type drop struct {
	box      mailbox.ID
	validity uint32
	letters  []letter
}

// letter is one message; its number is its place from 1.
type letter struct {
	size    int64
	uid     mailbox.UID
	deleted bool
	seen    bool // at login
	read    bool // by RETR
}

// openDrop reads INBOX in pages.
func (c *conn) openDrop(ctx context.Context) error {
	all, err := c.srv.Store.ListMailboxes(ctx, c.account)
	if err != nil {
		return err
	}
	c.drop = drop{}
	for _, m := range all {
		if m.Name == "INBOX" {
			c.drop.box, c.drop.validity = m.ID, m.UIDValidity
		}
	}
	if c.drop.box == 0 {
		return refuse("SYS/PERM", "there is no INBOX")
	}
	const page = 1000
	for from := mailbox.UID(1); from != 0; {
		found, err := c.srv.Store.Fetch(ctx, c.account, c.drop.box, store.FetchQuery{From: from, Limit: page})
		if err != nil {
			return err
		}
		for i := range found {
			c.drop.letters = append(c.drop.letters, letter{uid: found[i].UID, size: found[i].Size, seen: found[i].Flags&mailbox.Seen != 0})
			from = found[i].UID + 1 // 0 after the last UID there can be
		}
		if len(found) < page {
			return nil
		}
	}
	return nil
}

// total counts what is not marked.
func (d *drop) total() (n int, octets int64) {
	for i := range d.letters {
		if !d.letters[i].deleted {
			n++
			octets += d.letters[i].size
		}
	}
	return n, octets
}

// uidl is the unique id of a message (RFC 1939 §7): at most 21 octets.
func (d *drop) uidl(l *letter) string {
	return strconv.FormatUint(uint64(d.validity), 10) + "." + strconv.FormatUint(uint64(l.uid), 10)
}

// letterOf finds the message that an argument numbers.
func (c *conn) letterOf(arg string) (n int, l *letter, err error) {
	n, convErr := strconv.Atoi(arg)
	switch {
	case convErr != nil || n < 1 || arg[0] == '+':
		return 0, nil, refuse("", "message number expected")
	case n > len(c.drop.letters):
		return 0, nil, refuse("", "no such message, there are %d", len(c.drop.letters))
	case c.drop.letters[n-1].deleted:
		return 0, nil, refuse("", "message %d is marked as deleted", n)
	}
	return n, &c.drop.letters[n-1], nil
}
