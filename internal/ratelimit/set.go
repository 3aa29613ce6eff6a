package ratelimit

import (
	"hash/maphash"
	"sync"
	"time"
)

// Set keeps one limit's state for many keys in memory of a fixed size, sixteen
// octets a key, allocated once: for keys that strangers choose. A key has its
// place in one bucket of eight; when the bucket is full, the new key takes the
// place of the one that has been quiet for longest, and whose state will soonest mean
// nothing. So a flood of new keys forgets those that hardly act, and a key that
// is being limited stays. It is safe for use by many goroutines; they wait for
// each other only within one of 64 shards.
//
// Keys are told apart by 64 bits of a hash that nobody outside can predict.
type Set[K comparable] struct {
	limit  Limit
	seed   maphash.Seed
	mask   uint64 // of buckets in a shard
	shards [setShards]setShard
}

const (
	setShards = 64
	setWays   = 8
)

type setShard struct {
	mu      sync.Mutex
	buckets [][setWays]setCell
}

// setCell is the state of one key; tat is a theoretical arrival time in
// nanoseconds since 1970, 0 for a free cell.
type setCell struct {
	hash uint64
	tat  int64
}

// NewSet makes a set with room for at least keys keys (rounded up to a power of
// two, at least 512).
func NewSet[K comparable](limit Limit, keys int) *Set[K] {
	buckets := uint64(1)
	for buckets*setShards*setWays < uint64(max(keys, 0)) {
		buckets *= 2
	}
	s := &Set[K]{limit: limit, seed: maphash.MakeSeed(), mask: buckets - 1}
	for i := range s.shards {
		s.shards[i].buckets = make([][setWays]setCell, buckets)
	}
	return s
}

// Take asks for n events of a key; see Limit.Take.
func (s *Set[K]) Take(key K, now time.Time, n int) Decision {
	if s.limit.Count <= 0 {
		_, d := s.limit.Take(State{}, now, n)
		return d
	}
	h := maphash.Comparable(s.seed, key)
	sh := &s.shards[h>>58]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	bucket := &sh.buckets[h&s.mask]
	at := 0
	for i := range bucket {
		if bucket[i].hash == h && bucket[i].tat != 0 {
			at = i
			break
		}
		if bucket[i].tat < bucket[at].tat {
			at = i
		}
	}
	c := &bucket[at]
	var old State
	if c.hash == h && c.tat != 0 {
		old.TAT = time.Unix(0, c.tat)
	}
	next, d := s.limit.Take(old, now, n)
	if next.TAT.After(now) {
		*c = setCell{h, next.TAT.UnixNano()}
	}
	return d
}
