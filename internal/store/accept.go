package store

import (
	"context"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
)

// Accept is the accept transaction (DESIGN §2.5): all effects of one message,
// durable together or not at all. Its blob is durable already.
type Accept struct {
	ID         mail.ID
	Blob       NewBlob
	Deliveries []Delivery
	Enqueues   []Enqueue
	Holds      []Quarantined // kept for people to look at: the quarantine
	Jobs       []Job
	Trace      *TraceRecord // nil: none is kept (IMAP APPEND)

	// Confirm are the keys by which a repeat of this accept is recognised
	// (RFC 1047, DESIGN §2.7): a hash of client class, reverse-path, recipient
	// and byte hash for each accepted recipient.
	Confirm []ConfirmKey
	// Unread makes the keys unconfirmed from the first, in the same transaction,
	// until Confirmed: where many nodes share a store, another one must recognise a
	// repeat though we died before anybody could say so.
	Unread bool

	// Step, when set, makes this accept one step of a job of another one, whose id
	// is ID: it is committed with the step, or not at all (ErrFenced), and no row
	// says that it was accepted. Its blob has a row already.
	Step *JobStep

	// FinishQueue, when set, ends the queue work that this message answers (a
	// DSN) in the same transaction.
	FinishQueue *Finish
	// Release, when set, makes this the end of held mail.
	Release *HeldRelease
	// Digest, when set, makes this a message that tells of held mail.
	Digest *Digest
}

// ConfirmKey is the hash that recognises a repeated accept for one recipient.
type ConfirmKey [16]byte

// NewBlob is a blob that Put has made durable. With At zero it is one that has a
// row already (deferred filing); only ID and Size are read then, and a blob that
// is doomed or gone is ErrNotFound. The zero NewBlob refers to no bytes: such an
// accept has no Deliveries, no Enqueues and no Holds.
type NewBlob struct {
	ID     blob.ID
	At     blob.Location
	Size   int64
	SHA256 [32]byte
}

// Delivery places a message in a mailbox of an account.
type Delivery struct {
	Account mailbox.AccountID
	Target  Target
	Prefix  []byte // header fields that Posta adds above the blob, CRLF lines
	// Skip is how many octets at the start of the blob are replaced by Prefix
	// (an edited header); usually 0.
	Skip         int64
	Flags        mailbox.Flags
	Keywords     []string
	InternalDate time.Time
	Sent         time.Time // Date field, zero if unreadable
	Envelope     []byte    // message.Envelope, encoded
	Structure    []byte    // message.Part, encoded; offsets are those of the blob
	Preview      string
	CheckQuota   bool // refuse with ErrQuota (IMAP APPEND); an accepted message is never refused here
}

// Target says which mailbox: by ID if not zero, else by role if not None, else
// by name; one that is missing is made (by ID it is ErrNotFound).
type Target struct {
	ID   mailbox.ID
	Role mailbox.Role
	Name string
}

// Placed is where a Delivery went.
type Placed struct {
	Account     mailbox.AccountID
	Mailbox     mailbox.ID
	UIDValidity uint32
	UID         mailbox.UID
	Email       mailbox.EmailID
	ModSeq      mailbox.ModSeq
}

// Acceptor makes messages durable.
type Acceptor interface {
	// Accept commits one message; concurrent calls share a sync. It returns where
	// each Delivery went, in order. On ErrUnknown the caller asks Accepted; an
	// accept whose ID was committed before is ErrExists.
	Accept(ctx context.Context, a *Accept) ([]Placed, error)
	// Accepted reports whether an accept was committed, after a reconnect. What it
	// says is final: it waits for a COMMIT that is still on its way.
	Accepted(ctx context.Context, id mail.ID) (bool, error)
	// Unconfirmed remembers for five days that it is not known whether the client
	// read our 250.
	Unconfirmed(ctx context.Context, id mail.ID, keys []ConfirmKey, at time.Time) error
	// Confirmed takes keys back that Unread made unconfirmed: the client has read our
	// 250. It does not wait; a crash may lose it, which only makes a repeat of the
	// same bytes within five days count as one.
	Confirmed(keys []ConfirmKey)
	// Repeated tells which keys belong to an unconfirmed accept.
	Repeated(ctx context.Context, keys []ConfirmKey) ([]bool, error)
	// RecoverUnconfirmed is called once at start: every accept after since whose
	// session cannot have ended is treated as unconfirmed. It returns how many.
	RecoverUnconfirmed(ctx context.Context, since time.Time) (int, error)
}
