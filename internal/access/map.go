package access

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Map is an immutable snapshot of an access map. It may be used by many
// goroutines. A nil *Map is empty.
type Map struct {
	seed   maphash.Seed
	shards []*shard // a power of two
	shift  uint     // of a hash, to the index of its shard
	n      int      // entries

	// What is there at all, so that nobody asks for what is not.
	lengths [4][129]uint32 // networks by their raw kind - 1 and length in bits
	kinds   [kindOther + 1]uint32
	stars   uint32 // user+*@
	filter  filter
}

// MaxEntries bounds a map.
const MaxEntries = 16 << 20

// Len is the number of entries.
func (m *Map) Len() int {
	if m == nil {
		return 0
	}
	return m.n
}

// Size is how many octets the map takes, without what allocation rounds up.
func (m *Map) Size() int {
	if m == nil {
		return 0
	}
	n := 8*len(m.shards) + 8*filterPage*len(m.filter.pages)
	for _, s := range m.shards {
		n += s.size()
	}
	return n
}

// Get gives the value of exactly this key.
func (m *Map) Get(k Key) (Value, bool) {
	if m == nil || k.IsZero() {
		return Value{}, false
	}
	h := maphash.String(m.seed, k.raw)
	s := m.shards[h>>m.shift]
	values, _ := s.find(h, []byte(k.raw))
	if values == "" {
		return Value{}, false
	}
	return s.value(values, k.tag)
}

// All walks over the entries in no particular order.
func (m *Map) All() iter.Seq2[Key, Value] {
	return func(yield func(Key, Value) bool) {
		if m == nil {
			return
		}
		for _, s := range m.shards {
			if !s.each(func(raw string, tag Tag, v Value) bool { return yield(Key{tag, raw}, v) }) {
				return
			}
		}
	}
}

// Put gives a map with the entry added, or its value replaced. The cost hardly
// depends on the size of the map: one shard is written anew, and the list of
// shards, eight octets for each 128 names, is copied. The error is that of a value
// that means nothing beside the key, or of a full map.
func (m *Map) Put(k Key, v Value) (*Map, error) {
	if err := checkEntry(k, v, m.Len()); err != nil {
		return m, err
	}
	return m.changed([]Change{{k, v}}), nil
}

// Change is a new value of a key; without a value the key goes.
type Change struct {
	Key   Key
	Value Value
}

// With gives a map with many changes made, in their order, for little more than
// the cost of their shards. The error is that of the first that Put would refuse.
func (m *Map) With(all []Change) (*Map, error) {
	n := m.Len()
	for _, c := range all {
		if c.Value.Action == None {
			continue
		}
		if err := checkEntry(c.Key, c.Value, n); err != nil {
			return m, err
		}
		n++
	}
	return m.changed(all), nil
}

// Collect makes a map of entries, as a store has them. Of a key that comes more
// than once the last holds. The error is that of the first entry that Put would
// refuse.
func Collect(all iter.Seq2[Key, Value]) (*Map, error) {
	seed := maphash.MakeSeed()
	var entries []entry
	for k, v := range all {
		if err := checkEntry(k, v, len(entries)); err != nil {
			return nil, err
		}
		e := entryOf(seed, k, v)
		e.line = uint32(len(entries))
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if c := a.compare(b); c != 0 {
			return c
		}
		return cmp.Compare(b.line, a.line)
	})
	entries = slices.CompactFunc(entries, func(a, b entry) bool { return a.compare(b) == 0 })
	return buildSorted(seed, entries), nil
}

// CheckEntry says why an entry cannot be: a value that means nothing beside its key.
func CheckEntry(k Key, v Value) error { return checkEntry(k, v, 0) }

// checkEntry says why an entry cannot go into a map that has n entries.
func checkEntry(k Key, v Value, n int) error {
	switch {
	case k.IsZero() || v.Action == None:
		return errors.New("access: an entry has a key and a value")
	case n >= MaxEntries:
		return fmt.Errorf("access: a map has at most %d entries", MaxEntries)
	}
	return checkValue(k, v)
}

