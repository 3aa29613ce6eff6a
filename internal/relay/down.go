package relay

import (
	"sync"
	"time"
)

// maxDown bounds the marks.
const maxDown = 4096

// downs remembers for a short while which addresses failed, and how, so that a
// queue full of mail for a dead host does not wait for it again and again.
type downs struct {
	mu    sync.Mutex
	until map[place]mark
}

type mark struct {
	until time.Time
	out   Outcome
}

func newDowns() *downs { return &downs{until: map[place]mark{}} }

// set marks an address. Over the bound, marks that have passed are cleared; if
// there is still no room the new one is not kept.
func (d *downs) set(a place, now time.Time, keep time.Duration, out Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.until) >= maxDown {
		for k, m := range d.until {
			if !now.Before(m.until) {
				delete(d.until, k)
			}
		}
		if len(d.until) >= maxDown {
			return
		}
	}
	d.until[a] = mark{now.Add(keep), out}
}

func (d *downs) clear(a place) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.until, a)
}

// get gives what an address failed with, if that is not long ago.
func (d *downs) get(a place, now time.Time) (Outcome, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, ok := d.until[a]
	return m.out, ok && now.Before(m.until)
}
