// Package sqltally keeps the spam learner's tallies in SQLite, in a file of its
// own with its own writer, or in PostgreSQL, in tables of their own.
//
// A model that is asked often is held in memory, whole, so that judging costs
// neither a query nor, for the many features that were never seen, a search. Others
// are asked with one query. Models in memory share Options.Memory; the one that was
// asked longest ago leaves first. What other nodes learned is seen within
// Options.Refresh.
//
// SQLite's file is written with synchronous=NORMAL: a power cut loses what was
// learned last, never the file. A file that is damaged is put aside as
// <name>.damaged and begun anew.
package sqltally

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"posta/internal/spam/tally"
)

// Options say where and how. One of SQLite and Postgres is given.
type Options struct {
	SQLite   string        // path of the file
	Postgres string        // URL of the database
	Memory   int           // octets that models in memory may take; 0: 64 MiB
	Refresh  time.Duration // how old a model in memory may be where others write too; 0: 30 s
}

// Store implements tally.Store.
type Store struct {
	db      *sql.DB
	words   words
	cache   *cache
	refresh time.Duration
	shared  bool          // other nodes write too
	writer  chan struct{} // holds one token: SQLite has one writer, and waiting here is fair
}

var _ tally.Store = (*Store)(nil)

// Open opens or begins the tables.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Memory <= 0 {
		o.Memory = 64 << 20
	}
	if o.Refresh <= 0 {
		o.Refresh = 30 * time.Second
	}
	s := &Store{cache: newCache(o.Memory), refresh: o.Refresh, writer: make(chan struct{}, 1)}
	var err error
	switch {
	case (o.SQLite == "") == (o.Postgres == ""):
		return nil, errors.New("sqltally: one of SQLite and Postgres must be given")
	case o.SQLite != "":
		s.words = sqliteWords
		s.db, err = openOrReplace(ctx, o.SQLite)
	default:
		s.words, s.shared = postgresWords, true
		s.db, err = open(ctx, "pgx", o.Postgres, postgresWords, 4)
	}
	if err != nil {
		return nil, fmt.Errorf("sqltally: %w", err)
	}
	return s, nil
}

// Close closes the database. Nothing is pending.
func (s *Store) Close() error { return s.db.Close() }

func open(ctx context.Context, driver, dsn string, w words, conns int) (*sql.DB, error) {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	if err := makeTables(ctx, db, w); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func makeTables(ctx context.Context, db *sql.DB, w words) error {
	return transact(ctx, db, func(tx *sql.Tx) error {
		for _, q := range w.schema {
			if _, err := tx.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
}

// openOrReplace opens SQLite's file; one that is not what SQLite wrote is put
// aside.
func openOrReplace(ctx context.Context, path string) (*sql.DB, error) {
	db, err := openSQLite(ctx, path)
	if !damaged(err) {
		return db, err
	}
	if err := os.Rename(path, path+".damaged"); err != nil {
		return nil, err
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return openSQLite(ctx, path)
}

func openSQLite(ctx context.Context, path string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	pragmas := url.Values{"_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)", "cache_size(-8192)", "temp_store(MEMORY)",
		"journal_size_limit(4194304)",
	}, "_txlock": {"immediate"}}
	dsn := (&url.URL{Scheme: "file", Path: abs, RawQuery: pragmas.Encode()}).String()
	return open(ctx, "sqlite", dsn, sqliteWords, 2)
}

func damaged(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	code := e.Code() & 0xff
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}
