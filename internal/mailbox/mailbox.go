// Package mailbox has the values of the message store: what a mailbox and a
// message in it are, free of any engine or protocol.
//
// An Email belongs to one account and is placed in one or more mailboxes; a
// Placement has the UID. Keywords and system flags belong to the Email, \Deleted
// to the Placement (RFC 9051 §2.3.2, RFC 8621 §4.1). Every change of an account
// raises its one change counter; the new value is the MODSEQ (RFC 7162) of what
// changed, and JMAP's state.
package mailbox

import (
	"strings"
	"time"
)

// AccountID, ID and EmailID are given by the store and never used again.
type (
	AccountID int64
	ID        int64 // of a mailbox
	EmailID   int64
)

// UID is a message's number in one mailbox (RFC 9051 §2.3.1.1); 0 means none.
type UID uint32

// ModSeq is a value of an account's change counter (RFC 7162 §3.1); 0 is before
// every change.
type ModSeq uint64

// Role is the special use of a mailbox (RFC 6154, RFC 8621 §10.5.1). The zero
// Role is an ordinary mailbox.
type Role uint8

// The roles; each account has at most one mailbox of each but None.
const (
	None Role = iota
	Inbox
	Drafts
	Sent
	Junk
	Trash
	Archive
	Recovered // holds what `posta store rebuild` could not file elsewhere
)

var roleNames = [...]string{"", "inbox", "drafts", "sent", "junk", "trash", "archive", "recovered"}

// String is the JMAP name of the role, "" for None.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return ""
}

// Attr is the IMAP special-use attribute (RFC 6154 §2), "" where there is none.
func (r Role) Attr() string {
	switch r {
	case Drafts, Sent, Junk, Trash, Archive:
		n := r.String()
		return `\` + strings.ToUpper(n[:1]) + n[1:]
	}
	return ""
}

// RoleOfAttr is the inverse of Attr; None when the attribute is no role.
func RoleOfAttr(attr string) Role {
	for r := Drafts; r <= Archive; r++ {
		if strings.EqualFold(r.Attr(), attr) {
			return r
		}
	}
	return None
}

// Separator stands between the levels of a mailbox name.
const Separator = '/'

// Defaults are the mailboxes that a new account is given.
var Defaults = [...]struct {
	Name string
	Role Role
}{{"INBOX", Inbox}, {"Drafts", Drafts}, {"Sent", Sent}, {"Junk", Junk}, {"Trash", Trash}, {"Archive", Archive}}

// Mailbox is one mailbox with its counters at one moment.
type Mailbox struct {
	ID          ID
	Account     AccountID
	Name        string // full path, UTF-8, levels parted by Separator; INBOX in capitals
	Role        Role
	UIDValidity uint32
	UIDNext     UID
	HighModSeq  ModSeq // the highest MODSEQ of any placement, live or expunged
	Exists      int    // live placements
	Unseen      int    // live placements without \Seen
	Size        int64  // octets of live placements
	Subscribed  bool
}

// Flags are the system flags as bits. Deleted belongs to the placement, all
// others to the Email.
type Flags uint8

// System flags (RFC 9051 §2.3.2). \Recent does not exist in IMAP4rev2 and is
// never set.
const (
	Seen Flags = 1 << iota
	Answered
	Flagged
	Draft
	Deleted
)

var flagNames = [...]string{`\Seen`, `\Answered`, `\Flagged`, `\Draft`, `\Deleted`}

// Names lists the IMAP names of the set flags.
func (f Flags) Names() []string {
	var out []string
	for i, n := range flagNames {
		if f&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// FlagOf is the bit of an IMAP system flag name (any case), 0 if it is none.
func FlagOf(name string) Flags {
	for i, n := range flagNames {
		if strings.EqualFold(n, name) {
			return 1 << i
		}
	}
	return 0
}

// Message is a placement with its Email, as far as it was asked for.
type Message struct {
	Mailbox      ID
	UID          UID
	ModSeq       ModSeq
	Email        EmailID
	Flags        Flags
	Keywords     []string // sorted, as first written
	Size         int64    // octets of prefix + blob: RFC822.SIZE
	InternalDate time.Time
	SaveDate     time.Time // when it came into this mailbox (RFC 8514)
	Expunged     bool      // only seen in Changes
}
