package access

import (
	"math/bits"
	"slices"
)

// filter tells most names that are not in the map from those that may be, with
// one look into a table small enough for the processor's cache: nearly all keys
// that a session asks for are not there. It is a Bloom filter whose three bits
// for a name lie in one word, 8 to 16 bits a name, in pages so that a change
// copies little.
type filter struct {
	pages []*[filterPage]uint64 // a power of two
	added int                   // names set since the pages were made
	own   []bool                // pages of a copy that it does not share; nil where it shares none
}

const filterPage = 1024 // words

func newFilter(names int) filter {
	pages := 1 << bits.Len(uint(names/(8*filterPage)))
	f := filter{pages: make([]*[filterPage]uint64, pages)}
	for i := range f.pages {
		f.pages[i] = new([filterPage]uint64)
	}
	return f
}

// full reports whether so many names were set that the filter does not help any
// more; names that were deleted leave their bits behind.
func (f *filter) full() bool { return f.added >= 16*filterPage*len(f.pages) }

// place is where a name's bits lie. Other bits of the hash choose the shard (the
// highest) and the slot in it (the lowest).
func (f *filter) place(h uint64) (page, word int, mask uint64) {
	at := int(h>>8) & (filterPage*len(f.pages) - 1)
	return at / filterPage, at % filterPage, 1<<(h>>46&63) | 1<<(h>>40&63) | 1<<(h>>34&63)
}

func (f *filter) has(h uint64) bool {
	page, word, mask := f.place(h)
	return f.pages[page][word]&mask == mask
}

func (f *filter) set(h uint64) {
	page, word, mask := f.place(h)
	f.pages[page][word] |= mask
	f.added++
}

// copied is a filter that shares its pages until add writes to them.
func (f *filter) copied() filter {
	return filter{pages: slices.Clone(f.pages), added: f.added, own: make([]bool, len(f.pages))}
}

// add sets a name in a copied filter.
func (f *filter) add(h uint64) {
	if f.has(h) {
		f.added++ // as set would count it
		return
	}
	page, _, _ := f.place(h)
	if f.own != nil && !f.own[page] {
		own := *f.pages[page]
		f.pages[page], f.own[page] = &own, true
	}
	f.set(h)
}
