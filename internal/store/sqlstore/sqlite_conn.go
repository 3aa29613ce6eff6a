package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"posta/internal/store"
)

// sqliteConn is one connection with its prepared statements. It drives the driver
// directly: database/sql would add pools, locks and conversions that cost as much
// as a small INSERT. It belongs to one goroutine at a time.
type sqliteConn struct {
	raw    driver.Conn
	stmts  map[string]*sqliteStmt
	broken error // what has ended the transaction behind our back
}

// maxStatements bounds the prepared statements of a connection; beyond it all are
// prepared anew.
const maxStatements = 300

type sqliteStmt struct {
	raw  driver.Stmt
	args []driver.NamedValue
	busy bool // a cursor is open
}

// openSQLite opens the file and runs the pragmas in order.
func openSQLite(path string, pragmas ...string) (*sqliteConn, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	c, err := sqlite.NewConnector((&url.URL{Scheme: "file", Path: abs}).String())
	if err != nil {
		return nil, err
	}
	raw, err := c.Connect(context.Background())
	if err != nil {
		return nil, mapSQLite(err)
	}
	conn := &sqliteConn{raw: raw, stmts: map[string]*sqliteStmt{}}
	for _, p := range pragmas {
		if err := conn.run("PRAGMA " + p); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", p, err), conn.close())
		}
	}
	return conn, nil
}

// run executes statements without arguments that are not worth keeping.
func (c *sqliteConn) run(q string) error {
	_, err := c.raw.(driver.ExecerContext).ExecContext(context.Background(), q, nil)
	return c.failed(err)
}

// numbers runs a pragma that answers one row of numbers.
func (c *sqliteConn) numbers(q string, dest ...any) error {
	cur, err := c.query(context.Background(), q, nil)
	if err != nil {
		return err
	}
	vals, err := cur.next()
	if err == nil && vals != nil {
		err = assignAll(dest, vals)
	}
	return errors.Join(err, cur.close())
}

func (c *sqliteConn) close() error {
	c.dropStatements()
	return c.raw.Close()
}

func (c *sqliteConn) dropStatements() {
	for q, s := range c.stmts {
		if !s.busy {
			_ = s.raw.Close() // it repeats the error of its last step
			delete(c.stmts, q)
		}
	}
}

// exec implements statements. The context is not handed on: its cancellation
// would interrupt a transaction that others share.
func (c *sqliteConn) exec(_ context.Context, q string, args []any) (int64, error) {
	s, err := c.bind(q, args)
	if err != nil {
		return 0, err
	}
	r, err := s.raw.(driver.StmtExecContext).ExecContext(context.Background(), s.args)
	if err != nil {
		return 0, c.failed(err)
	}
	return r.RowsAffected()
}

// query implements statements.
func (c *sqliteConn) query(_ context.Context, q string, args []any) (cursor, error) {
	s, err := c.bind(q, args)
	if err != nil {
		return nil, err
	}
	if s.busy {
		return nil, fmt.Errorf("sqlstore: %q is still being read", q)
	}
	r, err := s.raw.(driver.StmtQueryContext).QueryContext(context.Background(), s.args)
	if err != nil {
		return nil, c.failed(err)
	}
	s.busy = true
	n := len(r.Columns())
	return &sqliteCursor{c: c, s: s, r: r, raw: make([]driver.Value, n), vals: make([]any, n)}, nil
}

// bind finds the prepared statement and fills its arguments.
func (c *sqliteConn) bind(q string, args []any) (*sqliteStmt, error) {
	s := c.stmts[q]
	if s == nil {
		if len(c.stmts) >= maxStatements {
			c.dropStatements()
		}
		raw, err := c.raw.Prepare(sqliteParams(q))
		if err != nil {
			return nil, fmt.Errorf("%w in %q", c.failed(err), q)
		}
		s = &sqliteStmt{raw: raw}
		c.stmts[q] = s
	}
	if cap(s.args) < len(args) {
		s.args = make([]driver.NamedValue, len(args))
	}
	s.args = s.args[:len(args)]
	for i, a := range args {
		v, err := value(a)
		if err != nil {
			return nil, err
		}
		s.args[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return s, nil
}

// sqliteParams rewrites $1 parameters. SQLite takes "$1" for a name and numbers it
// by its first use, so they become ?1, or plain ? where the order allows: the
// driver asks for the name of each parameter, and a plain one has none to copy.
func sqliteParams(q string) string {
	var named, plain strings.Builder
	inOrder, seen := true, 0
	for {
		before, after, found := strings.Cut(q, "$")
		named.WriteString(before)
		plain.WriteString(before)
		if !found {
			break
		}
		end := 0
		for end < len(after) && after[end] >= '0' && after[end] <= '9' {
			end++
		}
		seen++
		if n, err := strconv.Atoi(after[:end]); err != nil || n != seen {
			inOrder = false
		}
		named.WriteString("?" + after[:end])
		plain.WriteString("?")
		q = after[end:]
	}
	if inOrder {
		return plain.String()
	}
	return named.String()
}

type sqliteCursor struct {
	c    *sqliteConn
	s    *sqliteStmt
	r    driver.Rows
	raw  []driver.Value
	vals []any
}

func (k *sqliteCursor) next() ([]any, error) {
	err := k.r.Next(k.raw)
	if err == io.EOF {
		return nil, nil
	}
	if err != nil {
		return nil, k.c.failed(err)
	}
	for i, v := range k.raw {
		if b, ok := v.([]byte); ok && b == nil {
			v = []byte{}
		}
		k.vals[i] = v
	}
	return k.vals, nil
}

func (k *sqliteCursor) close() error {
	if !k.s.busy {
		return nil
	}
	k.s.busy = false
	return k.c.failed(k.r.Close())
}

// failed maps an error and notes those after which SQLite may have rolled back
// the whole transaction by itself.
func (c *sqliteConn) failed(err error) error {
	if err == nil {
		return nil
	}
	err = mapSQLite(err)
	if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrTemporary) || errors.Is(err, store.ErrReadOnly) {
		c.broken = err
	}
	return err
}

// mapSQLite gives an error of the driver the meaning that store names.
func mapSQLite(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	kind := error(nil)
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		kind = store.ErrFull
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PROTOCOL:
		kind = store.ErrTemporary
	case sqlite3.SQLITE_READONLY:
		kind = store.ErrReadOnly
	case sqlite3.SQLITE_CONSTRAINT:
		if e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY || e.Code() == sqlite3.SQLITE_CONSTRAINT_ROWID {
			kind = store.ErrExists
		}
	}
	if kind == nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return fmt.Errorf("%w: sqlite: %w", kind, err)
}
