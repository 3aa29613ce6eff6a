package imap

import (
	"iter"
	"slices"
	"strconv"
)

// Star is the "*" of a set: the greatest number in use.
const Star uint32 = 0

// Range is seq-range or seq-number; a bound that is Star is the greatest number
// in use. The bounds stand as written: "7:2" and "*:4" are ranges.
type Range struct{ First, Last uint32 }

// Set is sequence-set: message numbers or UIDs, or the saved result "$"
// (RFC 5182). The zero Set is no valid set of the grammar.
type Set struct {
	Ranges []Range
	Saved  bool // "$"; Ranges is empty
}

// Set reads sequence-set.
func (d *Decoder) Set(arg string) (s Set) {
	if d.Accept('$') {
		s.Saved = true
		return s
	}
	for d.err == nil {
		if len(s.Ranges) >= d.limits.Set {
			d.err = Bad("%s: more than %d ranges", arg, d.limits.Set)
			break
		}
		r := Range{First: d.setNumber(arg)}
		r.Last = r.First
		if d.Accept(':') {
			r.Last = d.setNumber(arg)
		}
		s.Ranges = append(s.Ranges, r)
		if !d.Accept(',') {
			break
		}
	}
	if d.err != nil {
		return Set{}
	}
	return s
}

func (d *Decoder) setNumber(arg string) uint32 {
	if d.Accept('*') {
		return Star
	}
	return d.NzNumber(arg)
}

// Resolve puts greatest for "*" and returns ranges that ascend, do not touch and
// have First <= Last. With greatest 0 (an empty mailbox) "*" names nothing.
func (s Set) Resolve(greatest uint32) []Range {
	out := make([]Range, 0, len(s.Ranges))
	for _, r := range s.Ranges {
		if r.First == Star {
			r.First = greatest
		}
		if r.Last == Star {
			r.Last = greatest
		}
		if r.First > r.Last {
			r.First, r.Last = r.Last, r.First
		}
		if r.First == 0 {
			r.First = 1
		}
		if r.Last == 0 {
			continue
		}
		out = append(out, r)
	}
	return Normal(out)
}

// Normal sorts ranges in place and joins those that overlap or touch.
func Normal(rs []Range) []Range {
	slices.SortFunc(rs, func(a, b Range) int {
		switch {
		case a.First < b.First:
			return -1
		case a.First > b.First:
			return 1
		}
		return 0
	})
	out := rs[:0]
	for _, r := range rs {
		if n := len(out); n > 0 && uint64(r.First) <= uint64(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// Contains reports whether resolved ranges (see Resolve) hold a number.
func Contains(rs []Range, n uint32) bool {
	i, found := slices.BinarySearchFunc(rs, n, func(r Range, n uint32) int {
		switch {
		case r.Last < n:
			return -1
		case r.First > n:
			return 1
		}
		return 0
	})
	return found && i < len(rs)
}

// Numbers walks resolved ranges. Its length can be 2^32: bound it by the mailbox.
func Numbers(rs []Range) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, r := range rs {
			for n := uint64(r.First); n <= uint64(r.Last); n++ {
				if !yield(uint32(n)) {
					return
				}
			}
		}
	}
}

// Add puts a number at the end of ranges; numbers must come in ascending order.
func Add(rs []Range, n uint32) []Range {
	if k := len(rs); k > 0 && uint64(rs[k-1].Last)+1 >= uint64(n) {
		rs[k-1].Last = max(rs[k-1].Last, n)
		return rs
	}
	return append(rs, Range{n, n})
}

// Count is how many numbers resolved ranges hold.
func Count(rs []Range) (n uint64) {
	for _, r := range rs {
		n += uint64(r.Last) - uint64(r.First) + 1
	}
	return n
}

// AppendSet writes ranges as sequence-set; nothing for none.
func AppendSet(b []byte, rs []Range) []byte {
	for i, r := range rs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSetNumber(b, r.First)
		if r.Last != r.First {
			b = append(b, ':')
			b = appendSetNumber(b, r.Last)
		}
	}
	return b
}

func appendSetNumber(b []byte, n uint32) []byte {
	if n == Star {
		return append(b, '*')
	}
	return strconv.AppendUint(b, uint64(n), 10)
}

// String is the set as written on the wire.
func (s Set) String() string {
	if s.Saved {
		return "$"
	}
	return string(AppendSet(nil, s.Ranges))
}
