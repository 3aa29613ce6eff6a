package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"posta/internal/mail"
	"posta/internal/store"
)

// Bounds of what waits to be projected, which is less than a second's, unless the
// disk takes nothing. Above them refusals are dropped, and what was accepted is read
// again from its table later.
const (
	trailBytes   = 8 << 20
	trailRecords = 4096 // as many are written early
	trailEvery   = time.Second
)

// trail writes what finds traces, in batches behind the commits: the records of
// refused transactions, and the keys of all. One goroutine owns the writing.
type trail struct {
	main, side engine
	every      time.Duration
	shared     bool // other nodes write too: see reconcile
	refusals   *refusals

	mu      sync.Mutex
	waiting trailBatch
	behind  bool    // accepted from reread on is to be read again
	reread  mail.ID // lowest

	partSecond int64 // owned by the goroutine, as is partCount; see part
	partCount  int

	dropped atomic.Int64
	poke    chan struct{}
	flushes chan chan error
	stop    context.CancelFunc
	ended   chan struct{}
	once    sync.Once
	closing error
}

// trailBatch is what is written together.
type trailBatch struct {
	refused []store.TraceRecord
	terms   []term
	last    mail.ID // highest id of an accept
	count   int
	bytes   int
}

// newTrail starts the goroutine. What was accepted and not projected before is
// read again first. shared says that other nodes write to the same tables.
func newTrail(main, side engine, shared bool) (*trail, error) {
	w := &trail{
		main: main, side: side, every: trailEvery, shared: shared, refusals: newRefusals(),
		poke: make(chan struct{}, 1), flushes: make(chan chan error), ended: make(chan struct{}),
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	if !shared {
		if err := w.resume(ctx); err != nil {
			stop()
			return nil, err
		}
	}
	go w.run(ctx)
	return w, nil
}

// close writes what waits and ends the goroutine. What comes later is not kept.
func (w *trail) close() error {
	w.once.Do(func() {
		err := w.flush(context.Background())
		w.stop()
		<-w.ended
		if err == nil && !w.shared {
			err = w.leaveClean()
		}
		w.closing = err
	})
	return w.closing
}

// keepRefused implements store.Traces.KeepRefused.
func (w *trail) keepRefused(r store.TraceRecord) {
	if len(r.Body) > maxTraceBytes || r.ID.IsZero() {
		w.dropped.Add(1)
		return
	}
	w.mu.Lock()
	full := w.waiting.bytes > trailBytes
	if !full {
		w.waiting.refused = append(w.waiting.refused, r)
		w.waiting.add(r.ID, r.Keys, len(r.Body))
	}
	early := w.waiting.count >= trailRecords
	w.mu.Unlock()
	if full {
		w.dropped.Add(1)
	}
	if full || early {
		poke(w.poke)
	}
}

// accepted takes note of a committed accept. It never blocks.
func (w *trail) accepted(id mail.ID, keys []string) {
	w.mu.Lock()
	if w.waiting.bytes > trailBytes {
		w.rereadFrom(id)
	} else {
		w.waiting.add(id, keys, 0)
		w.waiting.last = laterID(w.waiting.last, id)
	}
	early := w.waiting.count >= trailRecords
	w.mu.Unlock()
	if early {
		poke(w.poke)
	}
}

// rereadFrom has accepted read again from id on. The caller holds mu.
func (w *trail) rereadFrom(id mail.ID) {
	if !w.behind || string(id[:]) < string(w.reread[:]) {
		w.behind, w.reread = true, id
	}
}

func (b *trailBatch) add(id mail.ID, keys []string, size int) {
	terms := termsOf(id, keys)
	b.terms = append(b.terms, terms...)
	b.count++
	b.bytes += size + 64
	for _, t := range terms {
		b.bytes += len(t.text) + 48
	}
}

func laterID(a, b mail.ID) mail.ID {
	if string(a[:]) < string(b[:]) {
		return b
	}
	return a
}

func (w *trail) run(ctx context.Context) {
	defer close(w.ended)
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	due := time.Now()
	for {
		if w.shared && !time.Now().Before(due) {
			_ = w.reconcile(ctx) // or the next time
			due = time.Now().Add(reconcileEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = w.write(ctx) // what could not be written waits for the next time
		case <-w.poke:
			_ = w.write(ctx)
		case done := <-w.flushes:
			done <- w.write(ctx)
		}
	}
}

// flush waits until what was given so far is written.
func (w *trail) flush(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case w.flushes <- done:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.ended:
		return errClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-w.ended:
		return errClosed
	}
}

// write projects what waits, and what has to be read again.
func (w *trail) write(ctx context.Context) error {
	w.mu.Lock()
	b := w.waiting
	w.waiting = trailBatch{}
	w.mu.Unlock()
	if err := w.project(ctx, b); err != nil {
		w.putBack(b)
		return err
	}
	if err := w.writeMerged(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	behind, from := w.behind, w.reread
	w.behind = false
	w.mu.Unlock()
	if !behind {
		return nil
	}
	err := w.again(ctx, from)
	if err != nil {
		w.mu.Lock()
		w.rereadFrom(from)
		w.mu.Unlock()
	}
	return err
}

// putBack keeps a batch that could not be written, as far as there is room.
func (w *trail) putBack(b trailBatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.waiting
	if n.bytes+b.bytes <= trailBytes {
		b.refused, b.terms = append(b.refused, n.refused...), append(b.terms, n.terms...)
		b.last, b.count, b.bytes = laterID(b.last, n.last), b.count+n.count, b.bytes+n.bytes
		w.waiting = b
		return
	}
	w.dropped.Add(int64(len(b.refused)))
	for _, t := range b.terms {
		w.rereadFrom(t.id) // too much is read again if it was a refusal; no harm
	}
}

// project writes a batch: the terms sorted, so that neighbours in the index are
// written together, and in transactions of bounded size.
func (w *trail) project(ctx context.Context, b trailBatch) error {
	const rows = 5 * step
	second := w.part(b.count)
	for i := range b.terms {
		b.terms[i].part += second - b.terms[i].part%secondsOfDay
	}
	slices.SortFunc(b.terms, term.compare)
	for chunk := range slices.Chunk(b.refused, rows/2) {
		err := w.side.write(ctx, func(t *tx) error {
			for i := range chunk {
				r := &chunk[i]
				_, err := t.exec("INSERT INTO refused (id, terms, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", r.ID, packTerms(r.Keys), r.Body)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(b.terms, rows) {
		if err := w.side.write(ctx, func(t *tx) error { return insertTerms(t, chunk) }); err != nil {
			return err
		}
	}
	if b.last.IsZero() {
		return nil
	}
	return w.side.write(ctx, func(t *tx) error { return setProgress(t, progressAccepted, b.last) })
}

// partRecords is how many records share a part of the index: so many that a search
// asks few parts, so few that a part's pages are written often, not at random.
const partRecords = 8192

// part is the part that a batch of n records goes to, as the second of the day at
// which it began.
func (w *trail) part(n int) int64 {
	if w.partCount += n; w.partCount > partRecords || w.partCount == n {
		w.partSecond, w.partCount = time.Now().Unix()%secondsOfDay, n
	}
	return w.partSecond
}

// termGroup is how many rows one statement inserts: the cost of a statement is
// that of several rows.
const termGroup = 40

// insertGroup inserts termGroup rows of the index.
var insertGroup = insertTermRows(termGroup)

func insertTermRows(n int) string {
	var q strings.Builder
	q.WriteString("INSERT INTO trace_key (part, term, accept) VALUES ")
	for i := range n {
		if i > 0 {
			q.WriteString(", ")
		}
		fmt.Fprintf(&q, "($%d, $%d, $%d)", 3*i+1, 3*i+2, 3*i+3)
	}
	q.WriteString(" ON CONFLICT DO NOTHING")
	return q.String()
}

// insertTerms writes rows of the index; those that are there already stay.
func insertTerms(t *tx, terms []term) error {
	args := make([]any, 0, 3*termGroup)
	for group := range slices.Chunk(terms, termGroup) {
		q := insertGroup
		if len(group) < termGroup {
			q = insertTermRows(len(group))
		}
		args = args[:0]
		for _, k := range group {
			args = append(args, k.part, k.text, k.id)
		}
		if _, err := t.exec(q, args...); err != nil {
			return err
		}
	}
	return nil
}
