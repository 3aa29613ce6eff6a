package rescue

import (
	"context"
	"errors"
	"sync"
	"time"

	"posta/internal/store"
)

// A Pin holds back the removals of one process. Where nodes share a bucket, any
// of them may be the one that sweeps; so a backup is a job too, leased for as long
// as it runs, and no sweep begins meanwhile. One that had begun before does no
// harm: it removes only what was dead or had moved before it began, and so before
// the snapshot.
const (
	backupJob   = "backup" // kind and key
	backupLease = 2 * time.Minute
	backupRenew = 20 * time.Second
)

var (
	// ErrRunning: one backup at a time.
	ErrRunning = errors.New("rescue: a backup of this house is running, or was killed less than two minutes ago; try again then")
	// errLapsed ends a backup whose lease could not be kept.
	errLapsed = errors.New("rescue: the database was away for too long: the bytes were no longer pinned")
)

// claimTries is how often a backup asks for its lease: a sweep that looks whether
// there is one holds it for a moment.
const (
	claimTries = 20
	claimPause = 100 * time.Millisecond
)

// lease says in the store that a backup runs, until release is called. The
// context that it gives ends when the lease is lost.
func (r *Rescue) lease(ctx context.Context) (_ context.Context, release func() error, err error) {
	var j store.Job
	for try := 1; ; try++ {
		err := r.Store.AddJob(ctx, store.Job{Key: backupJob, Kind: backupJob})
		if err == nil || errors.Is(err, store.ErrExists) {
			j, err = r.Store.ClaimJob(ctx, r.Node, []string{backupJob}, backupLease)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, nil, err
		}
		if try == claimTries {
			return nil, nil, ErrRunning
		}
		if !sleep(ctx, claimPause) {
			return nil, nil, ctx.Err()
		}
	}
	held, cut := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { r.renew(held, j, cut) })
	return held, func() error {
		lapsed := context.Cause(held)
		cut(nil)
		wg.Wait()
		err := r.Store.EndJob(context.WithoutCancel(ctx), j.ID, j.Fence, time.Time{}, "")
		if errors.Is(err, store.ErrFenced) {
			err = errLapsed
		}
		if errors.Is(lapsed, errLapsed) {
			err = errors.Join(lapsed, err)
		}
		return err
	}, nil
}

// renew prolongs the lease until ctx ends, or ends it.
func (r *Rescue) renew(ctx context.Context, j store.Job, cut context.CancelCauseFunc) {
	for good := time.Now(); sleep(ctx, backupRenew); {
		began := time.Now()
		err := r.Store.StepJob(ctx, j.ID, j.Fence, nil, backupLease)
		switch {
		case err == nil:
			good = began
		case errors.Is(err, store.ErrFenced) || time.Since(good) > backupLease-2*backupRenew:
			cut(errLapsed)
			return
		}
	}
}

// sleep is false if ctx ends meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// BackupRuns tells whether a backup runs at any node, so that nothing may be
// removed. What one that was killed has left is cleared away. By the database's
// clock.
func BackupRuns(ctx context.Context, jobs store.Jobs, node string) (bool, error) {
	j, err := jobs.ClaimJob(ctx, node, []string{backupJob}, time.Minute)
	if err == nil { // its lease is over: nobody works on it
		return false, jobs.EndJob(ctx, j.ID, j.Fence, time.Time{}, "")
	}
	if !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	at, err := jobs.NextJob(ctx, []string{backupJob})
	return !at.IsZero(), err
}
