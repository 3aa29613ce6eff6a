package sqlstore

import (
	"context"
	"io"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// engine runs transactions. There are two: sqliteEngine and pgEngine.
type engine interface {
	// write runs f in a transaction; its effects are durable when write returns
	// nil. f may run more than once: it must assign its results anew each time.
	write(ctx context.Context, f func(*tx) error) error
	// read runs f over one snapshot. f must not write, and may run more than once.
	read(ctx context.Context, f func(*tx) error) error

	snapshot(ctx context.Context, w io.Writer) error
	verify(ctx context.Context, report func(store.Breach)) error
	close() error
}

// tx is a transaction. It is used by one goroutine, inside f only.
//
// Arguments may be integers and strings of any named type, bool (0 or 1),
// []byte, [16]byte and [32]byte arrays of any named type, and time.Time
// (microseconds; the zero Time is 0). The same types, as pointers, are scanned
// into. A nil []byte is written as empty, never as NULL.
//
// Rows must be read to the end or closed before the next statement: PostgreSQL
// has one result at a time on a connection.
type tx struct {
	ctx   context.Context
	sql   statements
	clock int64 // microseconds
	forUp string
	list  func(n int, ids []int64) (string, any)

	batch    batcher   // nil where a statement costs no round trip
	counts   *counters // nil in a read transaction
	newIDs   func(t *tx, s sequence) (int64, error)
	woken    []mailbox.AccountID
	after    []func()
	lastLock mailbox.AccountID
	anyOrder bool // a directory change: PostgreSQL resolves its rare deadlocks
	wrote    bool
}

// statements is what an engine's connection can do.
type statements interface {
	exec(ctx context.Context, q string, args []any) (int64, error)
	query(ctx context.Context, q string, args []any) (cursor, error)
}

// batcher keeps statements to send them together.
type batcher interface {
	queue(q string, args []any, check func(n int64) error) error
}

// cursor walks over a result. The values that next returns are valid until the
// following call; nil means the end. They are int64, float64, string, []byte or nil.
type cursor interface {
	next() ([]any, error)
	close() error
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(q string, args ...any) (int64, error) {
	if err := t.ctx.Err(); err != nil && !t.wrote {
		return 0, err
	}
	if t.counts == nil {
		return 0, store.ErrReadOnly
	}
	t.wrote = true
	return t.sql.exec(t.ctx, q, args)
}

// later is exec for a statement whose outcome nobody waits for: PostgreSQL sends
// such statements together, before the next other one or the COMMIT. check, when
// not nil, is told then how many rows were changed.
func (t *tx) later(check func(n int64) error, q string, args ...any) error {
	if t.batch != nil && t.counts != nil {
		t.wrote = true
		return t.batch.queue(q, args, check)
	}
	n, err := t.exec(q, args...)
	if err == nil && check != nil {
		err = check(n)
	}
	return err
}

// query runs a statement that gives rows.
func (t *tx) query(q string, args ...any) (*rows, error) {
	if err := t.ctx.Err(); err != nil && !t.wrote {
		return nil, err
	}
	if t.counts != nil && returning(q) {
		t.wrote = true
	}
	c, err := t.sql.query(t.ctx, q, args)
	if err != nil {
		return nil, err
	}
	return &rows{c: c}, nil
}

// row runs a statement that gives at most one row; scan says ErrNotFound when
// there is none.
func (t *tx) row(q string, args ...any) scanner {
	r, err := t.query(q, args...)
	return scanner{r: r, err: err}
}

// now is the database's clock at the start of the transaction, in microseconds.
func (t *tx) now() int64 { return t.clock }

// lock is what a SELECT ends in to lock its rows: " FOR UPDATE" or nothing.
func (t *tx) lock() string { return t.forUp }

// in gives the right side of "uid IN …" for parameter $n, and its argument.
func (t *tx) in(n int, ids []int64) (sql string, arg any) { return t.list(n, ids) }

// id gives the next number of a sequence.
func (t *tx) id(s sequence) (int64, error) { return t.newIDs(t, s) }

// wake tells the account's subscribers after the commit; 0 are those of queue,
// jobs and directory.
func (t *tx) wake(a mailbox.AccountID) {
	for _, w := range t.woken {
		if w == a {
			return
		}
	}
	t.woken = append(t.woken, a)
}

// afterCommit runs f once the transaction is durable. f must not block.
func (t *tx) afterCommit(f func()) { t.after = append(t.after, f) }

// returning reports whether a statement of query writes.
func returning(q string) bool { return len(q) > 6 && q[0] != 'S' && q[0] != 'W' }

// rows is the result of query.
type rows struct {
	c    cursor
	vals []any
	err  error
}

// next goes to the next row; false at the end or on an error, which close tells.
func (r *rows) next() bool {
	if r.c == nil {
		return false
	}
	r.vals, r.err = r.c.next()
	if r.vals == nil || r.err != nil {
		r.finish()
		return false
	}
	return true
}

// scan assigns the row's values.
func (r *rows) scan(dest ...any) error { return assignAll(dest, r.vals) }

// close ends the result and returns the error that stopped it, if any. It may be
// called more than once.
func (r *rows) close() error {
	r.finish()
	return r.err
}

func (r *rows) finish() {
	if r.c == nil {
		return
	}
	if err := r.c.close(); r.err == nil {
		r.err = err
	}
	r.c = nil
}

// scanner is the result of row.
type scanner struct {
	r   *rows
	err error
}

func (s scanner) scan(dest ...any) error {
	if s.err != nil {
		return s.err
	}
	if !s.r.next() {
		if err := s.r.close(); err != nil {
			return err
		}
		return store.ErrNotFound
	}
	err := s.r.scan(dest...)
	if cerr := s.r.close(); err == nil {
		err = cerr
	}
	return err
}

// collect reads all rows of a statement.
func collect[T any](t *tx, scan func(*rows, *T) error, q string, args ...any) ([]T, error) {
	r, err := t.query(q, args...)
	if err != nil {
		return nil, err
	}
	defer r.close()
	var out []T
	for r.next() {
		var v T
		if err := scan(r, &v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, r.close()
}

// one scans rows of a single column.
func one[T any](r *rows, v *T) error { return r.scan(v) }
