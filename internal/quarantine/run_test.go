package quarantine

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/directory"
	"posta/internal/policy"
	"posta/internal/store"
)

// oneJob is a store with nothing but the daily job.
type oneJob struct {
	Store
	planned int
	job     store.Job
	ran     []time.Duration // since the start
	began   time.Time
	broken  atomic.Bool
}

func (o *oneJob) AddJob(_ context.Context, j store.Job) error {
	if o.planned++; o.planned == 1 {
		return store.ErrTemporary // the database is not there yet
	}
	if o.job.Key != "" {
		return store.ErrExists
	}
	o.job = j
	return nil
}

func (o *oneJob) ClaimJob(context.Context, string, []string, time.Duration) (store.Job, error) {
	if o.job.Key == "" || time.Now().Before(o.job.Due) {
		return store.Job{}, store.ErrNotFound
	}
	return o.job, nil
}

func (o *oneJob) EndJob(_ context.Context, _, _ int64, again time.Time, _ string) error {
	o.ran = append(o.ran, time.Since(o.began))
	o.job.Due = again
	return nil
}

func (o *oneJob) NextJob(context.Context, []string) (time.Time, error) { return o.job.Due, nil }

func (o *oneJob) ListHeld(context.Context, store.HeldFilter) ([]store.HeldMail, error) {
	if o.broken.Load() {
		return nil, errors.New("broken")
	}
	return nil, nil
}
func (o *oneJob) HeldStats(context.Context) ([]store.HeldStat, error) { return nil, nil }
func (o *oneJob) DropDigests(context.Context, time.Time) error        { return nil }
func (o *oneJob) LoadDirectory(context.Context) (*store.DirectoryView, error) {
	return &store.DirectoryView{}, nil
}
func (o *oneJob) DirectoryVersion(context.Context) (int64, error) { return 1, nil }
func (o *oneJob) ChangeDirectory(context.Context, func(store.DirectoryTx) (store.Audit, error)) error {
	return nil
}
func (o *oneJob) AuditLog(context.Context, int) ([]store.Audit, error) { return nil, nil }

// Run plans the job, does it once a day, and after a failure within the hour; it ends
// with its context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oneJob{began: time.Now()}
		dir, err := directory.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		k := New(Config{Store: o, Directory: dir, Policy: func() policy.Quarantine { return policy.Quarantine{} }})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(ctx) }()
		time.Sleep(2*daily + 10*time.Minute)
		o.broken.Store(true)
		time.Sleep(daily + 90*time.Minute)
		o.broken.Store(false)
		time.Sleep(daily)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		var got []time.Duration
		for _, d := range o.ran {
			got = append(got, d.Truncate(10*time.Minute))
		}
		want := []time.Duration{0, daily, 2 * daily, 3 * daily, 3*daily + again, 3*daily + 2*again}
		if !slices.Equal(got, want) {
			t.Errorf("it ran at %v, want %v", got, want)
		}
	})
}
