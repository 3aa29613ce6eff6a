package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/store"
)

// shelf is a store of jobs by their due times, and what was asked of it.
type shelf struct {
	began  time.Time
	due    []time.Time
	broken bool
	story  []string
}

func (s *shelf) tell(format string, a ...any) {
	s.story = append(s.story, fmt.Sprintf("%v ", time.Since(s.began))+fmt.Sprintf(format, a...))
}

func (s *shelf) ClaimJob(context.Context, string, []string, time.Duration) (store.Job, error) {
	if s.broken {
		s.broken = false
		s.tell("broken")
		return store.Job{}, errors.New("broken")
	}
	if len(s.due) == 0 || s.due[0].After(time.Now()) {
		return store.Job{}, store.ErrNotFound
	}
	s.due = s.due[1:]
	return store.Job{ID: 7, Fence: 3, Key: "k"}, nil
}

func (s *shelf) EndJob(ctx context.Context, id, fence int64, again time.Time, why string) error {
	s.tell("end %d %d %v %q, cut off: %v", id, fence, again.IsZero(), why, ctx.Err())
	return nil
}

func (s *shelf) NextJob(context.Context, []string) (time.Time, error) {
	if len(s.due) == 0 {
		return time.Time{}, nil
	}
	return s.due[0], nil
}

// A worker does what is due at once, waits for what will be, looks again after a
// failure and when it is woken, and ends a job though it is being stopped.
func TestWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		s := &shelf{began: now, due: []time.Time{now, now.Add(7 * time.Second)}, broken: true}
		ctx, stop := context.WithCancel(t.Context())
		w := &Worker{Store: s, Kinds: []string{"x"}, Lease: time.Minute, Poll: 30 * time.Second, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		w.Do = func(ctx context.Context, j *store.Job) {
			s.tell("do %s", j.Key)
			if len(s.due) == 0 {
				stop()
			}
			w.End(ctx, j, time.Time{}, "")
		}
		wake := make(chan struct{}, 1)
		ended := make(chan error)
		go func() { ended <- w.Run(ctx, wake) }()
		time.Sleep(3 * time.Second)
		wake <- struct{}{}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := []string{
			"0s broken",
			"3s do k", `3s end 7 3 true "", cut off: <nil>`,
			"7s do k", `7s end 7 3 true "", cut off: <nil>`,
		}
		if !slices.Equal(s.story, want) {
			t.Errorf("got %q\nwant %q", s.story, want)
		}
	})
}

// Regular work is planned once, done when it is due, again sooner after it failed, and
// goes on where it was after a restart.
func TestRegular(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &calendar{}
		var story []string
		run := func(long time.Duration, fail bool) {
			ctx, stop := context.WithTimeout(t.Context(), long)
			defer stop()
			r := &Regular{Store: s, Node: "n", Key: "k", Every: 4 * time.Hour, Do: func(context.Context) error {
				story = append(story, time.Since(began).Round(time.Minute).String())
				if fail {
					fail = false
					return errors.New("no DNS")
				}
				return nil
			}}
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
		}
		run(6*time.Hour, true)
		run(9*time.Hour, false)
		if got := fmt.Sprint(story); got != "[1m0s 1h1m0s 5h1m0s 9h1m0s 13h1m0s]" {
			t.Error(got)
		}
		if s.added != 1 || s.why != "" {
			t.Errorf("planned %d times, last error %q", s.added, s.why)
		}
	})
}

// calendar has one job.
type calendar struct {
	due   time.Time
	added int
	why   string
}

func (c *calendar) AddJob(_ context.Context, j store.Job) error {
	if c.added > 0 {
		return store.ErrExists
	}
	c.added, c.due = 1, j.Due
	return nil
}

func (c *calendar) ClaimJob(context.Context, string, []string, time.Duration) (store.Job, error) {
	if c.due.After(time.Now()) {
		return store.Job{}, store.ErrNotFound
	}
	return store.Job{ID: 1}, nil
}

func (c *calendar) EndJob(_ context.Context, _, _ int64, again time.Time, why string) error {
	c.due, c.why = again, why
	return nil
}

func (c *calendar) NextJob(context.Context, []string) (time.Time, error) { return c.due, nil }
