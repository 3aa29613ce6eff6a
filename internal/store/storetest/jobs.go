package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"posta/internal/mail"
	"posta/internal/store"
)

func testJobs(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	past := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	for _, c := range []struct {
		what string
		job  store.Job
		want error
	}{
		{"a job", store.Job{Key: "report/1", Kind: "report", Due: past, Data: []byte{0, 1, 2}}, nil},
		{"its key again", store.Job{Key: "report/1", Kind: "report"}, store.ErrExists},
		{"an older one", store.Job{Key: "report/0", Kind: "report", Due: past.Add(-time.Minute)}, nil},
		{"of another kind", store.Job{Key: "vacation/1", Kind: "vacation", Due: past.Add(-time.Hour)}, nil},
		{"not due", store.Job{Key: "report/2", Kind: "report", Due: time.Now().Add(time.Hour)}, nil},
		{"without a kind", store.Job{Key: "x"}, store.ErrInvalid},
	} {
		if err := a.AddJob(ctx, c.job); !errors.Is(err, c.want) || (c.want == nil && err != nil) {
			t.Errorf("%s: AddJob: %v, want %v", c.what, err, c.want)
		}
	}
	if next, err := b.NextJob(ctx, []string{"report", "vacation"}); err != nil || !next.Equal(past.Add(-time.Hour)) {
		t.Errorf("NextJob = %v, %v", next, err)
	}
	if next, err := b.NextJob(ctx, []string{"none"}); err != nil || !next.IsZero() {
		t.Errorf("NextJob of no kind = %v, %v", next, err)
	}
	first, err := a.ClaimJob(ctx, "node", []string{"report"}, time.Minute)
	if err != nil || first.Key != "report/0" {
		t.Fatalf("ClaimJob: %+v, %v", first, err)
	}
	second, err := b.ClaimJob(ctx, "node", []string{"report"}, time.Minute)
	if err != nil || second.Key != "report/1" || string(second.Data) != "\x00\x01\x02" || second.Tries != 0 {
		t.Fatalf("ClaimJob: %+v, %v", second, err)
	}
	if j, err := b.ClaimJob(ctx, "node", []string{"report"}, time.Minute); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a third: %+v, %v", j, err)
	}
	if err := b.StepJob(ctx, second.ID, second.Fence, []byte("half"), time.Minute); err != nil {
		t.Errorf("StepJob: %v", err)
	}
	if err := b.StepJob(ctx, second.ID, second.Fence+1, nil, time.Minute); !errors.Is(err, store.ErrFenced) {
		t.Errorf("StepJob with a wrong fence: %v", err)
	}
	if err := b.EndJob(ctx, second.ID, second.Fence, past, "the disk was full"); err != nil {
		t.Errorf("EndJob: %v", err)
	}
	again, err := a.ClaimJob(ctx, "node", []string{"vacuum", "report"}, time.Minute)
	if err != nil || again.Key != "report/1" || string(again.Cursor) != "half" || again.Tries != 1 || again.Last != "the disk was full" {
		t.Errorf("again: %+v, %v", again, err)
	}
	for range 2 {
		if err := a.EndJob(ctx, again.ID, again.Fence, time.Time{}, ""); err != nil && !errors.Is(err, store.ErrFenced) {
			t.Errorf("EndJob: %v", err)
		}
	}
	if all, err := b.ListJobs(ctx, 10); err != nil || len(all) != 3 || all[0].Key != "vacation/1" {
		t.Errorf("ListJobs: %+v, %v", all, err)
	}
	testJobsOfAccept(t, a, b)
	sound(t, a)
}

// testJobsOfAccept: the outbox is part of the accept; a key that waits already is
// no error there.
func testJobsOfAccept(t *testing.T, a, b store.Store) {
	wake, cancel := b.Subscribe(0)
	defer cancel()
	for range 2 {
		_, err := a.Accept(t.Context(), &store.Accept{ID: mail.NewID(time.Now()), Jobs: []store.Job{{Key: "push/ana", Kind: "push"}, {Kind: "hook"}}})
		if err != nil {
			t.Errorf("Accept with jobs: %v", err)
		}
	}
	select {
	case <-wake:
	case <-time.After(30 * time.Second):
		t.Error("nobody was woken")
	}
	all, err := b.ListJobs(t.Context(), 0)
	count := map[string]int{}
	for _, j := range all {
		count[j.Kind]++
	}
	if err != nil || count["push"] != 1 || count["hook"] != 2 {
		t.Errorf("jobs of two accepts: %v, %v", count, err)
	}
}

// testJobsConcurrent: each job runs once at a time and to its end once, though
// workers die.
func testJobsConcurrent(t *testing.T, a, b store.Store) {
	const total = 40
	for i := range total {
		if err := a.AddJob(t.Context(), store.Job{Key: fmt.Sprint("j", i), Kind: fmt.Sprint("k", i%3)}); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	ended, deaths := map[int64]int{}, 0
	var workers sync.WaitGroup
	deadline := time.Now().Add(20 * time.Second)
	for n := range 6 {
		workers.Go(func() {
			s := [2]store.Store{a, b}[n%2]
			for i := 0; time.Now().Before(deadline); i++ {
				lease, dies := time.Minute, i%5 == n%5
				if dies {
					lease = 5 * time.Millisecond
				}
				j, err := s.ClaimJob(t.Context(), "node", []string{"k0", "k1", "k2"}, lease)
				if errors.Is(err, store.ErrNotFound) {
					if next, _ := s.NextJob(t.Context(), []string{"k0", "k1", "k2"}); next.IsZero() {
						return
					}
					time.Sleep(time.Millisecond)
					continue
				}
				if err != nil {
					t.Errorf("ClaimJob: %v", err)
					return
				}
				mu.Lock()
				if dies {
					deaths++
				} else {
					ended[j.ID]++
				}
				mu.Unlock()
				if !dies {
					if err := s.EndJob(t.Context(), j.ID, j.Fence, time.Time{}, ""); err != nil {
						t.Errorf("EndJob: %v", err)
					}
				}
			}
		})
	}
	workers.Wait()
	if len(ended) != total || deaths == 0 {
		t.Errorf("%d of %d jobs ended, after %d deaths", len(ended), total, deaths)
	}
	for id, n := range ended {
		if n != 1 {
			t.Errorf("job %d ended %d times", id, n)
		}
	}
}
