package ratelimit

import (
	"sync"
	"time"
)

// Table keeps one limit's state for many keys in bounded memory. When it is
// full, the key that comes in takes the place of the one, among a few looked at
// by chance, whose state is oldest: of a flood of keys each is forgotten soon,
// while a key that keeps the table busy has a young state and stays.
// It is safe for use by many goroutines.
type Table[K comparable] struct {
	limit Limit
	max   int

	mu     sync.Mutex
	states map[K]State
}

// looked is how many keys are compared when one must go.
const looked = 8

// NewTable makes a table of at most maxKeys keys (at least 1).
func NewTable[K comparable](limit Limit, maxKeys int) *Table[K] {
	return &Table[K]{limit: limit, max: max(maxKeys, 1), states: make(map[K]State)}
}

// Take asks for n events of a key; see Limit.Take.
func (t *Table[K]) Take(key K, now time.Time, n int) Decision {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, known := t.states[key]
	next, d := t.limit.Take(old, now, n)
	if !next.TAT.After(now) { // nothing to remember
		delete(t.states, key)
		return d
	}
	if !known && len(t.states) >= t.max {
		t.evict(now)
	}
	t.states[key] = next
	return d
}

// evict removes the oldest of a few keys, and each that means nothing any more.
func (t *Table[K]) evict(now time.Time) {
	var oldest K
	var tat time.Time
	seen, expired := 0, false
	for k, s := range t.states { // Go walks from a random place
		if !s.TAT.After(now) {
			delete(t.states, k)
			expired = true
		} else if seen == 0 || s.TAT.Before(tat) {
			oldest, tat = k, s.TAT
		}
		if seen++; seen == looked {
			break
		}
	}
	if !expired {
		delete(t.states, oldest)
	}
}

// Forget removes a key, as after a success.
func (t *Table[K]) Forget(key K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.states, key)
}

// Len is how many keys are remembered.
func (t *Table[K]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.states)
}
