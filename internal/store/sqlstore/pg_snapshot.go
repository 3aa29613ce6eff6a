package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// snapshotRows is how many rows are copied in one write.
const snapshotRows = 500

// snapshot writes the tables, as of one moment, as the SQLite file that the other
// engine would have: one format of backup for both, and the way back from many
// nodes to one.
func (e *pgEngine) snapshot(ctx context.Context, w io.Writer) (err error) {
	dir, err := os.MkdirTemp("", snapshotPrefix)
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

func (e *pgEngine) copyTo(ctx context.Context, name string) error {
	to, err := newSQLite(sqliteOptions{path: name, schema: mainSchema(), clock: time.Now, wakes: newNotifier()})
	if err != nil {
		return err
	}
	err = e.readOnce(ctx, func(from *tx) error {
		var tables []string
		err := to.read(ctx, func(t *tx) (err error) {
			tables, err = collect(t, one[string], "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('sequence', 'schema_version')")
			return err
		})
		if err != nil {
			return err
		}
		for _, table := range tables {
			if err := copyTable(ctx, from, to, table); err != nil {
				return fmt.Errorf("table %s: %w", table, err)
			}
		}
		return copySequences(ctx, from, to)
	})
	return errors.Join(err, to.close())
}

// copyTable streams one table, in steps of snapshotRows.
func copyTable(ctx context.Context, from *tx, to engine, table string) error {
	var columns []string
	err := to.write(ctx, func(t *tx) (err error) {
		if columns, err = collect(t, one[string], "SELECT name FROM pragma_table_info($1)", table); err != nil {
			return err
		}
		_, err = t.exec("DELETE FROM " + table) // rows that the schema begins with
		return err
	})
	if err != nil {
		return err
	}
	marks := make([]string, len(columns))
	for i := range marks {
		marks[i] = fmt.Sprint("$", i+1)
	}
	insert := "INSERT INTO " + table + " (" + joined(columns) + ") VALUES (" + joined(marks) + ")"
	r, err := from.query("SELECT " + joined(columns) + " FROM " + table)
	if err != nil {
		return err
	}
	defer r.close()
	for page, more := [][]any(nil), true; more; page = page[:0] {
		for len(page) < snapshotRows {
			if more = r.next(); !more {
				break
			}
			page = append(page, append([]any(nil), r.vals...))
		}
		err := to.write(ctx, func(t *tx) error {
			for _, row := range page {
				if _, err := t.exec(insert, row...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return r.close()
}

func joined(names []string) string { return strings.Join(names, ", ") }

// copySequences makes the copy go on above every id that a node may hold.
func copySequences(ctx context.Context, from *tx, to engine) error {
	for _, s := range sequences() {
		var last int64
		if err := from.row("SELECT last_value FROM " + pgx.Identifier{"seq_" + string(s)}.Sanitize()).scan(&last); err != nil {
			return err
		}
		err := to.write(ctx, func(t *tx) error {
			_, err := t.exec("INSERT INTO sequence (name, next) VALUES ($1, $2)", string(s), last+pgBlock)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
