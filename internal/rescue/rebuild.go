package rescue

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"golang.org/x/sync/errgroup"

	"posta/internal/blob"
	"posta/internal/store"
)

// Marker is the setting that says that a rebuild has begun and has not ended.
// While it is there no server may run: to it, what is not filed yet looks dead.
const Marker = "store.rebuild"

// ErrForeign: a rebuild is of the embedded metadata.
var ErrForeign = errors.New("rescue: the metadata is in PostgreSQL, and a rebuild makes that of the data folder: restore a backup into a new database instead")

// Options of Rebuild.
type Options struct {
	// All brings back every record that no row refers to, also what was expunged.
	All bool
	// Lifetime is how long a message waits in the queue; 0 means 5 days. What was
	// queued longer ago has left or was returned.
	Lifetime time.Duration
	// Principal is who asked for it, for the audit log.
	Principal string
}

// Rebuilt is what a rebuild did. Counts are of records unless they say otherwise.
type Rebuilt struct {
	Records   int64    `json:"records"`   // intact ones that were read
	Present   int64    `json:"present"`   // that had their row
	Mended    int64    `json:"mended"`    // whose row pointed to bytes that are gone
	Messages  int64    `json:"messages"`  // filed in mailboxes, one for each account
	Recovered int64    `json:"recovered"` // of these in the mailbox Recovered
	Held      int64    `json:"held"`      // recipients queued again, held
	Past      int64    `json:"past"`      // recipients queued so long ago that they are not
	Hold      int64    `json:"hold"`      // recipients for whom the quarantine holds a message
	Deleted   int64    `json:"deleted"`   // that the metadata had let go
	Accounts  int      `json:"accounts"`  // made
	Problems  []string `json:"problems,omitempty"`
	More      int64    `json:"more,omitempty"` // problems that are not listed
}

func (r *Rebuilt) problem(format string, a ...any) {
	if len(r.Problems) == maxBreaches {
		r.More++
		return
	}
	r.Problems = append(r.Problems, fmt.Sprintf(format, a...))
}

// workers file messages side by side, so that they share syncs. Those of one
// account go through one worker, in the order of their arrival.
const workers = 64

// Rebuild files every message in the packs that the metadata misses. Nobody else
// may have the state open. It may be broken off at any moment and be called again.
func (r *Rescue) Rebuild(ctx context.Context, o Options) (Rebuilt, error) {
	if o.Lifetime <= 0 {
		o.Lifetime = 5 * 24 * time.Hour
	}
	b := &rebuilder{r: r, o: o, seed: maphash.MakeSeed()}
	if err := b.begin(ctx); err != nil {
		return b.out, err
	}
	damage, err := b.scan(ctx)
	for _, d := range damage {
		b.out.problem("%s", d)
	}
	b.out.Accounts = b.people.made
	if err != nil {
		return b.out, err
	}
	return b.out, b.people.mark(ctx, "")
}

// rebuilder is one rebuild. Its methods run in the goroutine of the scan, save
// place, which runs in the workers.
type rebuilder struct {
	r      *Rescue
	o      Options
	out    Rebuilt
	people *people
	known  knowledge
	queues [workers]chan task
	seed   maphash.Seed
}

// task is one message on its way to a worker.
type task struct {
	entry  blob.Entry
	accept *store.AcceptRecord
	revive bool // its accept is over: only its deliveries come back
}

// begin reads what the metadata knows and marks that a rebuild is under way.
func (b *rebuilder) begin(ctx context.Context) (err error) {
	if b.people, err = loadPeople(ctx, b.r.Store, b.o.Principal, b.r.now); err != nil {
		return err
	}
	if mark := b.people.setting; mark != "" {
		// An earlier run was broken off: what the metadata knew then is what counts.
		return b.known.UnmarshalText([]byte(mark))
	}
	if b.known, err = b.people.knowledge(ctx, b.r.Store); err != nil {
		return err
	}
	if b.o.All {
		b.known.All = true
	}
	return b.people.mark(ctx, b.known.String())
}

