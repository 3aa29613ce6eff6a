package imapserver

import (
	"context"
	"strings"

	"posta/internal/imap"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// resolve gives the UIDs that a set names in the selected mailbox, ascending. A
// message number that does not exist is the client's error; a UID is not.
func (c *conn) resolve(set imap.Set, uid bool) ([]mailbox.UID, error) {
	s := c.sel
	switch {
	case set.Saved:
		return s.uids.within(s.saved), nil
	case uid:
		return s.uids.within(set.Resolve(uint32(s.uids.last()))), nil
	}
	n := uint32(s.uids.len())
	for _, r := range set.Ranges {
		star := r.First == imap.Star || r.Last == imap.Star
		if most := max(r.First, r.Last); most > n && !star {
			return nil, imap.Bad("message set: %d is named, the mailbox has %d messages", most, n)
		}
	}
	return s.uids.numbered(set.Resolve(n)), nil
}

// mailboxNamed finds a mailbox by its name; store.ErrNotFound.
func (c *conn) mailboxNamed(ctx context.Context, name string) (mailbox.Mailbox, error) {
	name = strings.TrimSuffix(name, string(mailbox.Separator))
	all, err := c.srv.Store.ListMailboxes(ctx, c.account)
	if err != nil {
		return mailbox.Mailbox{}, err
	}
	for _, m := range all {
		if m.Name == name {
			return m, nil
		}
	}
	return mailbox.Mailbox{}, store.ErrNotFound
}

// target finds the mailbox that messages go to: one that is missing is
// NO [TRYCREATE] (RFC 9051 §6.3.12).
func (c *conn) target(ctx context.Context, name string) (mailbox.Mailbox, error) {
	m, err := c.mailboxNamed(ctx, name)
	if err == store.ErrNotFound {
		return m, imap.No("TRYCREATE", "no such mailbox")
	}
	return m, err
}

// goodName says whether a mailbox may be made with a name; the decoder has looked
// at its octets.
func goodName(name string) error {
	for level := range strings.SplitSeq(name, string(mailbox.Separator)) {
		switch {
		case level == "" || level == "." || level == "..":
			return imap.No("CANNOT", "a level of the name is empty, . or ..")
		case strings.ContainsAny(level, "*%"):
			return imap.No("CANNOT", "the name has a wildcard in it")
		case strings.TrimSpace(level) != level:
			return imap.No("CANNOT", "a level of the name begins or ends with a space")
		}
	}
	if n := strings.Count(name, string(mailbox.Separator)); n > 30 {
		return imap.No("CANNOT", "the name has too many levels")
	}
	return nil
}

// keywords parts a client's flags into system flags and keywords.
func (c *conn) keywords(flags []string) (f mailbox.Flags, words []string, err error) {
	for _, name := range flags {
		bit := mailbox.FlagOf(name)
		switch {
		case bit != 0:
			f |= bit
		case strings.EqualFold(name, `\Recent`):
			// of IMAP4rev1: clients cannot change it
		case name[0] == '\\':
			return 0, nil, imap.Bad("flags: %.32q is no flag", name)
		case len(name) > 128:
			return 0, nil, imap.No("LIMIT", "keyword longer than 128 octets")
		default:
			words = append(words, name)
		}
	}
	if len(words) > c.limits.Keywords {
		return 0, nil, imap.No("LIMIT", "too many keywords")
	}
	return f, words, nil
}
