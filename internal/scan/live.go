package scan

import "sync"

// Live is the Runner of now, which may be replaced while messages are with the old one:
// that is closed when its last user lets it go. The zero value has none. It may be used
// from any goroutine.
type Live struct {
	mu  sync.Mutex
	now *using
}

// using is a Runner with how many use it; Live counts as one.
type using struct {
	*Runner
	users int
}

// NewLive makes a Live of a Runner, nil for none.
func NewLive(r *Runner) *Live {
	l := &Live{}
	if r != nil {
		l.now = &using{r, 1}
	}
	return l
}

// Now is the Runner of now, nil for none, for who asks no scanner about a message.
func (l *Live) Now() *Runner {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now == nil {
		return nil
	}
	return l.now.Runner
}

// Take gives the Runner of now, nil for none, to somebody who uses it until he calls
// release, which he does once. Its error is that of closing a Runner that was replaced.
func (l *Live) Take() (r *Runner, release func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.now
	if u == nil {
		return nil, func() error { return nil }
	}
	u.users++
	return u.Runner, func() error { return l.letGo(u) }
}

// Replace puts another Runner, nil for none, in the place of the one of now. The error
// is that of closing the old one, if nobody uses it.
func (l *Live) Replace(r *Runner) error {
	next := NewLive(r).now
	l.mu.Lock()
	old := l.now
	l.now = next
	l.mu.Unlock()
	if old == nil {
		return nil
	}
	return l.letGo(old)
}

// Close ends the use of the Runner of now; afterwards there is none.
func (l *Live) Close() error { return l.Replace(nil) }

func (l *Live) letGo(u *using) error {
	l.mu.Lock()
	u.users--
	last := u.users == 0
	l.mu.Unlock()
	if !last {
		return nil
	}
	return u.Runner.Close()
}