// scan reads all packs and waits until what is missing is filed.
func (b *rebuilder) scan(ctx context.Context) ([]blob.Damage, error) {
	g, ctx := errgroup.WithContext(ctx)
	results := make(chan placed)
	for i := range b.queues {
		q := make(chan task, 4)
		b.queues[i] = q
		g.Go(func() error {
			for t := range q {
				p, err := b.place(ctx, t)
				if err != nil {
					return err
				}
				select {
				case results <- p:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	}
	counted := make(chan struct{})
	var sum placed
	go func() {
		defer close(counted)
		for p := range results {
			sum.add(p)
		}
	}()
	damage, err := b.r.Blobs.Scan(ctx, func(e blob.Entry) error { return b.look(ctx, e) })
	for _, q := range b.queues {
		close(q)
	}
	// The worker's error is the cause when the scan was cancelled by it.
	if workErr := g.Wait(); workErr != nil {
		err = workErr
	}
	close(results)
	<-counted
	b.out.Messages, b.out.Recovered, b.out.Held, b.out.Past = sum.messages, sum.recovered, sum.held, sum.past
	b.out.Hold = sum.quarantined
	for _, p := range sum.problems {
		b.out.problem("%s", p)
	}
	return damage, err
}

// look decides what one record is.
func (b *rebuilder) look(ctx context.Context, e blob.Entry) error {
	b.out.Records++
	ref, err := b.r.Store.BlobRef(ctx, e.ID)
	switch {
	case err == nil && !ref.Doomed.IsZero():
		b.out.Deleted++
		return nil
	case err == nil:
		return b.mend(ctx, e, ref)
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	a, err := store.DecodeAcceptRecord(e.Accept)
	if err != nil {
		b.out.problem("blob %s at %s: %v", e.ID, e.Location, err)
		return nil
	}
	missing, revive, err := b.missing(ctx, a)
	if err != nil {
		return err
	}
	if !missing {
		b.out.Deleted++
		return nil
	}
	if err := b.people.ensure(ctx, a); err != nil {
		if !errors.Is(err, errLogin) {
			return err
		}
		b.out.problem("blob %s at %s: %v", e.ID, e.Location, err)
	}
	return b.hand(ctx, task{entry: e, accept: a, revive: revive})
}

// mend points a row to this copy of its bytes when its own is gone.
func (b *rebuilder) mend(ctx context.Context, e blob.Entry, ref store.BlobRef) error {
	if ref.At == e.Location {
		b.out.Present++
		return nil
	}
	switch err := b.r.Blobs.Verify(ctx, ref.ID, ref.At); {
	case err == nil:
		b.out.Present++ // by its other copy, from a compaction that was broken off
		return nil
	case !errors.Is(err, blob.ErrNotFound) && !errors.Is(err, blob.ErrCorrupt):
		return err
	}
	b.out.Mended++
	return b.r.Store.MoveBlobs(ctx, []blob.Move{{ID: e.ID, From: ref.At, To: e.Location}})
}

// missing tells whether a record without a row is lost metadata or was deleted.
func (b *rebuilder) missing(ctx context.Context, a *store.AcceptRecord) (missing, revive bool, err error) {
	done, err := b.r.Store.Accepted(ctx, a.Accept)
	switch {
	case err != nil:
		return false, false, err
	case done:
		return b.known.All, true, nil
	}
	return b.known.missing(a.Accept.Time()), false, nil
}

// hand gives a message to the worker of its first account.
func (b *rebuilder) hand(ctx context.Context, t task) error {
	key := t.accept.From
	if len(t.accept.Deliveries) > 0 {
		key = t.accept.Deliveries[0].Login
	}
	select {
	case b.queues[maphash.String(b.seed, key)%workers] <- t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// knowledge is what the metadata can tell of records that have no row.
type knowledge struct {
	All bool
	// Birth is when the metadata was made: what is older was never in it.
	Birth time.Time
	// Recent is from when on the metadata remembers every accept.
	Recent time.Time
}

// missing is for a record whose accept the metadata does not know.
func (k knowledge) missing(at time.Time) bool {
	return k.All || at.Before(k.Birth) || at.After(k.Recent)
}

// String is the value of the Marker.
func (k knowledge) String() string {
	if k.All {
		return "all"
	}
	return k.Birth.UTC().Format(time.RFC3339Nano) + " " + k.Recent.UTC().Format(time.RFC3339Nano)
}

// UnmarshalText reads what String wrote.
func (k *knowledge) UnmarshalText(b []byte) error {
	if string(b) == "all" {
		*k = knowledge{All: true}
		return nil
	}
	var birth, recent string
	if _, err := fmt.Sscan(string(b), &birth, &recent); err != nil {
		return fmt.Errorf("setting %s: %w", Marker, err)
	}
	var errs [2]error
	k.Birth, errs[0] = time.Parse(time.RFC3339Nano, birth)
	k.Recent, errs[1] = time.Parse(time.RFC3339Nano, recent)
	return errors.Join(errs[0], errs[1])
}

// remembered is how long the metadata knows an accept whatever became of it: a
// day less than any engine keeps it.
const remembered = 5 * 24 * time.Hour

// newest is the time of the last accept that the metadata can have seen.
func newest(ctx context.Context, s store.Store) (at time.Time, err error) {
	err = s.EachBlob(ctx, func(ref store.BlobRef) error {
		at = ref.ID.Time() // ids ascend
		return nil
	})
	if err != nil {
		return at, err
	}
	last, err := s.LatestTraces(ctx, time.Time{}, 1)
	for _, t := range last {
		if t.ID.Time().After(at) {
			at = t.ID.Time()
		}
	}
	return at, err
}
