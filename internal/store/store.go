// Package store is the contract of Posta's state: which operations there are on
// the metadata of mail, what each makes durable, and what it promises when the
// process or the database dies in the middle.
//
// The contract is operations, not tables. Every engine (SQLite in this process,
// PostgreSQL for many nodes) passes store/storetest, run concurrently from two
// handles. What all of them promise:
//
//   - A method that returned nil is durable: it survives a power cut.
//   - A method that returned an error changed nothing, save when the error is
//     ErrUnknown (the reply to COMMIT was lost) or the method's comment says that
//     it works in steps.
//   - No write transaction exceeds 1,000 rows or about 20 ms; what is larger runs
//     in steps that may be repeated.
//   - Nobody learns a UID, a MODSEQ or a queue entry before it is committed.
//   - Account rows are locked in ascending order, so two writers cannot deadlock.
//   - Every method may block on the database; all obey their context.
//
// Message bytes are in blob; the store keeps where each blob rests.
package store

import (
	"context"
	"errors"
	"io"
	"time"

	"posta/internal/blob"
	"posta/internal/mailbox"
)

// Errors that callers ask for with errors.Is.
var (
	ErrNotFound  = errors.New("store: no such object")
	ErrExists    = errors.New("store: it exists already")
	ErrQuota     = errors.New("store: over quota")
	ErrFull      = errors.New("store: no space left")     // answered 452
	ErrTemporary = errors.New("store: try again later")   // answered 451
	ErrUnknown   = errors.New("store: outcome not known") // the COMMIT's reply was lost; ask Accepted
	ErrFenced    = errors.New("store: lease was lost")    // somebody else has the work now
	ErrConflict  = errors.New("store: changed meanwhile") // optimistic version check failed
	ErrReadOnly  = errors.New("store: needs an upgrade or is read-only")
	ErrInvalid   = errors.New("store: bad argument") // the caller's mistake; the wrapping error says which
)

// Store is all of it. An engine is one value that implements Store; callers
// declare the smaller interfaces that they need.
type Store interface {
	Directory
	Scripts
	Access
	Acceptor
	Mailboxes
	Queue
	Quarantine
	Jobs
	Blobs
	Traces
	Facts
	Reports

	// Rules are the rules of addresses, rewriting and transports (package rules), kept as
	// the access map is, apart from it.
	Rules() Access
	// Ping asks whether a write would be possible now (/readyz).
	Ping(ctx context.Context) error
	// Subscribe wakes the returned channel (capacity 1, coalesced) after commits
	// that changed the account; with 0, after commits that made queue or job
	// work due or changed the directory. A wake-up is a hint: the truth is the
	// change counter.
	Subscribe(account mailbox.AccountID) (wake <-chan struct{}, cancel func())
	// Snapshot writes a consistent copy of the metadata for a backup: whatever the
	// engine, the SQLite file with which the embedded engine goes on.
	Snapshot(ctx context.Context, w io.Writer) error
	// Verify checks every invariant of the metadata and reports each breach.
	Verify(ctx context.Context, report func(Breach)) error
	Close() error
}

// Breach is one invariant that does not hold.
type Breach struct {
	Invariant string // stable id, e.g. "placement.email"
	Detail    string
}

// Blobs knows where each message's bytes rest and when they may go.
type Blobs interface {
	// BlobRef is where a blob rests; ErrNotFound once it is gone.
	BlobRef(ctx context.Context, id blob.ID) (BlobRef, error)
	// Doom marks blobs that no row refers to any more, at most limit of them, and
	// returns how many; from then on no new reference can be made.
	Doom(ctx context.Context, limit int) (int, error)
	// Doomed lists blobs doomed before a moment. The caller removes their bytes
	// and then calls Forget.
	Doomed(ctx context.Context, before time.Time, limit int) ([]BlobRef, error)
	// Forget deletes the rows of blobs whose bytes are dead.
	Forget(ctx context.Context, ids []blob.ID) error
	// MoveBlobs commits a compaction: each blob that still rests at From rests at
	// To afterwards.
	MoveBlobs(ctx context.Context, moves []blob.Move) error
	// UnitUse tells, for each unit of the blob store, how many octets of it are
	// alive: the Lengths of records of blobs that are not forgotten.
	UnitUse(ctx context.Context) (map[string]int64, error)
	// EachBlob calls f with every blob row, in pages.
	EachBlob(ctx context.Context, f func(BlobRef) error) error
}

// BlobRef is one blob's row.
type BlobRef struct {
	ID     blob.ID
	At     blob.Location
	Size   int64
	SHA256 [32]byte
	Doomed time.Time // zero: alive
}
