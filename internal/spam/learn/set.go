package learn

import (
	"bytes"
	"strings"
)

// Bounds of what is learned from one message.
const (
	maxFeatures = 3000 // different features; a slot of the set has 16 bits
	maxFeature  = 80   // octets of a feature's name
)

// feature is one thing that a message has: a word, a pair of words, the domain
// of a link, the shape of a field. Its name reads "where:what"; words of the text
// have no place in theirs. A pair has no name of its own but those of its words.
type feature struct {
	hash uint64
	at   uint32 // of the name in the set's names; of a pair, the place of its first word
	len  uint16 // of the name
	next uint16 // of a pair, the place of its second word
	pair bool
}

// set is the different features of a message in the order of their appearance.
type set struct {
	list  []feature
	names []byte
	slots []uint16 // places in list + 1, found by hash; a power of two
}

func newSet() *set {
	size := 256
	for size < 2*maxFeatures {
		size *= 2
	}
	return &set{slots: make([]uint16, size), list: make([]feature, 0, 1024), names: make([]byte, 0, 16<<10)}
}

// add takes the feature whose name is a and b together. What is longer than
// maxFeature is cut.
func (s *set) add(a, b string) {
	start := len(s.names)
	s.names = append(s.names, a...)
	s.names = append(s.names, b[:min(len(b), max(0, maxFeature-len(a)))]...)
	s.close(start)
}

// addLower is add with the ASCII letters of b made small.
func (s *set) addLower(a, b string) {
	start := len(s.names)
	s.names = append(s.names, a...)
	for i := 0; i < len(b) && len(s.names)-start < maxFeature; i++ {
		s.names = append(s.names, lower(b[i]))
	}
	s.close(start)
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// close makes the name since start a feature, unless it is there already, and
// returns its place; -1 when the set is full.
func (s *set) close(start int) int {
	s.names = s.names[:min(len(s.names), start+maxFeature)]
	name := s.names[start:]
	f := feature{hash: hash(name), at: uint32(start), len: uint16(len(name))}
	at, found := s.find(f.hash)
	if !found && at >= 0 {
		s.list = append(s.list, f)
		return at
	}
	s.names = s.names[:start]
	return at
}

// pair takes the features at two places, in this order, as one.
func (s *set) pair(a, b int) {
	f := feature{hash: mix(s.list[a].hash*0x9e3779b97f4a7c15 + s.list[b].hash), at: uint32(a), next: uint16(b), pair: true}
	if at, found := s.find(f.hash); !found && at >= 0 {
		s.list = append(s.list, f)
	}
}

// find tells where in the list a hash is, or reserves the next place for it; -1
// when the set is full.
func (s *set) find(h uint64) (at int, found bool) {
	mask := uint64(len(s.slots) - 1)
	i := h & mask
	for ; s.slots[i] != 0; i = (i + 1) & mask {
		if at := int(s.slots[i] - 1); s.list[at].hash == h {
			return at, true
		}
	}
	if len(s.list) >= maxFeatures {
		return -1, false
	}
	s.slots[i] = uint16(len(s.list) + 1)
	return len(s.list), false
}

// hash is FNV-1a with a last mixing, so that all its bits are good. Stored tallies
// depend on it: it never changes.
func hash(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return mix(h)
}

func mix(h uint64) uint64 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

// place is where a feature stood: the part of its name before the colon; empty for
// the text. It aliases the set.
func (s *set) place(i int) []byte {
	f := s.list[i]
	if f.pair {
		return s.place(int(f.at)) // both stood in one place
	}
	name := s.names[f.at : f.at+uint32(f.len)]
	return name[:max(0, bytes.IndexByte(name, ':'))]
}

// split gives the name of a feature as a place and what was there.
func (s *set) split(i int) (where, what string) {
	f := s.list[i]
	if f.pair {
		where, first := s.split(int(f.at))
		_, second := s.split(int(f.next))
		return where, first + " " + second
	}
	name := string(s.names[f.at : f.at+uint32(f.len)])
	if where, what, ok := strings.Cut(name, ":"); ok {
		return where, what
	}
	return "text", name
}
