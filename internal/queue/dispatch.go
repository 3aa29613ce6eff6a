package queue

import (
	"context"
	"errors"
	"slices"
	"time"

	"posta/internal/store"
)

const (
	maxBatch   = 100   // recipients of one transaction, RFC 5321 §4.5.3.1.8
	maxBlocked = 2000  // recipients that wait here for their domain's turn
	maxWaiting = 10000 // recipients that wait here at all

	// parking is how long a batch that found no room here is left alone.
	parking = 5 * time.Second
	// busyPause is how long a batch waits whose hosts have all the connections
	// from here that they may have.
	busyPause = time.Second
	// released is the lease of what is given back: over at once.
	released = time.Millisecond
)

// batch is the recipients of one message at one domain, leased together.
type batch struct {
	entries []store.QueueEntry
	ids     []int64
	fence   int64
	domain  string
	until   time.Time // of the lease, by our clock
	cancel  context.CancelCauseFunc
}

// split makes batches of what was claimed.
func split(entries []store.QueueEntry) []*batch {
	type key struct {
		group  int64
		domain string
		kind   store.QueueKind
	}
	open := map[key]*batch{}
	var out []*batch
	for _, e := range entries {
		k := key{e.Group, e.Domain, e.Kind}
		b := open[k]
		if b == nil || len(b.ids) == maxBatch {
			b = &batch{fence: e.Fence, domain: e.Domain}
			open[k] = b
			out = append(out, b)
		}
		b.entries, b.ids = append(b.entries, e), append(b.ids, e.ID)
	}
	return out
}

// dispatcher hands batches to workers. It belongs to Run's goroutine alone.
type dispatcher struct {
	q       *Queue
	work    context.Context // of the attempts
	ready   []*batch        // may start as soon as there is a place
	blocked map[string][]*batch
	active  map[string]int // by domain: ready and running
	running map[*batch]struct{}
	done    chan *batch
	waiting int // recipients in ready and blocked
	failing time.Duration
}

// Run works until ctx ends; then no attempt begins, those that run get Config.Grace
// to end, and what is leased is given back. It returns nil then.
func (q *Queue) Run(ctx context.Context) error {
	wake, unsubscribe := q.cfg.Store.Subscribe(0)
	defer unsubscribe()
	work, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	d := &dispatcher{
		q: q, work: work, blocked: map[string][]*batch{}, active: map[string]int{},
		running: map[*batch]struct{}{}, done: make(chan *batch, q.cfg.Total),
	}
	for ctx.Err() == nil {
		pause := d.claim(ctx)
		d.start()
		d.extend(ctx)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		case b := <-d.done:
			d.finished(b)
		}
		timer.Stop()
		d.drain()
	}
	d.stop(cut)
	return nil
}

// claim takes work for the free places, and says how long there will be none.
func (d *dispatcher) claim(ctx context.Context) time.Duration {
	c := &d.q.cfg
	free := c.Total - len(d.running) - len(d.ready)
	if free <= 0 {
		return c.Poll
	}
	entries, err := c.Store.ClaimQueue(ctx, c.Node, free+maxBatch, c.PerDomain, c.Lease)
	if err != nil {
		return d.trouble(ctx, "queue not read", err)
	}
	until := c.Now().Add(c.Lease)
	for _, b := range split(entries) {
		b.until = until
		d.add(ctx, b)
	}
	if len(entries) > 0 && len(d.ready)+len(d.running) < c.Total {
		return 0 // there may be more
	}
	due, err := c.Store.NextDue(ctx)
	if err != nil {
		return d.trouble(ctx, "queue not read", err)
	}
	d.failing = 0
	if due.IsZero() {
		return c.Poll
	}
	// What is due and was not given to us waits for a domain that is full, here
	// or at another node.
	return min(max(due.Sub(c.Now()), time.Second), c.Poll)
}

// trouble is the pause after an error of the store, longer each time.
func (d *dispatcher) trouble(ctx context.Context, what string, err error) time.Duration {
	if ctx.Err() == nil {
		d.q.cfg.Log.ErrorContext(ctx, what, "err", err)
	}
	d.failing = min(max(2*d.failing, time.Second), d.q.cfg.Poll)
	return d.failing
}

