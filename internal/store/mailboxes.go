package store

import (
	"context"
	"time"

	"posta/internal/blob"
	"posta/internal/mailbox"
)

// Mailboxes is what the doors of reading (IMAP, POP3, JMAP) need. Lists come in
// pages: no read transaction is open while a caller writes to its client. A
// mailbox that is not the account's is ErrNotFound. Names are UTF-8 of at most
// 1,000 octets in at most 32 levels without control characters (ErrInvalid);
// INBOX is known in any case of letters. UIDs may be given in any order.
type Mailboxes interface {
	ListMailboxes(ctx context.Context, a mailbox.AccountID) ([]mailbox.Mailbox, error)
	GetMailbox(ctx context.Context, a mailbox.AccountID, id mailbox.ID) (mailbox.Mailbox, error)
	// CreateMailbox makes name and the parents that are missing; ErrExists.
	CreateMailbox(ctx context.Context, a mailbox.AccountID, name string, r mailbox.Role) (mailbox.Mailbox, error)
	// RenameMailbox renames a mailbox and all below it. Renaming INBOX moves its
	// messages into a new mailbox and leaves INBOX empty (RFC 9051 §6.3.6).
	RenameMailbox(ctx context.Context, a mailbox.AccountID, id mailbox.ID, name string) error
	// DeleteMailbox expunges what is in it, in steps, then removes it. A mailbox
	// with children and INBOX are refused with ErrConflict.
	DeleteMailbox(ctx context.Context, a mailbox.AccountID, id mailbox.ID) error
	// SetSubscribed keeps subscriptions by name, also of names that do not exist;
	// Subscriptions lists them sorted.
	SetSubscribed(ctx context.Context, a mailbox.AccountID, name string, on bool) error
	Subscriptions(ctx context.Context, a mailbox.AccountID) ([]string, error)

	// UIDs lists all live UIDs of a mailbox in ascending order, and the account's
	// MODSEQ as of the same moment.
	UIDs(ctx context.Context, a mailbox.AccountID, m mailbox.ID) ([]mailbox.UID, mailbox.ModSeq, error)
	// Fetch reads up to limit (≤ 1,000) live messages with UID in [from, to],
	// ascending; from there the caller goes on. With want only those UIDs.
	Fetch(ctx context.Context, a mailbox.AccountID, m mailbox.ID, q FetchQuery) ([]Stored, error)
	// Changes lists placements of the mailbox, expunged ones too, whose MODSEQ is
	// above since, in order of MODSEQ, at most limit (0 means 1,000). No two
	// placements of an account share a MODSEQ, so the last one of a page is where
	// the next page begins. Floor is the MODSEQ below which expunged ones are no
	// longer known: a client older than it resyncs.
	Changes(ctx context.Context, a mailbox.AccountID, m mailbox.ID, since mailbox.ModSeq, limit int) (ch []mailbox.Message, floor mailbox.ModSeq, err error)
	// ModSeq is the account's change counter now.
	ModSeq(ctx context.Context, a mailbox.AccountID) (mailbox.ModSeq, error)

	// SetFlags changes flags of up to any number of messages in steps. Messages
	// whose MODSEQ is above unchangedSince (when not 0) are left alone and
	// returned in failed. Changed messages come with their new state; the ones
	// that had the wanted state already are not changed.
	SetFlags(ctx context.Context, a mailbox.AccountID, m mailbox.ID, uids []mailbox.UID, op FlagOp, unchangedSince mailbox.ModSeq) (changed []mailbox.Message, failed []mailbox.UID, err error)
	// Expunge removes messages for good; with onlyDeleted those with \Deleted.
	// uids nil means all. It returns what went.
	Expunge(ctx context.Context, a mailbox.AccountID, m mailbox.ID, uids []mailbox.UID, onlyDeleted bool) ([]mailbox.UID, mailbox.ModSeq, error)
	// Copy makes new Emails on the same blobs in dst; UIDs that are gone are
	// passed over. from[i] became to[i], ascending. Each step is atomic; what
	// would not fit the quota as a whole is ErrQuota before the first step. After
	// an error from and to tell what the steps before it did.
	Copy(ctx context.Context, a mailbox.AccountID, src mailbox.ID, uids []mailbox.UID, dst mailbox.ID) (from, to []mailbox.UID, err error)
	// Move takes messages to dst: each goes wholly or stays; answers as of Copy.
	Move(ctx context.Context, a mailbox.AccountID, src mailbox.ID, uids []mailbox.UID, dst mailbox.ID) (from, to []mailbox.UID, err error)
	// Usage is what counts towards the quota, and the quota (0: none).
	Usage(ctx context.Context, a mailbox.AccountID) (octets, messages, quota int64, err error)
}

// FetchQuery says which messages and how much of each.
type FetchQuery struct {
	From, To mailbox.UID // inclusive; To 0 means to the end
	UIDs     []mailbox.UID
	Limit    int // 0 means 1,000
	Want     Want
}

// Want says how much of a message is read from the store.
type Want uint8

// Flags, sizes, INTERNALDATE and SAVEDATE always come; Thread and Sent with any Want.
const (
	WantEnvelope Want = 1 << iota
	WantStructure
	WantPreview
	WantBytes // Prefix, Skip, Blob
)

// Stored is a message with what was wanted.
type Stored struct {
	mailbox.Message
	Thread    int64
	Sent      time.Time
	Envelope  []byte
	Structure []byte
	Preview   string
	Prefix    []byte
	Skip      int64
	Blob      BlobRef
}

// FlagOp changes flags and keywords.
type FlagOp struct {
	Mode     FlagMode
	Flags    mailbox.Flags
	Keywords []string
}

// FlagMode says how.
type FlagMode uint8

// The modes of STORE.
const (
	Replace FlagMode = iota
	Add
	Remove
)

// Contents is a message's bytes: Prefix, then the blob from Skip on. It is what
// readers of mail open.
type Contents struct {
	Prefix []byte
	Skip   int64
	Blob   blob.Reader
}
