package jobs

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"posta/internal/store"
)

// Adder makes jobs.
type Adder interface {
	Store
	AddJob(ctx context.Context, j store.Job) error
}

// Regular is work that is done over and over by one node of many: a job that is never
// over. Store, Node, Key, Do, and Every or Next are required.
type Regular struct {
	Store Adder
	Node  string                        // name of this node, for leases
	Key   string                        // of the job, and its kind
	First time.Duration                 // from the first start to the first run; 0 means a minute
	Every time.Duration                 // from the end of a run to the next
	Next  func(now time.Time) time.Time // the next run, where it has an hour of its own, in the place of First and Every
	Again time.Duration                 // from a failed one; 0 means an hour, or Every if that is less
	Lease time.Duration                 // longer than a run takes; 0 means an hour
	Poll  time.Duration                 // looks whether it is due; 0 means a minute
	Now   func() time.Time
	Log   *slog.Logger
	// Do does the work. It may be repeated: a node that dies leaves it to another.
	Do func(ctx context.Context) error

	planned bool
}

// Run does the work whenever it is due, until ctx ends. It returns nil.
func (r *Regular) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		timer := time.NewTimer(r.Turn(ctx))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// Turn does the work if it is due, and returns 0; or it says how long it will not be, at
// most Poll. For a loop that has other things to do besides; never at the same time as Run.
func (r *Regular) Turn(ctx context.Context) time.Duration {
	if r.Now == nil {
		r.Now = time.Now
	}
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	w := Worker{
		Store: r.Store, Node: r.Node, Kinds: []string{r.Key}, Lease: cmp.Or(r.Lease, time.Hour), Poll: cmp.Or(r.Poll, time.Minute), Now: r.Now, Log: r.Log,
	}
	w.Do = func(ctx context.Context, j *store.Job) { r.do(ctx, &w, j) }
	r.plan(ctx)
	return w.Turn(ctx)
}

// plan makes sure that there is a job.
func (r *Regular) plan(ctx context.Context) {
	if r.planned {
		return
	}
	err := r.Store.AddJob(ctx, store.Job{Key: r.Key, Kind: r.Key, Due: r.due(cmp.Or(r.First, time.Minute))})
	if r.planned = err == nil || errors.Is(err, store.ErrExists); !r.planned && ctx.Err() == nil {
		r.Log.WarnContext(ctx, "not planned", "job", r.Key, "err", err)
	}
}

func (r *Regular) do(ctx context.Context, w *Worker, j *store.Job) {
	err := r.Do(ctx)
	next, why := r.due(r.Every), ""
	if err != nil {
		pause := cmp.Or(r.Again, time.Hour)
		if r.Again == 0 && r.Every > 0 {
			pause = min(pause, r.Every)
		}
		next, why = r.Now().Add(pause), err.Error()
		if ctx.Err() == nil {
			r.Log.WarnContext(ctx, "regular work failed", "job", r.Key, "err", err)
		}
	}
	w.End(ctx, j, next, why)
}

// due is the next run: at its hour, or after a pause.
func (r *Regular) due(pause time.Duration) time.Time {
	if r.Next != nil {
		return r.Next(r.Now())
	}
	return r.Now().Add(pause)
}
