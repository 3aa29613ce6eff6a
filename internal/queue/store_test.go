package queue

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
	"posta/internal/trace"
)

// memStore keeps a queue in memory as the contract of store.Queue wants it, on
// time.Now, so that it lives in a bubble of fake time. It keeps messages too.
type memStore struct {
	mu      sync.Mutex
	rows    map[int64]*row
	order   []*row // of rows, oldest first
	blobs   map[blob.ID][]byte
	ids     int64
	fences  int64
	wakes   []chan struct{}
	events  []event
	claims  int
	started int // StartAttempt calls
	down    error
}

type row struct {
	store.QueueEntry
	leased bool
}

// event is a recorded outcome with its line of the trace.
type event struct {
	at      time.Time
	attempt store.Attempt
	trace   *trace.Event
}

func newMemStore() *memStore {
	return &memStore{rows: map[int64]*row{}, blobs: map[blob.ID][]byte{}}
}

// enqueue puts a message for recipients at their domains into the queue.
func (s *memStore) enqueue(body string, e store.Enqueue) mail.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	id, b := mail.NewID(now), blob.NewID(now)
	s.blobs[b] = []byte(body)
	if e.Expires.IsZero() {
		e.Expires = now.Add(5 * 24 * time.Hour)
	}
	s.ids++
	group := s.ids
	for _, to := range e.Recipients {
		s.ids++
		q := store.QueueEntry{ID: s.ids, Message: id, Group: group, Due: now, Created: now, QueueTo: to, Enqueue: e, Blob: store.BlobRef{ID: b, Size: int64(len(body))}}
		q.Recipients = nil
		s.rows[q.ID] = &row{QueueEntry: q}
		s.order = append(s.order, s.rows[q.ID])
	}
	s.wake()
	return id
}

// wake is called with mu held.
func (s *memStore) wake() {
	for _, w := range s.wakes {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

func (s *memStore) Subscribe(mailbox.AccountID) (<-chan struct{}, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := make(chan struct{}, 1)
	s.wakes = append(s.wakes, w)
	return w, func() {}
}

func (s *memStore) ClaimQueue(_ context.Context, _ string, limit, perDomain int, lease time.Duration) ([]store.QueueEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims++
	if s.down != nil {
		return nil, s.down
	}
	now := time.Now()
	type key struct {
		group  int64
		domain string
	}
	leased, busy := map[key]bool{}, map[string]int{}
	for _, r := range s.order {
		if k := (key{r.Group, r.Domain}); r.leased && r.Due.After(now) && !leased[k] {
			leased[k] = true
			busy[r.Domain]++
		}
	}
	taken := map[key]int{}
	var out []store.QueueEntry
	s.fences++
	for _, r := range s.order {
		if len(out) == limit {
			break
		}
		k := key{r.Group, r.Domain}
		if r.State != store.Ready || r.Due.After(now) || taken[k] == maxBatch || taken[k] == 0 && busy[r.Domain] >= perDomain {
			continue
		}
		if taken[k]++; taken[k] == 1 {
			busy[r.Domain]++
		}
		r.leased, r.Fence, r.Due = true, s.fences, now.Add(lease)
		out = append(out, r.QueueEntry)
	}
	return out, nil
}

// held gives the rows of a lease; mu is held.
func (s *memStore) held(ids []int64, fence int64) ([]*row, error) {
	var out []*row
	for _, id := range ids {
		r := s.rows[id]
		if r == nil || !r.leased || r.Fence != fence {
			return nil, store.ErrFenced
		}
		out = append(out, r)
	}
	return out, nil
}

func (s *memStore) ExtendQueue(_ context.Context, ids []int64, fence int64, lease time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows, err := s.held(ids, fence)
	for _, r := range rows {
		r.Due = time.Now().Add(lease)
	}
	return err
}

func (s *memStore) StartAttempt(_ context.Context, ids []int64, fence int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows, err := s.held(ids, fence)
	s.started++
	for _, r := range rows {
		r.Sending = true
	}
	return err
}

func (s *memStore) FinishQueue(_ context.Context, f store.Finish) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	for _, a := range f.Attempts {
		if _, err := s.held([]int64{a.Entry}, a.Fence); err != nil {
			return err
		}
	}
	now := time.Now()
	for _, a := range f.Attempts {
		ev, err := trace.DecodeEvent(a.Event)
		if err != nil {
			return errors.Join(store.ErrInvalid, err)
		}
		s.events = append(s.events, event{now, a, ev})
		r := s.rows[a.Entry]
		if a.State == store.Done || a.State == store.Failed {
			delete(s.rows, a.Entry)
			continue
		}
		r.State, r.Due, r.leased, r.Sending = a.State, a.Due, false, false
		r.Attempts++
		r.Delayed = r.Delayed || a.Delayed
		r.Last, r.LastAt = a.Reply, now
	}
	s.order = slices.DeleteFunc(s.order, func(r *row) bool { return s.rows[r.ID] == nil })
	s.wake()
	return nil
}

func (s *memStore) NextDue(context.Context) (at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rows {
		if r.State == store.Ready && (at.IsZero() || r.Due.Before(at)) {
			at = r.Due
		}
	}
	return at, s.down
}

func (s *memStore) BlobRef(context.Context, blob.ID) (store.BlobRef, error) {
	return store.BlobRef{}, store.ErrNotFound
}

// left is how many recipients are in the queue.
func (s *memStore) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rows)
}

// recorded are the outcomes so far.
func (s *memStore) recorded() []event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]event(nil), s.events...)
}

// history lists "address: kind reply" of what was recorded.
func (s *memStore) history() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		out = append(out, e.trace.To+": "+e.trace.Kind+" "+e.trace.Reply)
	}
	return out
}

func (s *memStore) Open(_ context.Context, id blob.ID, _ blob.Location) (blob.Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[id]
	if !ok {
		return nil, blob.ErrNotFound
	}
	return memReader{bytes.NewReader(b)}, nil
}

type memReader struct{ *bytes.Reader }

func (memReader) Close() error      { return nil }
func (memReader) Entry() blob.Entry { return blob.Entry{} }