// add finds a place for a batch: ready, blocked behind its domain, or given back
// for a moment when there is no room for it to wait.
func (d *dispatcher) add(ctx context.Context, b *batch) {
	if d.active[b.domain] < d.q.cfg.PerDomain {
		d.active[b.domain]++
		d.ready = append(d.ready, b)
		d.waiting += len(b.ids)
		return
	}
	behind := 0
	for _, o := range d.blocked[b.domain] {
		behind += len(o.ids)
	}
	if behind+len(b.ids) > maxBlocked || d.waiting+len(b.ids) > maxWaiting {
		d.release(ctx, b, parking)
		return
	}
	d.blocked[b.domain] = append(d.blocked[b.domain], b)
	d.waiting += len(b.ids)
}

// start gives ready batches to workers while there are places.
func (d *dispatcher) start() {
	for len(d.ready) > 0 && len(d.running) < d.q.cfg.Total {
		b := d.ready[0]
		d.ready = slices.Delete(d.ready, 0, 1)
		d.waiting -= len(b.ids)
		d.running[b] = struct{}{}
		ctx, cancel := context.WithCancelCause(d.work)
		b.cancel = cancel
		d.q.n.running.Add(1)
		go func() { // ends with ctx; stop waits for it through done
			defer func() {
				d.q.n.running.Add(-1)
				cancel(nil)
				d.done <- b
			}()
			d.q.work(ctx, b)
		}()
	}
}

// finished frees a batch's place and lets the next of its domain come up.
func (d *dispatcher) finished(b *batch) {
	delete(d.running, b)
	if d.active[b.domain]--; d.active[b.domain] == 0 {
		delete(d.active, b.domain)
	}
	behind := d.blocked[b.domain]
	if len(behind) == 0 {
		return
	}
	d.active[b.domain]++
	d.ready = append(d.ready, behind[0])
	if behind = slices.Delete(behind, 0, 1); len(behind) == 0 {
		delete(d.blocked, b.domain)
	} else {
		d.blocked[b.domain] = behind
	}
}

// drain takes what has finished meanwhile, so that one claim serves it all.
func (d *dispatcher) drain() {
	for {
		select {
		case b := <-d.done:
			d.finished(b)
		default:
			return
		}
	}
}

// extend prolongs leases of which a third is over. Whoever lost his stops.
func (d *dispatcher) extend(ctx context.Context) {
	c := &d.q.cfg
	now := c.Now()
	old := func(b *batch) bool { return b.until.Sub(now) < c.Lease*2/3 }
	prolong := func(b *batch) (lost bool) {
		err := c.Store.ExtendQueue(ctx, b.ids, b.fence, c.Lease)
		if err == nil {
			b.until = now.Add(c.Lease)
		}
		return errors.Is(err, store.ErrFenced)
	}
	for b := range d.running {
		if old(b) && prolong(b) {
			b.cancel(store.ErrFenced)
		}
	}
	var lost []*batch
	keep := func(all []*batch) []*batch {
		return slices.DeleteFunc(all, func(b *batch) bool {
			gone := old(b) && prolong(b)
			if gone {
				d.waiting -= len(b.ids)
				lost = append(lost, b)
			}
			return gone
		})
	}
	for domain, all := range d.blocked {
		if all = keep(all); len(all) > 0 {
			d.blocked[domain] = all
		} else {
			delete(d.blocked, domain)
		}
	}
	lost = nil
	d.ready = keep(d.ready)
	for _, b := range lost { // each held a place of its domain
		d.finished(b)
	}
}

// release gives a batch back after a pause. It counts as no attempt.
func (d *dispatcher) release(ctx context.Context, b *batch, after time.Duration) {
	d.q.giveBack(ctx, b.ids, b.fence, after)
}

func (q *Queue) giveBack(ctx context.Context, ids []int64, fence int64, after time.Duration) {
	err := q.cfg.Store.ExtendQueue(ctx, ids, fence, after)
	if err != nil && !errors.Is(err, store.ErrFenced) {
		q.cfg.Log.WarnContext(ctx, "lease not given back; it runs out", "err", err)
	}
}

// errStopping is why attempts are cut at the end.
var errStopping = errors.New("queue: stopping")

// stop ends gently.
func (d *dispatcher) stop(cut context.CancelCauseFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.work), 5*time.Second)
	defer cancel()
	for _, b := range d.ready {
		d.release(ctx, b, released)
	}
	for _, all := range d.blocked {
		for _, b := range all {
			d.release(ctx, b, released)
		}
	}
	d.blocked, d.ready = nil, nil
	grace := time.NewTimer(d.q.cfg.Grace)
	defer grace.Stop()
	for len(d.running) > 0 {
		select {
		case b := <-d.done:
			delete(d.running, b)
		case <-grace.C:
			cut(errStopping)
		}
	}
}
