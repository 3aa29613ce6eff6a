// Package blob is the contract of the stores that keep message bytes.
//
// A blob is exactly the bytes that were received, under a random, time-ordered [ID] and its
// SHA-256. It is written once, never changed, and shared only among the recipients of one accept.
// What refers to blobs (rows of the metadata store) lives elsewhere: a Store counts no references;
// whoever owns the rows says what is alive when it compacts.
//
// Records lie in units: a unit is one pack file or one S3 object. A [Location] says where in which
// unit a record lies; the caller keeps it beside its row and hands it back to read. Each record
// carries an opaque accept record, so that the rows can be rebuilt from the units alone ([Store.Scan]).
//
// Implementations: blob/pack (files in a folder, one process), blob/s3 (any S3 service, any number
// of processes). Both use the record format of blob/record, and blob/blobtest is the suite that
// every implementation passes.
//
// # The life of a blob
//
//	Put ──► row committed with Location ──► Open, Open, … ──► row doomed ──► Remove or Rewrite
//
// Between Put and the commit of its row a record looks dead. Whoever calls Rewrite therefore answers
// "live" for every record younger than its longest transaction ([ID.Time] tells the age).
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Limits of one record, enforced by Put with [ErrInvalid].
const (
	MaxBodyBytes   = 2 << 30 // payload
	MaxAcceptBytes = 1 << 20 // accept record
)

var (
	// ErrNotFound: the unit, or the record at that place, does not exist. After a compaction a reader
	// that holds an old Location gets it: read the row again and retry once.
	ErrNotFound = errors.New("blob: not found")
	// ErrCorrupt: bytes were read, but they fail their checksum or do not belong to the ID.
	ErrCorrupt = errors.New("blob: corrupt")
	// ErrFull: there is no space (ENOSPC, EDQUOT). The store recovers by itself when space returns.
	ErrFull = errors.New("blob: no space")
	// ErrTemporary: the service could not answer now (timeouts, 503, 429); try again later.
	ErrTemporary = errors.New("blob: temporarily unavailable")
	// ErrInvalid: the record exceeds a limit, or its body is shorter than its size.
	ErrInvalid = errors.New("blob: invalid record")
	// ErrBusy: the unit is still being written, so it cannot be rewritten or removed.
	ErrBusy = errors.New("blob: unit in use")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("blob: store closed")
)

// Location says where a store keeps a record. It is opaque outside the store that gave it, save that
// the Lengths of a unit's live records, added up, tell how much of the unit is alive.
type Location struct {
	Unit   string // name of the pack or object; at most 64 bytes of [0-9A-Za-z./_-]
	Offset int64  // bytes from the start of the unit to the start of the record
	Length int64  // bytes that the record occupies: header, accept record, payload, checksums
}

func (l Location) String() string { return fmt.Sprintf("%s@%d+%d", l.Unit, l.Offset, l.Length) }

// Record is what Put stores.
type Record struct {
	ID     ID
	SHA256 [32]byte // of the payload; computed by the caller while receiving, not checked by Put
	Accept []byte   // opaque accept record, at most MaxAcceptBytes
	Body   Body     // the payload; not touched by the store after Put has returned
}

// Entry is a stored record without its payload.
type Entry struct {
	ID       ID
	Size     int64 // bytes of the payload as received
	SHA256   [32]byte
	Accept   []byte // owned by the receiver
	Location Location
}

// Reader gives the payload of one record, exactly as received. ReadAt may be called from several
// goroutines. What ReadAt returns has passed the checksum of its chunk; a bad chunk is ErrCorrupt.
// A Reader stays valid until Close, even if its unit is compacted away meanwhile; where several processes
// share a store, only if the caller's compactions of one unit lie further apart than a Reader lives.
type Reader interface {
	io.ReaderAt
	io.Closer
	Size() int64
	Entry() Entry
}

// Damage is a stretch of a unit that holds no intact record though it should.
type Damage struct {
	Unit   string
	Offset int64
	Length int64 // 0: unknown, for example an unreadable unit
	Err    error // wraps ErrCorrupt or the error of reading
}

func (d Damage) String() string {
	return fmt.Sprintf("%s: %d bytes at %d: %v", d.Unit, d.Length, d.Offset, d.Err)
}

// UnitInfo describes one unit.
type UnitInfo struct {
	Name     string
	Bytes    int64     // occupied in the file system or bucket
	Sealed   bool      // never written again; only sealed units can be rewritten or removed
	Modified time.Time // of the last write, by the clock of the file system or service
}

// Move tells that the record ID now lies at To as well as at From.
type Move struct {
	ID       ID
	From, To Location
}

// Live answers, for each entry, whether a row refers to it at exactly that Location (or it is younger
// than the longest transaction, so that its row may still come).
type Live func(ctx context.Context, entries []Entry) ([]bool, error)

// Moved commits new locations. When it returns nil the old ones may vanish.
type Moved func(ctx context.Context, moves []Move) error

// Store keeps blobs. All methods may be called from several goroutines.
type Store interface {
	// Put stores the records and returns their locations, in order. When it returns nil they survive
	// a power cut. When it fails, none of them is promised, though some may be found by Scan.
	// Concurrent calls share one sync. It blocks for that sync; ctx is heeded until the writing of the
	// records has begun, from then on Put waits for the end, because the bodies are in use.
	Put(ctx context.Context, recs []Record) ([]Location, error)

	// Open finds the record at that place and checks that it is the one of this id (ErrNotFound,
	// ErrCorrupt). The caller closes the Reader; ctx holds for the life of the Reader.
	Open(ctx context.Context, id ID, at Location) (Reader, error)

	// Verify reads the whole record and checks every checksum and the SHA-256.
	Verify(ctx context.Context, id ID, at Location) error

	// Scan visits every intact record (header and payload checked) of every unit, oldest unit first.
	// An id may be visited more than once, with equal content, after an interrupted Rewrite. Damaged
	// stretches are skipped and returned. An error of visit ends the scan and is returned.
	// Records put while it runs may or may not be visited.
	Scan(ctx context.Context, visit func(Entry) error) ([]Damage, error)

	// Units lists the units, oldest first.
	Units(ctx context.Context) ([]UnitInfo, error)

	// Rewrite compacts a sealed unit: copies its live records elsewhere, durably, in batches of at
	// most 1,000 records; calls moved after each batch; and when all has moved removes the unit
	// (later, if pinned; where other processes may be reading it, by the first later Rewrite that finds
	// nothing alive in it). It may fail or be killed anywhere and be called again: nothing is lost.
	// A unit with damaged stretches is kept after the intact live records have moved, and Rewrite
	// returns ErrCorrupt: an administrator decides about the rest.
	Rewrite(ctx context.Context, unit string, live Live, moved Moved) error

	// Remove tells that these records are dead. A sealed unit of which every record is in dead goes
	// (later, if pinned); of other units nothing is removed, that is the work of Rewrite.
	Remove(ctx context.Context, dead []Location) error

	// Pin keeps every unit from being removed by this handle until release is called (a backup copies
	// meanwhile). Pins nest; release may be called more than once.
	Pin() (release func())

	// Close waits for running Puts, seals what is open and releases the store. Readers that are open
	// remain valid.
	Close() error
}

// ReadAll returns the whole payload of a record.
func ReadAll(ctx context.Context, s Store, id ID, at Location) ([]byte, error) {
	r, err := s.Open(ctx, id, at)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	buf := make([]byte, r.Size())
	if n, err := r.ReadAt(buf, 0); n < len(buf) {
		return nil, err
	}
	return buf, nil
}
