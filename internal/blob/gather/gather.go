// Package gather puts together the calls of Put that wait at the same time, so that they share one
// write and one sync, or one request. Both stores of blobs are made so: what differs is how long the
// first call waits for others, and what is done with a batch.
//
// A store has one goroutine that takes batches:
//
//	for batch := g.Next(); batch != nil; batch = g.Next() {
//		… for each: if p.Take() { write p.Recs[p.Small…], set p.Locs, and p.Err for a fault of its own }
//		gather.Answer(batch, err)
//	}
//
// A batch may be answered by another goroutine, and after the following one. Whatever Next has given must be
// answered: its callers wait.
package gather

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"posta/internal/blob"
	"posta/internal/blob/record"
)

// Limits of a batch.
type Limits struct {
	Solo    int64         // a record with more octets of payload goes alone, by the goroutine of its Put
	Bytes   int64         // of records; the last Put may exceed it
	Records int           // likewise in number; 0: any
	Wait    time.Duration // of the first Put for others, for a sync that costs far more than waiting; 0: see Linger
	// Linger is how long, at most, the processors are given to whoever can run, for as long as that brings
	// another Put: those who are on their way share the batch, and one who is alone waits for nobody. 0: only
	// what waits already shares it.
	Linger time.Duration
}

// Gatherer is the meeting point of those who Put and the one who writes.
type Gatherer struct {
	limits  Limits
	puts    chan *Put     // unbuffered: what Next has received is answered
	closing chan struct{} // closed by Close

	mu    sync.Mutex
	shut  bool // no new task may start
	tasks sync.WaitGroup
}

// New makes a gatherer. Its user calls Next until it gives nil.
func New(l Limits) *Gatherer {
	return &Gatherer{limits: l, puts: make(chan *Put), closing: make(chan struct{})}
}

// Put is one call on its way.
type Put struct {
	Recs  []blob.Record
	Small []int           // indices of the records that are shared
	Locs  []blob.Location // of all of them, to be set by who writes
	Err   error           // a fault of this call alone

	bytes int64
	state atomic.Int32
	done  chan struct{}
}

// States of a Put.
const (
	waiting = iota
	taken   // who writes works on it
	left    // the caller has gone
)

// Bytes is the length of its shared records.
func (p *Put) Bytes() int64 { return p.bytes }

// Take begins the work on a Put. It is false if its caller has gone: nothing of it may be touched.
func (p *Put) Take() bool {
	if p.state.CompareAndSwap(waiting, taken) {
		return true
	}
	p.Err = context.Canceled // nobody reads it
	return false
}

// Answer ends every Put of a batch, with err where it has no fault of its own.
func Answer(batch []*Put, err error) {
	for _, p := range batch {
		if p.Err == nil {
			p.Err = err
		}
		close(p.done)
	}
}

// Put is blob.Store.Put: the records are checked, the large ones handed to solo, the others to the next
// batch.
func (g *Gatherer) Put(ctx context.Context, recs []blob.Record, solo func(*blob.Record) (blob.Location, error)) ([]blob.Location, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &Put{Recs: recs, Locs: make([]blob.Location, len(recs)), Small: make([]int, 0, len(recs)), done: make(chan struct{})}
	for i := range recs {
		if err := record.Check(&recs[i]); err != nil {
			return nil, err
		}
		if size := recs[i].Body.Size(); size <= g.limits.Solo {
			p.Small = append(p.Small, i)
			p.bytes += record.Length(len(recs[i].Accept), size)
			continue
		}
		if err := g.Task(func() (err error) { p.Locs[i], err = solo(&recs[i]); return err }); err != nil {
			return nil, err
		}
	}
	if len(p.Small) == 0 {
		return p.Locs, nil
	}
	if err := g.submit(ctx, p); err != nil {
		return nil, err
	}
	return p.Locs, nil
}

// submit hands p to who writes and waits for the answer.
func (g *Gatherer) submit(ctx context.Context, p *Put) error {
	select {
	case g.puts <- p:
	case <-g.closing:
		return blob.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-p.done:
		return p.Err
	case <-ctx.Done():
		if p.state.CompareAndSwap(waiting, left) {
			return ctx.Err()
		}
	}
	<-p.done // the bodies are in use
	return p.Err
}

// Next waits for a Put and gives it with those that may share its batch; nil once the gatherer is
// closed. One goroutine calls it.
func (g *Gatherer) Next() []*Put {
	var first *Put
	select {
	case first = <-g.puts:
	case <-g.closing:
		return nil
	}
	var late <-chan time.Time
	if g.limits.Wait > 0 {
		timer := time.NewTimer(g.limits.Wait)
		defer timer.Stop()
		late = timer.C
	}
	var began time.Time // of the lingering
	batch, bytes, records := []*Put{first}, first.bytes, len(first.Small)
	for bytes < g.limits.Bytes && (g.limits.Records == 0 || records < g.limits.Records) {
		var p *Put
		if late != nil {
			p = g.await(late)
		} else {
			p = g.linger(&began)
		}
		if p == nil {
			break
		}
		batch, bytes, records = append(batch, p), bytes+p.bytes, records+len(p.Small)
	}
	return batch
}

// await is a further Put, nil if none comes before it is late.
func (g *Gatherer) await(late <-chan time.Time) *Put {
	select {
	case p := <-g.puts:
		return p
	case <-late:
	case <-g.closing:
	}
	return nil
}

// patience is how often the processors are given away in vain before the batch begins.
const patience = 4

// linger is a further Put that waits, or is on its way; nil if there is none.
func (g *Gatherer) linger(began *time.Time) *Put {
	for yields := 0; ; yields++ {
		select {
		case p := <-g.puts:
			return p
		default:
		}
		switch {
		case g.limits.Linger == 0 || yields == patience:
			return nil
		case began.IsZero():
			*began = time.Now()
		case time.Since(*began) > g.limits.Linger:
			return nil
		}
		runtime.Gosched()
	}
}

// Task runs f in the calling goroutine so that Close waits for it; blob.ErrClosed if that has begun.
func (g *Gatherer) Task(f func() error) error {
	g.mu.Lock()
	if g.shut {
		g.mu.Unlock()
		return blob.ErrClosed
	}
	g.tasks.Add(1)
	g.mu.Unlock()
	defer g.tasks.Done()
	return f()
}

// Go starts a goroutine that Close waits for: before anybody may call Close, or from another that Close
// waits for.
func (g *Gatherer) Go(f func()) { g.tasks.Go(f) }

// Close ends the gathering: Next gives nil after what it has received is answered, and Put is
// blob.ErrClosed. It waits for all tasks. It is called once.
func (g *Gatherer) Close() {
	g.mu.Lock()
	g.shut = true
	g.mu.Unlock()
	close(g.closing)
	g.tasks.Wait()
}
