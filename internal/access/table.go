package access

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
)

// The table holds a million entries in some twenty octets each beside the key
// itself, in a few thousand shards. A shard is never changed: a change writes
// one shard anew and copies the list of shards, which costs some microseconds.
//
// In a shard all values of one name, whatever the tag, lie in one record, so that
// a search asks once for "From:x" and "x":
//
//	length of the name, name, number of values, (tag, action[, text])…

// shardNames is how many names a shard has on average, at most twice that.
const shardNames = 128

type shard struct {
	slots []uint32 // open addressing: 8 bits of the hash, 24 bits of offset + 1; 0 is free
	data  string   // records
	texts []string // of values that have one
	names int
}

// entry is one line of the map, with its name's hash.
type entry struct {
	hash  uint64
	raw   string
	line  uint32 // of the file; 0 elsewhere
	tag   Tag
	value Value
}

func entryOf(seed maphash.Seed, k Key, v Value) entry {
	return entry{hash: maphash.String(seed, k.raw), raw: k.raw, tag: k.tag, value: v}
}

func (e entry) compare(f entry) int {
	if e.hash != f.hash { // nearly always; the names need not be fetched
		return cmp.Compare(e.hash, f.hash)
	}
	return cmp.Or(strings.Compare(e.raw, f.raw), cmp.Compare(e.tag, f.tag))
}

// newShard makes a shard of entries, sorted and without repeated keys.
func newShard(entries []entry) *shard {
	s := &shard{}
	var data []byte
	var starts []uint32
	texts := map[string]int{}
	for i := 0; i < len(entries); {
		first := &entries[i]
		n := i + 1
		for n < len(entries) && entries[n].hash == first.hash && entries[n].raw == first.raw {
			n++
		}
		starts = append(starts, uint32(len(data)))
		data = binary.AppendUvarint(data, uint64(len(first.raw)))
		data = append(append(data, first.raw...), byte(n-i))
		for _, e := range entries[i:n] {
			data = append(data, byte(e.tag), byte(e.value.Action))
			if !e.value.Action.hasText() {
				continue
			}
			at, known := texts[e.value.Text]
			if !known {
				at = len(s.texts)
				texts[e.value.Text] = at
				s.texts = append(s.texts, e.value.Text)
			}
			data = binary.AppendUvarint(data, uint64(at))
		}
		i = n
	}
	s.data, s.texts, s.names = string(data), slices.Clip(s.texts), len(starts)
	s.index(entries, starts)
	return s
}

// index fills the slots; of four at least one is free.
func (s *shard) index(entries []entry, starts []uint32) {
	if len(starts) == 0 {
		return
	}
	s.slots = make([]uint32, 1<<bits.Len(uint(len(starts)+len(starts)/3)))
	mask := uint32(len(s.slots) - 1)
	last := -1
	for i := range entries {
		if i > 0 && entries[i].hash == entries[i-1].hash && entries[i].raw == entries[i-1].raw {
			continue
		}
		last++
		h := entries[i].hash
		at := uint32(h) & mask
		for s.slots[at] != 0 {
			at = (at + 1) & mask
		}
		s.slots[at] = uint32(h>>32)<<24 | (starts[last] + 1)
	}
}

// find gives the values of a name: their encoding and the name as it is kept.
func (s *shard) find(hash uint64, raw []byte) (values, name string) {
	if len(s.slots) == 0 {
		return "", ""
	}
	mask := uint32(len(s.slots) - 1)
	for at := uint32(hash) & mask; s.slots[at] != 0; at = (at + 1) & mask {
		slot := s.slots[at]
		if slot>>24 != uint32(hash>>32)&0xff {
			continue
		}
		n, rec := cutUvarint(s.data[slot&0xffffff-1:])
		if n == len(raw) && rec[:n] == string(raw) {
			return rec[n:], rec[:n]
		}
	}
	return "", ""
}

// value finds the value of a tag among those of a name.
func (s *shard) value(values string, tag Tag) (Value, bool) {
	for n := values[0]; n > 0; n-- {
		t, v, size := s.decode(values[1:])
		if t == tag {
			return v, true
		}
		values = values[size:]
	}
	return Value{}, false
}

// decode reads one value and says how many octets it took.
func (s *shard) decode(b string) (Tag, Value, int) {
	v := Value{Action: Action(b[1])}
	if !v.Action.hasText() {
		return Tag(b[0]), v, 2
	}
	i, rest := cutUvarint(b[2:])
	v.Text = s.texts[i]
	return Tag(b[0]), v, len(b) - len(rest)
}

// each calls f with every entry until f returns false.
func (s *shard) each(f func(raw string, tag Tag, v Value) bool) bool {
	for rest := s.data; rest != ""; {
		n, rec := cutUvarint(rest)
		raw, values := rec[:n], rec[n:]
		rest = values[1:]
		for range values[0] {
			tag, v, size := s.decode(rest)
			if !f(raw, tag, v) {
				return false
			}
			rest = rest[size:]
		}
	}
	return true
}

// with gives the shard's entries with one put in, or taken out when v is None;
// had is what the key had before.
func (s *shard) with(seed maphash.Seed, k Key, v Value) (entries []entry, had Value) {
	s.each(func(raw string, tag Tag, old Value) bool {
		if tag == k.tag && raw == k.raw {
			had = old
		} else {
			entries = append(entries, entry{hash: maphash.String(seed, raw), raw: raw, tag: tag, value: old})
		}
		return true
	})
	if v.Action != None {
		entries = append(entries, entryOf(seed, k, v))
	}
	slices.SortFunc(entries, entry.compare)
	return entries, had
}

// cutUvarint reads what binary.AppendUvarint wrote.
func cutUvarint(s string) (int, string) {
	if c := s[0]; c < 0x80 {
		return int(c), s[1:]
	}
	n, shift := 0, 0
	for i := range len(s) {
		n |= int(s[i]&0x7f) << shift
		if s[i] < 0x80 {
			return n, s[i+1:]
		}
		shift += 7
	}
	return n, ""
}

// size is how many octets the shard takes.
func (s *shard) size() int {
	n := 80 + 8 + 4*len(s.slots) + len(s.data) + 16*len(s.texts)
	for _, t := range s.texts {
		n += len(t)
	}
	return n
}
