package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"posta/internal/mail"
	"posta/internal/store"
)

// queueModel is the queue as a plain map: what the store must agree with after
// any sequence of operations. Leases of an hour never run out in it.
type queueModel struct {
	entries map[int64]*entryModel
	now     time.Time
}

type entryModel struct {
	message  mail.ID
	address  string
	domain   string
	state    store.QueueState
	due      time.Time // of the schedule
	fence    int64     // 0: not leased
	attempts int
	sending  bool
}

// batchModel is what one attempt takes.
type batchModel struct {
	message mail.ID
	domain  string
}

// free gives, for each batch that may be claimed, since when it is due.
func (m *queueModel) free() map[batchModel]time.Time {
	out := map[batchModel]time.Time{}
	for _, e := range m.entries {
		if e.state != store.Ready || e.fence != 0 || e.due.After(m.now) {
			continue
		}
		k := batchModel{e.message, e.domain}
		if at, ok := out[k]; !ok || e.due.Before(at) {
			out[k] = e.due
		}
	}
	return out
}

// busy counts the attempts on their way to a domain.
func (m *queueModel) busy(domain string) int {
	leases := map[string]bool{}
	for _, e := range m.entries {
		if e.domain == domain && e.fence != 0 {
			leases[fmt.Sprint(e.message, e.fence)] = true
		}
	}
	return len(leases)
}

type queueWalk struct {
	*testing.T
	rng     *rand.Rand
	handles [2]store.Store
	model   queueModel
	domains []string
}

