package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"posta/internal/store"
)

// outbound is what workers of the queue have seen, for all of them.
type outbound struct {
	mu       sync.Mutex
	finished map[int64]int            // outcomes that ended an entry
	onTheWay map[string]map[int64]int // by domain: groups that are leased
	total    int
}

// testQueueConcurrent lets workers through two handles deliver, put off, fail and
// die. Each recipient is finished exactly once, by one that held its lease, and
// no domain ever has more than its share.
func testQueueConcurrent(t *testing.T, a, b store.Store) {
	const perDomain, messages = 4, 70
	domains := []string{unique(), unique(), unique()}
	o := &outbound{finished: map[int64]int{}, onTheWay: map[string]map[int64]int{}}
	rng := rand.New(rand.NewPCG(1, 1))
	for range messages {
		var to []string
		for i := range 1 + rng.IntN(5) {
			to = append(to, fmt.Sprintf("u%d@%s", i, domains[rng.IntN(len(domains))]))
		}
		post(t, a, time.Time{}, to...)
		o.total += len(to)
	}
	deadline := time.Now().Add(20 * time.Second)
	var workers sync.WaitGroup
	for n := range 6 {
		workers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 9))
			for !o.done() && time.Now().Before(deadline) && !t.Failed() {
				o.work(t, [2]store.Store{a, b}[n%2], rng, perDomain)
			}
		})
	}
	workers.Wait()
	if !o.done() {
		t.Errorf("%d of %d recipients are finished", len(o.finished), o.total)
	}
	for id, n := range o.finished {
		if n != 1 {
			t.Errorf("entry %d was finished %d times", id, n)
		}
	}
	if left, err := a.ListQueue(t.Context(), store.QueueFilter{}); len(left) != 0 || err != nil {
		t.Errorf("%d entries are left, %v", len(left), err)
	}
	if next, err := b.NextDue(t.Context()); !next.IsZero() || err != nil {
		t.Errorf("NextDue of an empty queue: %v, %v", next, err)
	}
	if n, err := a.Doom(t.Context(), 1000); n != messages || err != nil {
		t.Errorf("Doom found %d blobs of %d, %v", n, messages, err)
	}
	sound(t, a)
}

func (o *outbound) done() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.finished) >= o.total
}

// work claims some entries and does something with them.
func (o *outbound) work(t *testing.T, s store.Store, rng *rand.Rand, perDomain int) {
	dies := rng.IntN(8) == 0
	lease := time.Minute
	if dies {
		lease = 10 * time.Millisecond // this worker forgets what it took
	}
	got, err := s.ClaimQueue(t.Context(), "node", 1+rng.IntN(30), perDomain, lease)
	if err != nil {
		t.Errorf("ClaimQueue: %v", err)
		return
	}
	if len(got) == 0 {
		time.Sleep(time.Millisecond)
		return
	}
	if dies {
		if err := s.StartAttempt(t.Context(), idsOf(got), got[0].Fence); err != nil && !errors.Is(err, store.ErrFenced) {
			t.Errorf("StartAttempt: %v", err)
		}
		return
	}
	o.claimed(t, got, perDomain)
	if err := s.StartAttempt(t.Context(), idsOf(got), got[0].Fence); err != nil {
		t.Errorf("StartAttempt: %v", err)
	}
	var f store.Finish
	for _, e := range got {
		at := outcome(e, []store.QueueState{store.Done, store.Done, store.Failed, store.Ready}[rng.IntN(4)])
		at.Due = time.Now().Add(time.Duration(rng.IntN(5)) * time.Millisecond)
		f.Attempts = append(f.Attempts, at)
	}
	o.released(f, got)
	if err := s.FinishQueue(t.Context(), f); err != nil {
		t.Errorf("FinishQueue: %v", err)
	}
}

// claimed counts what the leases of a minute hold.
func (o *outbound) claimed(t *testing.T, got []store.QueueEntry, perDomain int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range got {
		m := o.onTheWay[e.Domain]
		if m == nil {
			m = map[int64]int{}
			o.onTheWay[e.Domain] = m
		}
		m[e.Group]++
		if len(m) > perDomain {
			t.Errorf("%d messages are on their way to %s", len(m), e.Domain)
		}
		if o.finished[e.ID] > 0 {
			t.Errorf("entry %d is claimed after its end", e.ID)
		}
	}
}

// released is called before the store hears of it, so that the count is never
// higher than the truth.
func (o *outbound) released(f store.Finish, got []store.QueueEntry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, e := range got {
		m := o.onTheWay[e.Domain]
		if m[e.Group]--; m[e.Group] == 0 {
			delete(m, e.Group)
		}
		if st := f.Attempts[i].State; st == store.Done || st == store.Failed {
			o.finished[e.ID]++
		}
	}
}
