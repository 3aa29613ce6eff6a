package sqltally

import (
	"sync"
	"time"

	"posta/internal/spam/tally"
)

// slotBytes is what one slot of a table takes.
const slotBytes = 16

// table is a model in memory: open addressing by the feature, which is a hash
// already. It is safe for concurrent use.
type table struct {
	mu      sync.RWMutex
	row     modelRow
	slots   []slot
	used    int
	checked time.Time // when it was last compared with the database
}

// slot holds a feature; one whose feature is zero is free.
type slot struct {
	feature uint64
	count   tally.Count
}

// key is a feature as slots hold it: zero means free, so it shares a slot with one.
func key(f uint64) uint64 { return max(f, 1) }

func slotsFor(n int) int {
	size := 64
	for size*3 < n*4+256 {
		size *= 2
	}
	return size
}

func newTable(r modelRow, n int) *table {
	return &table{row: r, slots: make([]slot, slotsFor(n)), checked: time.Now()}
}

func (t *table) bytes() int { return len(t.slots) * slotBytes }

// find is the slot of a feature, or the free one where it belongs.
func (t *table) find(f uint64) *slot {
	f = key(f)
	mask := uint64(len(t.slots) - 1)
	for i := f & mask; ; i = (i + 1) & mask {
		s := &t.slots[i]
		if s.feature == f || s.feature == 0 {
			return s
		}
	}
}

// set puts a count. Once the table is held, the caller holds mu.
func (t *table) set(f uint64, c tally.Count) {
	s := t.find(f)
	if s.feature == 0 {
		if c == (tally.Count{}) {
			return
		}
		t.used++
	}
	*s = slot{key(f), c}
	if t.used*4 > len(t.slots)*3 {
		old := t.slots
		t.slots, t.used = make([]slot, 2*len(old)), 0
		for _, s := range old {
			if s.feature != 0 {
				t.set(s.feature, s.count)
			}
		}
	}
}

// add follows what was added to the database in so many changes, and returns how
// many octets the table grew.
func (t *table) add(messages tally.Delta, features []tally.Delta, changes int64) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.bytes()
	t.row.messages = t.row.messages.Clamp(messages.Spam, messages.Ham)
	t.row.changes += changes
	for _, d := range features {
		t.set(d.Feature, t.find(d.Feature).count.Clamp(d.Spam, d.Ham))
	}
	return t.bytes() - was
}

func (t *table) counts(features []uint64, out []tally.Count) tally.Count {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for i, f := range features {
		out[i] = t.find(f).count
	}
	return t.row.messages
}

func (t *table) changes() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.row.changes
}

// due tells, once in every interval, that the table is to be compared.
func (t *table) due(now time.Time, every time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.checked) < every {
		return false
	}
	t.checked = now
	return true
}

// cache holds the models that are asked often.
type cache struct {
	mu     sync.Mutex
	limit  int
	bytes  int
	tick   uint64
	gen    uint64 // raised whenever a model was changed
	models map[tally.Model]*held
}

type held struct {
	t     *table // nil: only counted so far
	asked int
	used  uint64
}

// maxNames bounds the models whose use is counted.
const maxNames = 4096

func newCache(limit int) *cache { return &cache{limit: limit, models: map[tally.Model]*held{}} }

// get returns a model if it is in memory, and else how often it was asked.
func (c *cache) get(m tally.Model) (*table, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick++
	h := c.models[m]
	if h == nil {
		if len(c.models) >= maxNames {
			c.evict(func(h *held) bool { return true })
		}
		h = new(held)
		c.models[m] = h
	}
	h.used = c.tick
	h.asked++
	return h.t, h.asked
}

func (c *cache) generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gen
}

// fits tells whether a model of n features may be held at all: one may take half
// of the memory.
func (c *cache) fits(n int) bool { return slotsFor(n)*slotBytes <= c.limit/2 }

// put holds a model, unless something was changed since the generation.
func (c *cache) put(m tally.Model, t *table, gen uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen != gen {
		return
	}
	h := c.models[m]
	if h == nil {
		h = new(held)
		c.models[m] = h
	}
	if h.t != nil {
		c.bytes -= h.t.bytes()
	}
	h.t, h.used = t, c.tick
	c.bytes += t.bytes()
	for c.bytes > c.limit && c.evict(func(x *held) bool { return x.t != nil && x != h }) {
	}
}

// evict lets go of the model that was asked longest ago among those that fit.
func (c *cache) evict(fit func(*held) bool) bool {
	var name tally.Model
	var oldest *held
	for m, h := range c.models {
		if fit(h) && (oldest == nil || h.used < oldest.used) {
			name, oldest = m, h
		}
	}
	if oldest == nil {
		return false
	}
	if oldest.t != nil {
		c.bytes -= oldest.t.bytes()
	}
	delete(c.models, name)
	return true
}

// add has a model in memory follow a change of the database.
func (c *cache) add(m tally.Model, messages tally.Delta, features []tally.Delta, changes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	if h := c.models[m]; h != nil && h.t != nil {
		c.bytes += h.t.add(messages, features, changes)
	}
}

// drop lets go of a model whose rows were changed in another way. It is read again at once when
// it is asked next.
func (c *cache) drop(m tally.Model) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	if h := c.models[m]; h != nil && h.t != nil {
		c.bytes -= h.t.bytes()
		h.t = nil
	}
}

// forget has a model's use counted anew: it is too large to be held.
func (c *cache) forget(m tally.Model) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.models[m]; h != nil {
		h.asked = 0
	}
}
