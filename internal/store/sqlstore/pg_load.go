package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"posta/internal/store"
)

// Vacant looks whether a PostgreSQL database has no metadata yet, so that Load
// could fill it; it makes the schema. ErrExists names the first table with a row.
func Vacant(ctx context.Context, dsn string) (err error) {
	e, err := openPG(ctx, dsn, newNotifier(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	tables, err := mainSchema().tables(pgWords)
	if err != nil {
		return err
	}
	return e.read(ctx, func(t *tx) error { return vacant(t, tables) })
}

// Load fills an empty PostgreSQL database with the metadata of a file of the
// SQLite engine, which nobody has open: the way from one node to many, and that of
// a backup back. It is one transaction: all of it is there afterwards or, after
// any error but ErrUnknown, nothing. No node may run on the database meanwhile;
// the tables are locked. ErrExists if there is anything.
//
// The keys that find traces are not in the file; they are made again. Neither are
// the small facts that may be lost.
func Load(ctx context.Context, dsn, file string) (err error) {
	from, err := newSQLite(sqliteOptions{path: file, synced: true, schema: mainSchema(), clock: time.Now, wakes: newNotifier()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	to, err := openPG(ctx, dsn, newNotifier(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	return to.writeOnce(ctx, func(t *tx) error {
		return from.read(ctx, func(f *tx) error { return load(f, t) })
	})
}

// seeded are the tables that have rows from the schema on.
var seeded = map[string]bool{"directory": true, "latch": true, "access_state": true, "rule_state": true}

func vacant(t *tx, tables []string) error {
	for _, table := range tables {
		if seeded[table] {
			continue
		}
		var there int64
		err := t.row("SELECT 1 FROM " + pgx.Identifier{table}.Sanitize() + " LIMIT 1").scan(&there)
		if err == nil {
			return wrap(store.ErrExists, "table %s has rows", table)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// load copies every table and lets the sequences go on where they were.
func load(from, to *tx) error {
	tables, err := mainSchema().tables(pgWords)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if _, err := to.exec("LOCK TABLE " + pgx.Identifier{table}.Sanitize() + " IN ACCESS EXCLUSIVE MODE"); err != nil {
			return err
		}
	}
	if err := vacant(to, tables); err != nil {
		return err
	}
	for _, table := range tables {
		if err := loadTable(from, to, table); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	type place struct {
		name string
		next int64
	}
	places, err := collect(from, func(r *rows, p *place) error { return r.scan(&p.name, &p.next) }, "SELECT name, next FROM sequence")
	if err != nil {
		return err
	}
	for _, p := range places {
		var set int64
		if err := to.row("SELECT setval($1::text::regclass, $2)", "seq_"+p.name, p.next).scan(&set); err != nil {
			return err
		}
	}
	return nil
}

// loadTable streams the rows of one table.
func loadTable(from, to *tx, table string) error {
	columns, err := collect(from, one[string], "SELECT name FROM pragma_table_info($1)", table)
	if err != nil {
		return err
	}
	name := pgx.Identifier{table}
	if _, err := to.exec("DELETE FROM " + name.Sanitize()); err != nil { // rows that the schema begins with
		return err
	}
	r, err := from.query("SELECT " + joined(columns) + " FROM " + table)
	if err != nil {
		return err
	}
	defer r.close()
	src := &loading{rows: r}
	if _, err := to.sql.(*pgConn).c.CopyFrom(to.ctx, name, columns, src); err != nil {
		return mapPG(err)
	}
	return r.close()
}

// loading implements pgx.CopyFromSource over rows of SQLite.
type loading struct{ rows *rows }

func (l *loading) Next() bool { return l.rows.next() }

func (l *loading) Values() ([]any, error) { return pgValues(l.rows.vals) }

func (l *loading) Err() error { return l.rows.err }
