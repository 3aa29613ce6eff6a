package sqlstore

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"posta/internal/durable"
	"posta/internal/store"
)

// sqliteEngine is one database file with its writer, its readers and the keeper
// of its log.
type sqliteEngine struct {
	path    string
	writer  *sqliteWriter
	readers *sqliteReaders
	quit    chan struct{}
	once    sync.Once
	closing error
}

// sqliteOptions say what kind of file it is.
type sqliteOptions struct {
	path   string
	synced bool // commits survive a power cut
	schema schema
	clock  func() time.Time
	wakes  *notifier
	fail   *durable.Failpoints
}

func newSQLite(o sqliteOptions) (*sqliteEngine, error) {
	sync := "synchronous=NORMAL" // a power cut loses the last commits, but never the file
	if o.synced {
		sync = "synchronous=FULL"
	}
	conn, err := openSQLite(o.path, "busy_timeout=5000", "page_size=4096", "journal_mode=WAL", sync,
		"fullfsync=1", "wal_autocheckpoint=0", "cache_size=-16384", "temp_store=MEMORY")
	if err != nil {
		return nil, err
	}
	keeper, err := openSQLite(o.path, "busy_timeout=100", sync, "checkpoint_fullfsync=1", "wal_autocheckpoint=0", "cache_size=-64")
	if err != nil {
		return nil, errors.Join(err, conn.close())
	}
	e := &sqliteEngine{
		path:    o.path,
		readers: newReaders(o.path, o.clock),
		quit:    make(chan struct{}),
		writer: &sqliteWriter{
			pause: time.NewTimer(time.Hour),
			conn:  conn, counts: newCounters(), seqs: rowSequences{}, clock: o.clock, wakes: o.wakes, fail: o.fail,
			wal:  &walKeeper{conn: keeper, path: o.path + "-wal", done: make(chan struct{})},
			ops:  make(chan *op, maxGroupOps),
			done: make(chan struct{}),
		},
	}
	go e.writer.run(e.quit)
	go e.writer.wal.run(e.quit)
	if err := migrate(context.Background(), e, o.schema, sqliteWords); err != nil {
		return nil, errors.Join(err, e.close())
	}
	// The names of a new file and its log must survive a power cut too.
	if err := syncFolder(filepath.Dir(o.path)); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (e *sqliteEngine) write(ctx context.Context, f func(*tx) error) error {
	return e.writer.write(ctx, f)
}

func (e *sqliteEngine) read(ctx context.Context, f func(*tx) error) error {
	return e.readers.read(ctx, f)
}

func (e *sqliteEngine) verify(ctx context.Context, report func(store.Breach)) error {
	return e.read(ctx, func(t *tx) error {
		lines, err := collect(t, one[string], "PRAGMA quick_check(20)")
		for _, l := range lines {
			if l != "ok" {
				report(store.Breach{Invariant: "sqlite.quick_check", Detail: l})
			}
		}
		return err
	})
}

func (e *sqliteEngine) close() error {
	e.once.Do(func() {
		close(e.quit)
		<-e.writer.done
		<-e.writer.wal.done
		// The last connection to close copies the log and removes it.
		e.closing = errors.Join(e.readers.close(), e.writer.wal.conn.close(), e.writer.conn.close())
	})
	return e.closing
}

func syncFolder(dir string) error {
	fs, err := durable.OpenOS(dir)
	if err != nil {
		return err
	}
	return errors.Join(fs.SyncDir("."), fs.Close())
}
