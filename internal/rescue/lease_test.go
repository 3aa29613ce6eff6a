package rescue

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/store"
)

// jobs is a store of one job whose database goes away.
type jobs struct {
	store.Store
	step func() error // of a renewal
	held bool
}

func (j *jobs) AddJob(context.Context, store.Job) error { return nil }

func (j *jobs) ClaimJob(context.Context, string, []string, time.Duration) (store.Job, error) {
	if j.held {
		return store.Job{}, store.ErrNotFound
	}
	j.held = true
	return store.Job{ID: 1, Fence: 1}, nil
}

func (j *jobs) StepJob(context.Context, int64, int64, []byte, time.Duration) error { return j.step() }

func (j *jobs) EndJob(context.Context, int64, int64, time.Time, string) error {
	j.held = false
	return nil
}

// A lease is kept over a short absence of the database; a backup whose lease may
// have run out, or was taken, ends before anybody removes what it copies.
func TestLease(t *testing.T) {
	away := func(from, to time.Duration) func(time.Duration) error {
		return func(at time.Duration) error {
			if at >= from && at < to {
				return store.ErrTemporary
			}
			return nil
		}
	}
	for _, c := range []struct {
		name  string
		step  func(at time.Duration) error
		lives bool
	}{
		{"all is well", away(0, 0), true},
		{"the database is away for a minute", away(time.Minute, 2*time.Minute), true},
		{"for two minutes", away(time.Minute, 3*time.Minute), false},
		{"somebody else has the lease", func(time.Duration) error { return store.ErrFenced }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				j := &jobs{step: func() error { return c.step(time.Since(begun)) }}
				r := &Rescue{Store: j}
				ctx, release, err := r.lease(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := r.lease(t.Context()); !errors.Is(err, ErrRunning) {
					t.Errorf("a second lease: %v", err)
				}
				select {
				case <-ctx.Done():
					if c.lives {
						t.Errorf("the lease was lost: %v", context.Cause(ctx))
					}
				case <-time.After(10 * time.Minute):
					if !c.lives {
						t.Error("the lease was kept")
					}
				}
				if err := release(); (err == nil) != c.lives || err != nil && !errors.Is(err, errLapsed) {
					t.Errorf("release: %v", err)
				}
				if j.held {
					t.Error("the job is still there")
				}
			})
		})
	}
}
