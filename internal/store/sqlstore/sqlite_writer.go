package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"posta/internal/durable"
	"posta/internal/store"
)

// Bounds of one group commit: what waits longer goes into the next one.
const (
	maxGroupOps  = 256
	maxGroupTime = 15 * time.Millisecond
)

// sqliteWriter is the goroutine that owns the writing connection.
type sqliteWriter struct {
	conn   *sqliteConn
	counts *counters
	seqs   rowSequences
	clock  func() time.Time
	wakes  *notifier
	fail   *durable.Failpoints
	wal    *walKeeper

	ops  chan *op
	done chan struct{}

	pause   *time.Timer
	last    int   // operations of the group before
	ran     []*op // of the group in hand, waiting for the commit
	careful bool  // the group has savepoints, since one of it failed after writing
}

// op is one call of write.
type op struct {
	f   func(*tx) error
	t   tx
	err chan error
	ctx context.Context
}

func (w *sqliteWriter) write(ctx context.Context, f func(*tx) error) error {
	o := &op{f: f, ctx: ctx, err: make(chan error, 1)}
	select {
	case w.ops <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.done:
		return errClosed
	}
	// From here on the operation may be committed, so its answer is awaited; one
	// whose context ends before its turn is answered without being run.
	select {
	case err := <-o.err:
		return err
	case <-w.done:
		select {
		case err := <-o.err:
			return err
		default:
			return errClosed
		}
	}
}

var errClosed = fmt.Errorf("%w: the store is closed", store.ErrTemporary)

// run serves until quit; what is in the channel by then is still done.
func (w *sqliteWriter) run(quit <-chan struct{}) {
	defer close(w.done)
	for {
		select {
		case o := <-w.ops:
			w.group(o)
		case <-quit:
			select {
			case o := <-w.ops:
				w.group(o)
			default:
				return
			}
		}
		w.wal.relieve(w.conn)
	}
}

// group runs the operation and those that wait behind it in one transaction.
func (w *sqliteWriter) group(first *op) {
	start := time.Now()
	w.ran, w.careful = w.ran[:0], false
	if len(w.counts.accounts)+len(w.counts.boxes) > maxCounters {
		w.counts.forget()
	}
	if err := w.begin(); err != nil {
		w.answer(first, err)
		return
	}
	for o, n := first, 1; o != nil; n++ {
		if !w.apply(o) {
			return
		}
		if n == maxGroupOps || time.Since(start) > maxGroupTime {
			break
		}
		o = w.waiting()
	}
	w.last = len(w.ran)
	w.commit()
}

// waiting takes the next operation if there is one. Those who were answered by
// the last commit get one chance to run and to come back; and while the last group
// was a large one, so that others are on their way, they get a moment: a commit
// costs as much as several operations, and their pages are shared.
func (w *sqliteWriter) waiting() *op {
	for range 2 {
		select {
		case o := <-w.ops:
			return o
		default:
			runtime.Gosched()
		}
	}
	if w.last < busyGroup || len(w.ran) >= w.last {
		return nil
	}
	w.pause.Reset(gatherTime)
	defer w.pause.Stop()
	select {
	case o := <-w.ops:
		return o
	case <-w.pause.C:
		return nil
	}
}

// busyGroup is how many operations make a group that the next one waits for, and
// gatherTime how long: much less than the sync that follows.
const (
	busyGroup  = 4
	gatherTime = 200 * time.Microsecond
)

// apply runs one operation inside the group's transaction; false means that the
// group is over. An operation that fails before it has written leaves nothing
// behind; later ones cost the group a second run, with savepoints.
func (w *sqliteWriter) apply(o *op) bool {
	savepoint := w.careful
	if err := o.ctx.Err(); err != nil {
		w.answer(o, err)
		return true
	}
	if savepoint {
		if err := w.conn.run("SAVEPOINT op"); err != nil {
			w.abandon(append(w.ran, o), err)
			return false
		}
	}
	err := w.call(o)
	if w.conn.broken != nil {
		w.abandon(append(w.ran, o), w.conn.broken)
		return false
	}
	if err == nil {
		w.ran = append(w.ran, o)
	} else {
		w.counts.undo()
		w.answer(o, err)
	}
	switch {
	case savepoint:
		return w.endSavepoint(err)
	case err != nil && o.t.wrote:
		return w.again()
	}
	return true
}

