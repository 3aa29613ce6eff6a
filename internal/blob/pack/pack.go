// Package pack is a blob.Store in a folder: immutable, append-only pack files.
//
// A pack is written by one process, once. While it grows it is called <unit>.open, afterwards
// <unit>.pack, where the unit's name is a blob id, so that names sort by time. Space is reserved in
// steps ahead of the writing; zeros at the end of an open pack are that space. A record larger than
// Config.SoloBytes gets a pack of its own, written by the goroutine of its Put: it holds up nobody else,
// and its space comes back as soon as it is dead.
//
// # What happens at Put
//
// One goroutine takes all Puts that wait, encodes their records into one buffer, and then
//
//	pwrite(pack)        once, unless the batch exceeds 1 MiB
//	fdatasync(pack)     once for the batch
//
// A new pack adds, before its first acknowledged record: open(O_CREAT|O_EXCL), pwrite(header),
// fdatasync, fsync(folder).
//
// # When something fails
//
// After a failed write or sync the batch fails as a whole and the pack is abandoned: the file ends
// where the last good sync ended, is checked in the background, and is never written again; the next
// Put begins a new pack. So a full disk costs refusals as long as it is full and nothing else.
//
// After a crash, Open closes every pack found open: it looks for the last intact record, keeps what
// lies behind it (a torn write that nobody was told of) out of the way without overwriting it, and
// writes the footer. Damage is reported through Config.Damaged and by Scan; nothing is ever cut away but
// reserved zeros.
//
// A second process is refused by a lock file (durable.ErrLocked). A backup may copy the folder while it
// holds a Pin; a copied .open file is a pack after a crash.
//
// # Limits
//
// Packs may exceed PackBytes by one batch. Rewrite puts live records into the pack that is being
// written, beside new mail. A pack that was open is sealed at the latest by Close or the next Open.
package pack

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"
	"time"

	"posta/internal/blob"
	"posta/internal/blob/gather"
	"posta/internal/blob/record"
	"posta/internal/durable"
)

// Config says how a store is kept. The zero value is good.
type Config struct {
	PackBytes     int64               // begin a new pack at this size; 0: 256 MiB
	SoloBytes     int64               // records of more bytes get their own pack; 0: 8 MiB
	ReserveBytes  int64               // reserve space in steps of this; 0: 8 MiB
	BatchBytes    int64               // records that share one sync, in bytes; 0: 4 MiB
	BatchRecords  int                 // and in number; 0: 512
	OpenFiles     int                 // files kept open for reading; 0: 128
	Compression   record.Compression  // of payloads up to 1 MiB; 0: none
	Damaged       func(blob.Damage)   // told of damage found by Open, or after a failed write from a goroutine of the store; may be nil
	Now           func() time.Time    // names packs; nil: time.Now
	Failpoints    *durable.Failpoints // pack.write, pack.sync, pack.synced, pack.move (before the move is committed), pack.unlink (after)
	unsyncedWrite bool                // tests of the tests only: leave out the sync
}

// longestGather bounds how long a batch is gathered while more keep coming. It is the order of a sync, which
// costs as much for one record as for fifty.
const longestGather = 2 * time.Millisecond

func (c *Config) defaults() {
	c.PackBytes = orDefault(c.PackBytes, 256<<20)
	c.SoloBytes = orDefault(c.SoloBytes, 8<<20)
	c.ReserveBytes = orDefault(c.ReserveBytes, 8<<20)
	c.BatchBytes = orDefault(c.BatchBytes, 4<<20)
	c.BatchRecords = orDefault(c.BatchRecords, 512)
	c.OpenFiles = orDefault(c.OpenFiles, 128)
	if c.Damaged == nil {
		c.Damaged = func(blob.Damage) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

func orDefault[T int | int64](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Store is a blob.Store. Its methods may be called from several goroutines.
//
// Lock order: handles.mu before mu. No lock is held during file operations, except that handles.mu is held
// while a file is opened for reading.
type Store struct {
	cfg   Config
	fs    durable.FS
	dir   string
	lock  io.Closer
	codec *record.Codec

	handles handles

	puts   *gather.Gatherer // its tasks: writer, solo Puts, checks of abandoned packs
	closed func() error

	mu      sync.Mutex
	units   map[string]*unit
	pins    int
	dropped map[string]bool // units to be removed when the last pin goes
	shut    bool            // Close has begun
}

var _ blob.Store = (*Store)(nil)

// unit is what is known about a pack; guarded by Store.mu.
type unit struct {
	name     string
	salt     record.Salt
	bytes    int64
	modified time.Time
	open     bool // its file is called .open
	sealed   bool // never written again
	known    bool // salt is set
	busy     bool // a Rewrite or Remove is at work
}

const (
	openSuffix = ".open"
	packSuffix = ".pack"
	lockName   = "lock"
)

func (s *Store) file(name string, open bool) string {
	if open {
		return path.Join(s.dir, name+openSuffix)
	}
	return path.Join(s.dir, name+packSuffix)
}

// Open opens the store in a folder of fsys, which is made if missing ("." is the root). It blocks while
// packs that were open at a crash are read through. The caller closes the Store, not fsys, which must
// stay usable until then.
func Open(ctx context.Context, fsys durable.FS, dir string, cfg Config) (*Store, error) {
	cfg.defaults()
	codec, err := record.NewCodec(cfg.Compression)
	if err != nil {
		return nil, err
	}
	if err := fsys.Mkdir(dir); err != nil {
		return nil, err
	}
	lock, err := fsys.Lock(path.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("blob folder %s: %w", dir, err)
	}
	s := &Store{
		cfg: cfg, fs: fsys, dir: dir, lock: lock, codec: codec,
		puts:  gather.New(gather.Limits{Solo: cfg.SoloBytes, Bytes: cfg.BatchBytes, Records: cfg.BatchRecords, Linger: longestGather}),
		units: make(map[string]*unit), dropped: make(map[string]bool),
	}
	s.handles = handles{open: s.openForReading, limit: cfg.OpenFiles, byName: make(map[string]*handle), idle: list.New()}
	s.closed = sync.OnceValue(s.close)
	if err := s.recover(ctx); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.puts.Go(s.write)
	return s, nil
}

// Close waits for running Puts, seals the open pack and gives the folder free.
func (s *Store) Close() error { return s.closed() }

func (s *Store) close() error {
	s.mu.Lock()
	s.shut = true
	s.mu.Unlock()
	s.puts.Close()
	return errors.Join(s.handles.close(), s.lock.Close())
}

// mapError says in the words of the contract what a file operation answered.
func mapError(err error) error {
	if err != nil && durable.IsFull(err) {
		return fmt.Errorf("%w: %w", blob.ErrFull, err)
	}
	return err
}
