package reputation

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"posta/internal/store"
)

// Facts is what a Memory needs of store.Facts.
type Facts interface {
	FactsOf(ctx context.Context, kind store.FactKind, keys ...string) ([]store.Fact, error)
	ChangeFacts(ctx context.Context, kind store.FactKind, keys []string, f func(store.Fact) store.Fact) error
}

const (
	maxBatch  = 100  // keys of one change
	maxQueued = 4096 // keys whose counts wait to be written
	// FlushEvery is how often counts are written; a crash loses as much.
	FlushEvery = 5 * time.Second
)

// Memory keeps what this package knows. Its methods block on the store and are
// safe for concurrent use; Record does not block.
type Memory struct {
	facts Facts
	grey  Grey
	now   func() time.Time

	mu      sync.Mutex
	queued  map[string]*[3]int // counts by key and fate
	dropped atomic.Int64
}

// New makes a memory. now is the clock; nil means time.Now.
func New(facts Facts, grey Grey, now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	return &Memory{facts: facts, grey: grey, now: now, queued: map[string]*[3]int{}}
}

// Greylist answers a suspicious attempt. On an error the attempt should pass:
// the answer says so.
func (m *Memory) Greylist(ctx context.Context, a Attempt) (GreyAnswer, error) {
	now := m.now()
	known, err := m.passed(ctx, a, now)
	if known || err != nil {
		return GreyAnswer{Pass: true, Known: known}, err
	}
	var ans GreyAnswer
	err = m.facts.ChangeFacts(ctx, store.GreyTriplet, []string{a.tripletKey()}, func(f store.Fact) store.Fact {
		var t Triplet
		if !f.Until.IsZero() {
			t = parseTriplet(f.Value)
		}
		t, until, answer := m.grey.Judge(t, now)
		ans = answer
		if answer.Pass {
			return store.Fact{} // it is among those who passed from now on
		}
		return store.Fact{Value: t.append(nil), Until: until}
	})
	if err != nil {
		return GreyAnswer{Pass: true}, err
	}
	if ans.Pass {
		err = m.keepPassed(ctx, a, now)
	}
	return ans, err
}

// passed asks whether the client passed before with this sender domain, and
// keeps that alive: with one write a day, not one for each message.
func (m *Memory) passed(ctx context.Context, a Attempt, now time.Time) (bool, error) {
	facts, err := m.facts.FactsOf(ctx, store.GreyPassed, a.passedKey())
	if err != nil || facts[0].Until.IsZero() {
		return false, err
	}
	if facts[0].Until.Sub(now) < m.grey.keep()-24*time.Hour {
		err = m.keepPassed(ctx, a, now)
	}
	return true, err
}

func (m *Memory) keepPassed(ctx context.Context, a Attempt, now time.Time) error {
	return m.facts.ChangeFacts(ctx, store.GreyPassed, []string{a.passedKey()}, func(f store.Fact) store.Fact {
		return store.Fact{Value: f.Value, Until: now.Add(m.grey.keep())}
	})
}

// Standing gives what is known of a sender: of its domain from its network, or,
// when that is unknown and the domain is proven, of the domain. On an error it
// is unknown.
func (m *Memory) Standing(ctx context.Context, s Sender) (Standing, error) {
	facts, err := m.facts.FactsOf(ctx, store.Reputation, s.keys()...)
	if err != nil {
		return Standing{}, err
	}
	for _, f := range facts {
		if !f.Until.IsZero() {
			if st := parseStanding(f.Value); len(st.days) > 0 {
				return st, nil
			}
		}
	}
	return Standing{}, nil
}

// Record counts a message. It does not block: counts are written by Run. Above
// its budget of senders it drops and counts that (Dropped).
func (m *Memory) Record(s Sender, f Fate) { m.count(s, f, 1) }

// Correct counts a message anew whose reader moved it, from one fate to another.
func (m *Memory) Correct(s Sender, from, to Fate) {
	m.count(s, from, -1)
	m.count(s, to, 1)
}

// Dropped is how many messages were not counted, for want of room.
func (m *Memory) Dropped() int64 { return m.dropped.Load() }

func (m *Memory) count(s Sender, f Fate, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range s.keys() {
		c := m.queued[k]
		if c == nil {
			if len(m.queued) >= maxQueued {
				m.dropped.Add(1)
				return
			}
			c = new([3]int)
			m.queued[k] = c
		}
		c[f] += n
	}
}

// Flush writes the counts that wait. Those that could not be written are lost:
// they are not worth memory.
func (m *Memory) Flush(ctx context.Context) error {
	m.mu.Lock()
	queued := m.queued
	m.queued = map[string]*[3]int{}
	m.mu.Unlock()
	now := m.now()
	keys := make([]string, 0, min(len(queued), maxBatch))
	write := func() error {
		err := m.facts.ChangeFacts(ctx, store.Reputation, keys, func(f store.Fact) store.Fact {
			var s Standing
			if !f.Until.IsZero() {
				s = parseStanding(f.Value)
			}
			for fate, n := range queued[f.Key] {
				if n != 0 {
					s = s.Add(Fate(fate), n, now)
				}
			}
			return store.Fact{Value: s.append(nil), Until: s.until()}
		})
		keys = keys[:0]
		return err
	}
	for k := range queued {
		keys = append(keys, k)
		if len(keys) == maxBatch {
			if err := write(); err != nil {
				return err
			}
		}
	}
	if len(keys) > 0 {
		return write()
	}
	return nil
}

// Run writes counts every five seconds until the context ends, and then once
// more. failed, if not nil, is told of errors.
func (m *Memory) Run(ctx context.Context, failed func(error)) {
	tick := time.NewTicker(FlushEvery)
	defer tick.Stop()
	flush := func(ctx context.Context) {
		if err := m.Flush(ctx); err != nil && failed != nil {
			failed(err)
		}
	}
	for {
		select {
		case <-tick.C:
			flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), FlushEvery)
			defer cancel()
			flush(last)
			return
		}
	}
}