func (w *sqliteWriter) endSavepoint(failed error) bool {
	q := "RELEASE op"
	if failed != nil {
		clear(w.seqs)
		q = "ROLLBACK TO op; RELEASE op"
	}
	if err := w.conn.run(q); err != nil {
		w.abandon(w.ran, err)
		return false
	}
	return true
}

// again rolls the group back and runs what had succeeded in it once more.
func (w *sqliteWriter) again() bool {
	ops := append([]*op(nil), w.ran...)
	w.ran, w.careful = w.ran[:0], true
	w.rollback()
	if err := w.begin(); err != nil {
		w.abandon(ops, err)
		return false
	}
	for i, o := range ops {
		if !w.apply(o) {
			w.abandon(ops[i+1:], store.ErrTemporary)
			return false
		}
	}
	return true
}

// call runs f. A panic in it is our own mistake; it must not take the house down
// with all other letters.
func (w *sqliteWriter) call(o *op) (err error) {
	o.t = tx{ctx: o.ctx, sql: w.conn, clock: w.clock().UnixMicro(), list: sqliteList, counts: w.counts, newIDs: w.seqs.id}
	w.counts.begin()
	defer func() {
		if r := recover(); r != nil {
			o.t.wrote = true
			err = fmt.Errorf("sqlstore: panic: %v\n%s", r, debug.Stack())
		}
	}()
	return o.f(&o.t)
}

func (w *sqliteWriter) begin() error {
	w.conn.broken = nil
	return w.conn.run("BEGIN IMMEDIATE")
}

// commit makes the group durable and answers it.
func (w *sqliteWriter) commit() {
	if err := w.finish(); err != nil {
		w.abandon(w.ran, err)
		return
	}
	for _, o := range w.ran {
		for _, f := range o.t.after {
			f()
		}
		w.wakes.wake(o.t.woken)
		w.answer(o, nil)
	}
}

func (w *sqliteWriter) finish() error {
	t := tx{ctx: context.Background(), sql: w.conn, counts: w.counts}
	if err := t.flush(); err != nil {
		return err
	}
	if err := w.fail.Hit("store.commit"); err != nil {
		return mapFailpoint(err)
	}
	if w.conn.broken != nil {
		return w.conn.broken
	}
	if _, err := w.conn.exec(context.Background(), "COMMIT", nil); err != nil {
		return err
	}
	if err := w.fail.Hit("store.committed"); err != nil {
		return errors.Join(store.ErrUnknown, err)
	}
	return nil
}

// abandon rolls back and answers the operations with the error.
func (w *sqliteWriter) abandon(ops []*op, err error) {
	w.rollback()
	for _, o := range ops {
		w.answer(o, err)
	}
	w.ran = w.ran[:0]
}

// rollback may find that SQLite has rolled back already; that is no error.
func (w *sqliteWriter) rollback() {
	w.counts.forget()
	clear(w.seqs)
	_ = w.conn.run("ROLLBACK")
	w.conn.broken = nil
}

// answer gives each operation one answer; o.err has room for it, and a second one
// (abandon after the operation's own failure) is dropped.
func (w *sqliteWriter) answer(o *op, err error) {
	select {
	case o.err <- err:
	default:
	}
}

// mapFailpoint gives an injected error the meaning that the real one would have.
func mapFailpoint(err error) error {
	if err == nil {
		return nil
	}
	if durable.IsFull(err) {
		return errors.Join(store.ErrFull, err)
	}
	return errors.Join(store.ErrTemporary, err)
}
