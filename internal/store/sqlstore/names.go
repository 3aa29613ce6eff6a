package sqlstore

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// Limits of mailbox names and their number; a client cannot fill the database
// with names.
const (
	maxNameBytes  = 1000
	maxNameLevels = 32
	maxMailboxes  = 5000 // of one account
)

const inboxName = "INBOX"

// mailboxName checks a name and gives the form in which it is stored: INBOX, as
// the first level, in capitals (RFC 9051 §5.1).
func mailboxName(name string) (string, error) {
	switch {
	case name == "":
		return "", wrap(store.ErrInvalid, "an empty mailbox name")
	case len(name) > maxNameBytes:
		return "", wrap(store.ErrInvalid, "a mailbox name of %d octets", len(name))
	case !utf8.ValidString(name):
		return "", wrap(store.ErrInvalid, "mailbox name %q is not UTF-8", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return "", wrap(store.ErrInvalid, "mailbox name %q has control characters", name)
	}
	levels := strings.Split(name, string(mailbox.Separator))
	if len(levels) > maxNameLevels {
		return "", wrap(store.ErrInvalid, "a mailbox name of %d levels", len(levels))
	}
	for _, l := range levels {
		if l == "" {
			return "", wrap(store.ErrInvalid, "mailbox name %q has an empty level", name)
		}
	}
	if strings.EqualFold(levels[0], inboxName) {
		levels[0] = inboxName
	}
	return strings.Join(levels, string(mailbox.Separator)), nil
}

// parents lists the names above a name, the top first.
func parents(name string) []string {
	var out []string
	for i := range len(name) {
		if name[i] == mailbox.Separator {
			out = append(out, name[:i])
		}
	}
	return out
}

// below tells whether name lies under top.
func below(name, top string) bool {
	return len(name) > len(top) && name[len(top)] == mailbox.Separator && strings.HasPrefix(name, top)
}
