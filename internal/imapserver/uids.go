package imapserver

import (
	"math"
	"slices"

	"posta/internal/imap"
	"posta/internal/mailbox"
)

// uidList is an ascending list of UIDs, kept as runs: the messages of a mailbox
// as a session numbers them. A mailbox of 100,000 messages with few holes costs
// some hundred octets. The zero list is empty.
type uidList struct{ runs []run }

// run is n UIDs from uid on; the first of them is message number seq.
type run struct{ uid, n, seq uint32 }

// newUIDs makes a list of ascending UIDs.
func newUIDs(uids []mailbox.UID) uidList {
	var l uidList
	for _, u := range uids {
		l.append(u)
	}
	l.runs = slices.Clip(l.runs)
	return l
}

// len is how many there are.
func (l *uidList) len() int {
	if len(l.runs) == 0 {
		return 0
	}
	r := l.runs[len(l.runs)-1]
	return int(r.seq + r.n - 1)
}

// last is the greatest UID, 0 of an empty list.
func (l *uidList) last() mailbox.UID {
	if len(l.runs) == 0 {
		return 0
	}
	r := l.runs[len(l.runs)-1]
	return mailbox.UID(r.uid + r.n - 1)
}

// append adds a UID that is greater than the last; others are passed over.
func (l *uidList) append(u mailbox.UID) {
	if u <= l.last() {
		return
	}
	if k := len(l.runs); k > 0 && u == l.last()+1 {
		l.runs[k-1].n++
		return
	}
	l.runs = append(l.runs, run{uid: uint32(u), n: 1, seq: uint32(l.len()) + 1})
}

// at is the UID of a message number, 0 if there is none.
func (l *uidList) at(seq uint32) mailbox.UID {
	i, _ := slices.BinarySearchFunc(l.runs, seq, func(r run, seq uint32) int {
		switch {
		case r.seq+r.n <= seq:
			return -1
		case r.seq > seq:
			return 1
		}
		return 0
	})
	if i == len(l.runs) || seq < l.runs[i].seq {
		return 0
	}
	return mailbox.UID(l.runs[i].uid + seq - l.runs[i].seq)
}

// seq is the message number of a UID, 0 if it is not in the list.
func (l *uidList) seq(u mailbox.UID) uint32 {
	i, ok := l.find(uint32(u))
	if !ok {
		return 0
	}
	return l.runs[i].seq + uint32(u) - l.runs[i].uid
}

func (l *uidList) find(u uint32) (int, bool) {
	return slices.BinarySearchFunc(l.runs, u, func(r run, u uint32) int {
		switch {
		case uint64(r.uid)+uint64(r.n) <= uint64(u):
			return -1
		case r.uid > u:
			return 1
		}
		return 0
	})
}

// within lists the UIDs of the list that ranges of UIDs (resolved) hold.
func (l *uidList) within(rs []imap.Range) []mailbox.UID {
	var out []mailbox.UID
	for _, r := range rs {
		i, _ := l.find(r.First)
		for ; i < len(l.runs) && l.runs[i].uid <= r.Last; i++ {
			first := max(l.runs[i].uid, r.First)
			last := min(l.runs[i].uid+l.runs[i].n-1, r.Last)
			out = slices.Grow(out, int(last-first)+1)
			for u := first; ; u++ {
				out = append(out, mailbox.UID(u))
				if u == last {
					break
				}
			}
		}
	}
	return out
}

// all lists every UID.
func (l *uidList) all() []mailbox.UID {
	return l.within([]imap.Range{{First: 1, Last: math.MaxUint32}})
}

// numbered lists the UIDs of ranges of message numbers (resolved).
func (l *uidList) numbered(rs []imap.Range) []mailbox.UID {
	var out []mailbox.UID
	for _, r := range rs {
		last := min(r.Last, uint32(l.len()))
		for seq := r.First; seq <= last; {
			u := l.at(seq)
			i, _ := l.find(uint32(u))
			stop := min(l.runs[i].seq+l.runs[i].n-1, last)
			for ; seq <= stop; seq++ {
				out = append(out, u)
				u++
			}
		}
	}
	return out
}

// ranges is the list as a set of UIDs.
func (l *uidList) ranges() []imap.Range {
	out := make([]imap.Range, len(l.runs))
	for i, r := range l.runs {
		out[i] = imap.Range{First: r.uid, Last: r.uid + r.n - 1}
	}
	return out
}

// remove takes ascending UIDs out and calls removed with the message number that
// each had when those before it were gone already, as EXPUNGE tells it. Those
// that are not in the list are passed over.
func (l *uidList) remove(uids []mailbox.UID, removed func(seq uint32, u mailbox.UID)) {
	if len(uids) == 0 {
		return
	}
	out := make([]run, 0, len(l.runs)+1)
	gone, k := uint32(0), 0
	put := func(uid, n uint32, seq uint32) {
		if n > 0 {
			out = append(out, run{uid, n, seq})
		}
	}
	for _, r := range l.runs {
		for k < len(uids) && uint32(uids[k]) < r.uid {
			k++
		}
		first, seq := r.uid, r.seq
		end := r.uid + r.n - 1
		left := r.n
		for k < len(uids) && uint32(uids[k]) <= end {
			u := uint32(uids[k])
			k++
			if u < first {
				continue // given twice
			}
			put(first, u-first, seq-gone)
			seq += u - first
			removed(seq-gone, mailbox.UID(u))
			gone++
			seq++
			left -= u - first + 1
			first = u + 1
		}
		put(first, left, seq-gone)
	}
	l.runs = out
}
