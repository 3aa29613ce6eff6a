package store

import (
	"context"
	"time"

	"posta/internal/mail"
)

// Quarantined keeps a message from one recipient of its envelope until somebody has
// looked at it. It is in no mailbox and counts for no quota. Where it will lead
// (account, alias, elsewhere) is found out when it is released.
type Quarantined struct {
	Recipient string // forward-path, as the client wrote it
	Domain    string // its domain, A-labels lower case
	Original  string // ORCPT
	Notify    mail.Notify
	Author    string       // addresses of From, for people
	Subject   string       // decoded, for people
	Reasons   []HoldReason // what held it, the deciding check first; at most MaxHoldReasons are kept
	// Review says that it does not expire before somebody has looked at it, however
	// old it gets.
	Review bool
	// Stored is what every delivery of the message has in common. Its Account, Target,
	// Flags, Keywords and CheckQuota are not kept; its InternalDate is when the
	// message was held (zero: now).
	Stored Delivery
	// Out is how the message would leave, if the recipient turns out to lead
	// elsewhere. Its Seal is for what our alias sends on, whose prefix then is that of
	// Stored without Return-Path. Its Skip is that of Stored; its Expires, Held and
	// Recipients are not kept.
	Out Enqueue
}

// HoldReason is one check that held a message.
type HoldReason struct {
	Check string `json:"check"`          // finding.ID
	Seen  string `json:"seen,omitempty"` // the evidence, in one line
}

// MaxHoldReasons is how many reasons are kept with held mail.
const MaxHoldReasons = 10

// HeldMail is one message that is held for one recipient.
type HeldMail struct {
	ID       int64
	Message  mail.ID // the accept: trace id; zero after a rebuild of what was deleted
	At       time.Time
	Told     time.Time // a digest told somebody of it; zero: not yet
	Reviewed time.Time // somebody has looked at it; zero: not yet
	Size     int64     // of prefix and message
	Quarantined
	Blob BlobRef
}

// HeldFilter selects held mail, oldest first. Zero fields select all.
type HeldFilter struct {
	ID         int64
	Message    mail.ID
	Recipient  string // without regard to case
	Domain     string
	Before     time.Time // held before
	Untold     bool
	Unreviewed bool
	Digest     *DigestKey // told by this digest
	Whole      bool       // with all of Stored and Out; else without their bytes
	Limit      int        // 0 means 1,000
	After      int64      // an ID
}

// HeldRelease makes an accept the release of held mail: its Blob is that of the held
// mail, without At; its ID is the held mail's Message. In the same transaction the
// held mail goes, the event is written to the message's trace, and the audit record
// with it. When it has gone already, released or not, that is ErrNotFound and nothing
// happens. A delivery to an account that has the message already (by another
// recipient of its envelope) is left out; its Placed is zero but for the account.
type HeldRelease struct {
	ID    int64
	Event TraceEvent
	Audit Audit
}

// DigestKey is the hash of the token in a digest's link.
type DigestKey [32]byte

// Digest is a message of ours that tells somebody what is held for him. As part of
// an accept it is recorded with the message that it is, and the mail that it tells
// of is marked as told; if any of that was told of meanwhile or is gone, that is
// ErrConflict and nothing happens.
type Digest struct {
	Key   DigestKey
	To    string    // address
	Until time.Time // the link is good so long
	Held  []int64   // at most MaxDigest; in an accept only
}

// MaxDigest is how much held mail one digest tells of.
const MaxDigest = 500

// HeldStat is one line of the overview.
type HeldStat struct {
	Domain  string
	Count   int
	Octets  int64
	Oldest  time.Time
	Waiting int       // not reviewed
	Since   time.Time // of these the oldest; zero if there is none
}

// Quarantine is what is held. It comes in by Accept.Holds and goes by Accept.Release,
// DropHeld or ExpireHeld, each exactly once.
type Quarantine interface {
	ListHeld(ctx context.Context, f HeldFilter) ([]HeldMail, error)
	// DropHeld removes held mail for good, in steps, and tells how many. Each gets
	// its event in the trace of its message. IDs that are gone are passed over.
	DropHeld(ctx context.Context, ids []int64, event func(HeldMail) TraceEvent, a Audit) (int, error)
	// ReviewHeld notes that somebody has looked at held mail, in steps, and tells
	// how much of it was new to that.
	ReviewHeld(ctx context.Context, ids []int64, a Audit) (int, error)
	// ExpireHeld removes, at most limit of them, held mail of a domain that was held
	// before a moment, was told of, and either may go unreviewed or was reviewed. It
	// returns how many.
	ExpireHeld(ctx context.Context, domain string, before time.Time, limit int, event func(HeldMail) TraceEvent) (int, error)
	// HeldStats counts by domain.
	HeldStats(ctx context.Context) ([]HeldStat, error)
	// Digest finds one by its key; ErrNotFound if there is none or its time is over.
	Digest(ctx context.Context, k DigestKey, now time.Time) (Digest, error)
	// DropDigests forgets those whose time was over before a moment.
	DropDigests(ctx context.Context, before time.Time) error
}
