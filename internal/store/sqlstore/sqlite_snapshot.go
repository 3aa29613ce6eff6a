package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// snapshotPages is how much is copied between two looks at the context.
const snapshotPages = 2000

// snapshot copies the file as of one moment, then streams the copy. The copying
// holds a read transaction: writers go on, the log cannot start anew meanwhile.
func (e *sqliteEngine) snapshot(ctx context.Context, w io.Writer) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(e.path), snapshotPrefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	name := filepath.Join(dir, "copy.db")
	if err := e.copyTo(ctx, name); err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, contextReader{ctx, f})
	return err
}

// snapshotPrefix names the folders of snapshots that are being made; those that a
// crash has left are removed by Open.
const snapshotPrefix = "snapshot-"

func (e *sqliteEngine) copyTo(ctx context.Context, name string) error {
	c, err := openSQLite(e.path, "busy_timeout=2000", "query_only=1")
	if err != nil {
		return err
	}
	err = readOn(ctx, c, e.writer.clock, func(t *tx) error {
		// The first statement fixes the moment.
		if _, err := collect(t, one[int64], "SELECT count(*) FROM schema_version"); err != nil {
			return err
		}
		from, ok := c.raw.(interface {
			NewBackup(string) (*sqlite.Backup, error)
		})
		if !ok {
			return fmt.Errorf("sqlstore: the driver %T cannot copy", c.raw)
		}
		b, err := from.NewBackup(name)
		if err != nil {
			return mapSQLite(err)
		}
		more := true
		for more && err == nil {
			if err = ctx.Err(); err == nil {
				more, err = b.Step(snapshotPages)
			}
		}
		return errors.Join(mapSQLite(err), b.Finish())
	})
	return errors.Join(err, c.close())
}

// contextReader stops reading when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
