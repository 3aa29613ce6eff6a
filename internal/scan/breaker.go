package scan

import (
	"sync"
	"time"
)

// A member rests after restAfter failures in a row, first for restFirst, then
// twice as long each time it fails again, up to restLongest.
const (
	restAfter   = 3
	restFirst   = 5 * time.Second
	restLongest = time.Minute
)

// breaker keeps a dead scanner from costing each message its whole timeout. The
// zero value is a scanner that works. It is safe for use by many goroutines.
type breaker struct {
	mu       sync.Mutex
	failures int
	rest     time.Duration
	until    time.Time // it rests until then
	trying   bool      // one message is with it, to see
	last     error
}

// enter reports whether a message may be given to the scanner; if not, last is
// what it failed with. Whoever entered must leave.
func (b *breaker) enter(now time.Time) (ok bool, last error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < restAfter {
		return true, nil
	}
	if b.trying || now.Before(b.until) {
		return false, b.last
	}
	b.trying = true
	return true, nil
}

// leave tells what came of it: nil for an answer. Whether it was an answer or not
// is unknown where the caller gave up.
func (b *breaker) leave(now time.Time, err error, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
	switch {
	case !known:
	case err == nil:
		b.failures, b.rest, b.last = 0, 0, nil
	default:
		b.failures++
		b.last = err
		if b.failures >= restAfter && !now.Before(b.until) {
			b.rest = min(max(2*b.rest, restFirst), restLongest)
			b.until = now.Add(b.rest)
		}
	}
}

// resting gives the failure after which the scanner rests, and until when.
func (b *breaker) resting() (until time.Time, last error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < restAfter {
		return time.Time{}, nil
	}
	return b.until, b.last
}
