// Package jobs is how work that waits in the store is done (DESIGN §3): one job at a
// time, by whichever node claims it, under a lease. What a kind of job is, and when it
// is done for good, its owner says.
package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"posta/internal/store"
)

// Store is what a Worker asks of the state.
type Store interface {
	ClaimJob(ctx context.Context, node string, kinds []string, lease time.Duration) (store.Job, error)
	EndJob(ctx context.Context, id, fence int64, again time.Time, lastErr string) error
	NextJob(ctx context.Context, kinds []string) (time.Time, error)
}

// Worker does the jobs of some kinds. All fields are required.
type Worker struct {
	Store Store
	Node  string   // name of this node, for leases
	Kinds []string // what is claimed
	Lease time.Duration
	Poll  time.Duration // looks for work without being woken
	Now   func() time.Time
	Log   *slog.Logger
	// Do does a job and ends it or gives it back (End), unless somebody else has it
	// by then.
	Do func(ctx context.Context, j *store.Job)
}

// Run works until ctx ends; the job in hand is finished then. wake, which may be nil,
// hints that there is work. It returns nil.
func (w *Worker) Run(ctx context.Context, wake <-chan struct{}) error {
	for ctx.Err() == nil {
		pause := w.Turn(ctx)
		if pause == 0 {
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// Turn does one job and returns 0; or it says how long there will be none, at most
// Poll.
func (w *Worker) Turn(ctx context.Context) time.Duration {
	j, err := w.Store.ClaimJob(ctx, w.Node, w.Kinds, w.Lease)
	switch {
	case err == nil:
		w.Do(ctx, &j)
		return 0
	case !errors.Is(err, store.ErrNotFound):
		if ctx.Err() == nil {
			w.Log.ErrorContext(ctx, "jobs not read", "kinds", w.Kinds, "err", err)
		}
		return w.Poll
	}
	next, err := w.Store.NextJob(ctx, w.Kinds)
	if err != nil || next.IsZero() {
		return w.Poll
	}
	return min(max(next.Sub(w.Now()), 100*time.Millisecond), w.Poll)
}

// endWait is how long the store may take to end a job, though ctx may be over.
const endWait = 5 * time.Second

// End ends a job: it goes, or, with again not zero, is due then, with the reason. When
// the store cannot be told, the job is done again after its lease.
func (w *Worker) End(ctx context.Context, j *store.Job, again time.Time, why string) {
	ectx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWait)
	defer cancel()
	if err := w.Store.EndJob(ectx, j.ID, j.Fence, again, why); err != nil {
		w.Log.WarnContext(ctx, "job not ended; its lease runs out", "job", j.Key, "err", err)
	}
}
