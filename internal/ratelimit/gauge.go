package ratelimit

import "sync"

// Gauge counts what is going on at the same time, by key: open connections of a
// network, running deliveries to a host. A key at zero takes no memory, so a
// Gauge is bounded by what it counts. It is safe for use by many goroutines.
type Gauge[K comparable] struct {
	mu     sync.Mutex
	counts map[K]int
}

// NewGauge makes an empty gauge.
func NewGauge[K comparable]() *Gauge[K] { return &Gauge[K]{counts: make(map[K]int)} }

// Enter adds one to a key if it is below limit then; limit 0 is no limit.
// Whoever entered must Leave.
func (g *Gauge[K]) Enter(key K, limit int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.counts[key]
	if limit > 0 && n >= limit {
		return false
	}
	g.counts[key] = n + 1
	return true
}

// Leave takes one from a key.
func (g *Gauge[K]) Leave(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := g.counts[key]; n > 1 {
		g.counts[key] = n - 1
	} else {
		delete(g.counts, key)
	}
}

// Count is the number at a key.
func (g *Gauge[K]) Count(key K) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts[key]
}