func testQueueRandom(t *testing.T, a, b store.Store) {
	for seed := range uint64(2) {
		w := &queueWalk{T: t, rng: rand.New(rand.NewPCG(seed, 5)), handles: [2]store.Store{a, b},
			model:   queueModel{entries: map[int64]*entryModel{}, now: time.Now().Truncate(time.Millisecond)},
			domains: []string{unique(), unique(), unique(), unique()}}
		for range 90 {
			w.step()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		w.compare()
		w.dropAll()
		sound(t, a)
	}
}

func (w *queueWalk) store() store.Store { return w.handles[w.rng.IntN(2)] }

func (w *queueWalk) step() {
	switch n := w.rng.IntN(100); {
	case n < 30:
		w.post()
	case n < 55:
		w.claim()
	case n < 80:
		w.finish()
	case n < 93:
		w.edit()
	default:
		w.compare()
	}
}

// some picks entries, in an order that repeats.
func (w *queueWalk) some(fit func(*entryModel) bool) []int64 {
	var out []int64
	for _, id := range slices.Sorted(maps.Keys(w.model.entries)) {
		if w.rng.IntN(3) > 0 && fit(w.model.entries[id]) {
			out = append(out, id)
		}
	}
	return out
}

// due is a moment in the past, mostly, all different, or far in the future.
func (w *queueWalk) due() time.Time {
	if w.rng.IntN(5) == 0 {
		return w.model.now.Add(time.Hour)
	}
	return w.model.now.Add(-time.Duration(1+w.rng.IntN(1e6)) * time.Millisecond)
}

func (w *queueWalk) post() {
	due := w.due()
	var to []string
	for i := range 1 + w.rng.IntN(6) {
		to = append(to, fmt.Sprintf("u%d@%s", i, w.domains[w.rng.IntN(len(w.domains))]))
	}
	id := post(w, w.store(), due, to...)
	got, err := w.store().ListQueue(w.Context(), store.QueueFilter{Message: id})
	if err != nil || len(got) != len(to) {
		w.Fatalf("posted %d recipients, listed %d, %v", len(to), len(got), err)
	}
	for i, e := range got {
		w.model.entries[e.ID] = &entryModel{message: id, address: to[i], domain: domainOf(to[i]), due: due}
	}
}

// claim checks that what comes may come, that the oldest of each domain comes
// first, and that nothing stays behind for which there was room.
func (w *queueWalk) claim() {
	limit, perDomain := 1+w.rng.IntN(8), 1+w.rng.IntN(3)
	free := w.model.free()
	got, err := w.store().ClaimQueue(w.Context(), "node", limit, perDomain, time.Hour)
	if err != nil || len(got) > limit {
		w.Fatalf("ClaimQueue gave %d of %d, %v", len(got), limit, err)
	}
	newest := map[string]time.Time{}
	for _, e := range got {
		m := w.model.entries[e.ID]
		if m == nil || m.state != store.Ready || m.fence != 0 || m.due.After(w.model.now) {
			w.Fatalf("claimed %+v, which is %+v", e, m)
		}
		if e.Address != m.address || e.Attempts != m.attempts || e.Sending != m.sending || e.Message != m.message {
			w.Errorf("claimed %+v, want %+v", e, m)
		}
		m.fence = e.Fence
		if at := free[batchModel{m.message, m.domain}]; at.After(newest[m.domain]) {
			newest[m.domain] = at
		}
	}
	for _, d := range w.domains {
		if n := w.model.busy(d); n > perDomain && newest[d] != (time.Time{}) {
			w.Errorf("%d attempts on their way to %s, %d may be", n, d, perDomain)
		}
	}
	for k, at := range w.model.free() {
		if at.Before(newest[k.domain]) && len(got) < limit {
			w.Errorf("a batch due at %v stayed behind one due at %v", at, newest[k.domain])
		}
		if len(got) < limit && w.model.busy(k.domain) < perDomain {
			w.Errorf("room for %s was left (%d of %d claimed)", k.domain, len(got), limit)
		}
	}
}

// finish ends some leases of one fence.
func (w *queueWalk) finish() {
	leased := w.some(func(e *entryModel) bool { return e.fence != 0 })
	if len(leased) == 0 {
		return
	}
	fence := w.model.entries[leased[0]].fence
	leased = slices.DeleteFunc(leased, func(id int64) bool { return w.model.entries[id].fence != fence })
	if err := w.store().StartAttempt(w.Context(), leased, fence); err != nil {
		w.Fatalf("StartAttempt: %v", err)
	}
	var f store.Finish
	for _, id := range leased {
		w.model.entries[id].sending = true
		at := store.Attempt{Entry: id, Fence: fence, State: store.QueueState(w.rng.IntN(4)), Due: w.model.now.Add(time.Hour), Reply: "reply"}
		f.Attempts = append(f.Attempts, at)
	}
	if w.rng.IntN(4) == 0 { // one wrong lease, and nothing is recorded
		bad := store.Finish{Attempts: append(slices.Clone(f.Attempts), store.Attempt{Entry: leased[0] + 1e9, Fence: fence, State: store.Done})}
		if err := w.store().FinishQueue(w.Context(), bad); !errors.Is(err, store.ErrFenced) {
			w.Errorf("FinishQueue with one that is not leased: %v", err)
		}
	}
	if err := w.store().FinishQueue(w.Context(), f); err != nil {
		w.Fatalf("FinishQueue: %v", err)
	}
	for _, at := range f.Attempts {
		e := w.model.entries[at.Entry]
		switch at.State {
		case store.Done, store.Failed:
			delete(w.model.entries, at.Entry)
		default:
			e.state, e.due, e.fence, e.sending = at.State, at.Due, 0, false
			e.attempts++
		}
	}
}

func (w *queueWalk) edit() {
	edit := store.QueueEdit(w.rng.IntN(4))
	ids := w.some(func(*entryModel) bool { return w.rng.IntN(3) == 0 })
	n, err := w.store().EditQueue(w.Context(), ids, edit, store.Audit{At: epoch, Command: "queue.edit"})
	want := 0
	for _, id := range ids {
		e := w.model.entries[id]
		if e.fence != 0 || (edit == store.Release) != (e.state == store.Held) && edit != store.Drop {
			continue
		}
		want++
		switch edit {
		case store.Retry:
			e.due = w.model.now
		case store.Hold:
			e.state = store.Held
		case store.Release:
			e.state = store.Ready
		case store.Drop:
			delete(w.model.entries, id)
		}
	}
	if n != want || err != nil {
		w.Errorf("EditQueue(%d) changed %d, %v; want %d", edit, n, err, want)
	}
}

func (w *queueWalk) compare() {
	s := w.store()
	got, err := s.ListQueue(w.Context(), store.QueueFilter{})
	if err != nil || len(got) != len(w.model.entries) {
		w.Errorf("%d entries, %v; want %d", len(got), err, len(w.model.entries))
	}
	stats := map[string]int{}
	for _, e := range got {
		m := w.model.entries[e.ID]
		if m == nil || e.State != m.state || e.Attempts != m.attempts || e.Address != m.address || e.Message != m.message || e.Sending != m.sending {
			w.Errorf("entry %+v, want %+v", e, m)
		}
		stats[fmt.Sprint(e.Domain, e.State)]++
	}
	told, err := s.QueueStats(w.Context())
	for _, st := range told {
		k := fmt.Sprint(st.Domain, st.State)
		if stats[k] != st.Count {
			w.Errorf("stats of %s: %d, want %d", k, st.Count, stats[k])
		}
		delete(stats, k)
	}
	if err != nil || len(stats) > 0 {
		w.Errorf("the stats do not tell of %v, %v", stats, err)
	}
}

// dropAll ends every lease and drops the rest, for the next walk.
func (w *queueWalk) dropAll() {
	for id, e := range w.model.entries {
		if e.fence == 0 {
			continue
		}
		done := store.Finish{Attempts: []store.Attempt{{Entry: id, Fence: e.fence, State: store.Done}}}
		if err := w.store().FinishQueue(w.Context(), done); err != nil {
			w.Fatal(err)
		}
		delete(w.model.entries, id)
	}
	ids := slices.Sorted(maps.Keys(w.model.entries))
	if n, err := w.store().EditQueue(w.Context(), ids, store.Drop, store.Audit{At: epoch}); n != len(ids) || err != nil {
		w.Errorf("dropped %d of %d, %v", n, len(ids), err)
	}
}
