package store

import (
	"context"
	"time"
)

// AccessEntry is one row of the access map (package access): what the
// administrator said about a client, a sender or a recipient. Key and Value are in
// the normal form of package access, which the store does not look into.
type AccessEntry struct {
	Key    string
	Value  string // "" is a row that was removed, which only AccessSince gives
	Note   string
	Who    string // principal of the last change
	At     time.Time
	Until  time.Time // from then on it does not hold; zero: for ever
	Change int64     // number of the change that made it so
}

// Bounds of the access map's operations: keys or entries of one call.
const MaxAccessStep = 500

// Access is the access map. It may have a million rows, so that a node does not
// read it whole for one change: each row carries the number of its last change,
// the numbers grow in the order of the commits, and a removed row stays for a
// while without a value.
type Access interface {
	// AccessChange is the number of the newest change; 0 before the first.
	AccessChange(ctx context.Context) (int64, error)
	// AccessSince lists what changed behind a change, in the order of the changes,
	// at most limit rows. Rows that were removed come with an empty Value.
	// ErrConflict says that removed rows behind the change are forgotten already:
	// the caller asks for AccessChange, lists everything, and goes on from there.
	AccessSince(ctx context.Context, change int64, limit int) ([]AccessEntry, error)
	// AccessEntries gives those of the keys that are there, in no order; at most
	// MaxAccessStep keys.
	AccessEntries(ctx context.Context, keys ...string) ([]AccessEntry, error)
	// ListAccess lists entries in the order of their keys (octets), from the first
	// one behind after, at most limit of them.
	ListAccess(ctx context.Context, after string, limit int) ([]AccessEntry, error)
	// ChangeAccess runs f in one transaction that writes the audit record that f
	// returns. An error of f rolls it back. f may run more than once.
	ChangeAccess(ctx context.Context, f func(AccessTx) (Audit, error)) error
	// SweepAccess removes entries that are over, and forgets rows that were removed
	// before a moment, both in steps.
	SweepAccess(ctx context.Context, forget time.Time) error
}

// AccessTx are the changes within one transaction, each of at most MaxAccessStep
// entries or keys, without repetition.
type AccessTx interface {
	Entries(keys ...string) ([]AccessEntry, error)
	Put(entries ...AccessEntry) error // Change is the store's to set
	Delete(keys ...string) error      // of what is there; others are passed over
}
