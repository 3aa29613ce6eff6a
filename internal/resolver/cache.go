package resolver

import (
	"hash/maphash"
	"sync"
	"time"
)

// question is a cache key. name is normal; generic questions keep Records, typed ones their own values.
type question struct {
	name    string
	typ     Type
	generic bool
}

// cache keeps answers in shards, each with its lock, its share of entries and bytes, and a clock hand that evicts what was
// not asked for since the hand last passed. The questions in flight live beside the answers, so that one look under one
// lock tells what to do.
type cache struct {
	seed   maphash.Seed
	shards []shard
}

type shard struct {
	mu         sync.Mutex
	index      map[question]int32 // position in slots
	slots      []slot
	hand       int
	bytes      int
	maxEntries int
	maxBytes   int
	flights    map[question]*flight
}

type slot struct {
	key     question
	ans     *answer // nil: the slot is free
	expires time.Time
	recent  bool // asked for since the hand passed
}

// flight is a question being asked; done is closed when ans is set.
type flight struct {
	done chan struct{}
	ans  *answer
}

func newCache(entries, bytes int) *cache {
	n := 1
	if entries >= 1024 {
		n = 16
	}
	c := &cache{seed: maphash.MakeSeed(), shards: make([]shard, n)}
	for i := range c.shards {
		c.shards[i].index = make(map[question]int32)
		c.shards[i].flights = make(map[question]*flight)
		c.shards[i].maxEntries = entries / n
		c.shards[i].maxBytes = bytes / n
	}
	return c
}

func (c *cache) shard(q question) *shard {
	if len(c.shards) == 1 {
		return &c.shards[0]
	}
	return &c.shards[maphash.String(c.seed, q.name)%uint64(len(c.shards))]
}

// get gives the answer that is still good at now and how long it will be. s.mu must be held.
func (s *shard) get(q question, now time.Time) (*answer, time.Duration) {
	i, ok := s.index[q]
	if !ok {
		return nil, 0
	}
	e := &s.slots[i]
	left := e.expires.Sub(now)
	if left <= 0 {
		return nil, 0
	}
	e.recent = true
	// A clock that jumped back must not lengthen a life.
	return e.ans, min(left, e.ans.ttl)
}

// put keeps an answer, making room as needed; one that is larger than an eighth of the shard is not kept. s.mu must be held.
func (s *shard) put(q question, a *answer, now time.Time) {
	if s.maxEntries == 0 || a.cost > s.maxBytes/8 {
		return
	}
	if i, ok := s.index[q]; ok {
		s.drop(i)
	}
	for len(s.index) > 0 && (len(s.index) >= s.maxEntries || s.bytes+a.cost+len(q.name) > s.maxBytes) {
		s.evict(now)
	}
	i := s.free()
	s.slots[i] = slot{key: q, ans: a, expires: now.Add(a.ttl)}
	s.index[q] = i
	s.bytes += a.cost + len(q.name)
}

// free finds a slot without an answer, or makes one. The hand passes over free slots quickly because evict leaves it there.
func (s *shard) free() int32 {
	if len(s.index) == len(s.slots) {
		s.slots = append(s.slots, slot{})
		return int32(len(s.slots) - 1)
	}
	for s.slots[s.hand].ans != nil {
		s.hand = (s.hand + 1) % len(s.slots)
	}
	return int32(s.hand)
}

func (s *shard) evict(now time.Time) {
	for {
		e := &s.slots[s.hand]
		if e.ans != nil && (!e.recent || !now.Before(e.expires)) {
			s.drop(int32(s.hand))
			return
		}
		e.recent = false
		s.hand = (s.hand + 1) % len(s.slots)
	}
}

func (s *shard) drop(i int32) {
	e := &s.slots[i]
	delete(s.index, e.key)
	s.bytes -= e.ans.cost + len(e.key.name)
	*e = slot{}
	s.hand = int(i)
}