// Delete gives a map without the key.
func (m *Map) Delete(k Key) *Map {
	if _, ok := m.Get(k); !ok {
		return m
	}
	return m.changed([]Change{{Key: k}})
}

// changed makes the snapshot with some keys changed.
func (m *Map) changed(all []Change) *Map {
	if m == nil {
		m = build(maphash.MakeSeed(), nil)
	}
	next := m.copied()
	for _, c := range all {
		if next.n >= 2*shardNames*len(next.shards) || next.filter.full() {
			next = next.regrown().copied()
		}
		h := maphash.String(next.seed, c.Key.raw)
		at := h >> next.shift
		if c.Value.Action != None {
			next.filter.add(h)
		}
		entries, had := next.shards[at].with(next.seed, c.Key, c.Value)
		next.shards[at] = newShard(entries)
		if had.Action != None {
			next.count(c.Key.raw, -1)
		}
		if c.Value.Action != None {
			next.count(c.Key.raw, 1)
		}
	}
	return next
}

// copied is a map whose lists may be changed without m hearing of it.
func (m *Map) copied() *Map {
	next := *m
	next.shards, next.filter = slices.Clone(m.shards), m.filter.copied()
	return &next
}

// regrown is the same map in as many shards as it should have. It costs as much
// as loading, once in a doubling.
func (m *Map) regrown() *Map {
	entries := make([]entry, 0, m.n)
	for k, v := range m.All() {
		entries = append(entries, entryOf(m.seed, k, v))
	}
	return build(m.seed, entries)
}

// build makes a map of entries without repeated keys; it sorts them.
func build(seed maphash.Seed, entries []entry) *Map {
	slices.SortFunc(entries, entry.compare)
	return buildSorted(seed, entries)
}

func buildSorted(seed maphash.Seed, entries []entry) *Map {
	m := &Map{seed: seed, filter: newFilter(len(entries))}
	power := bits.Len(uint(len(entries) / shardNames))
	m.shift = uint(64 - power)
	m.shards = make([]*shard, 1<<power)
	from := 0
	for i := range m.shards {
		to := from
		for to < len(entries) && entries[to].hash>>m.shift == uint64(i) {
			m.count(entries[to].raw, 1)
			m.filter.set(entries[to].hash)
			to++
		}
		m.shards[i] = newShard(entries[from:to])
		from = to
	}
	return m
}

// count keeps what is there.
func (m *Map) count(raw string, by int) {
	m.n += by
	k := kindOf(raw)
	m.kinds[k] += uint32(by)
	if (k == kindUser || k == kindAddress) && strings.Contains(raw, "+*@") {
		m.stars += uint32(by)
	}
	if k == kindNet || k == kindBracket {
		m.lengths[raw[0]-rawNet4][raw[1]] += uint32(by)
	}
}

// Live holds the map that is in force. The zero value is empty. It is safe for
// use by many goroutines; readers never wait.
type Live struct {
	mu  sync.Mutex // of writers
	now atomic.Pointer[Map]
}

// Load gives the map that is in force.
func (l *Live) Load() *Map { return l.now.Load() }

// Update replaces the map by what f makes of it. When f fails nothing changes.
func (l *Live) Update(f func(*Map) (*Map, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, err := f(l.now.Load())
	if err == nil {
		l.now.Store(m)
	}
	return err
}

// Text writes the map as a file, sorted by tag and name.
func (m *Map) Text() string {
	type line struct{ key, value string }
	lines := make([]line, 0, m.Len())
	for k, v := range m.All() {
		lines = append(lines, line{k.String(), v.String()})
	}
	slices.SortFunc(lines, func(a, b line) int { return strings.Compare(a.key, b.key) })
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.key)
		b.WriteByte('\t')
		b.WriteString(l.value)
		b.WriteByte('\n')
	}
	return b.String()
}
