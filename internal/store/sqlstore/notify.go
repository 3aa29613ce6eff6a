package sqlstore

import (
	"sync"

	"posta/internal/mailbox"
)

// notifier wakes subscribers. A wake-up is a hint, so channels have one place and
// nobody ever waits.
type notifier struct {
	mu   sync.Mutex
	subs map[mailbox.AccountID]map[chan struct{}]struct{}
}

func newNotifier() *notifier {
	return &notifier{subs: map[mailbox.AccountID]map[chan struct{}]struct{}{}}
}

func (n *notifier) subscribe(a mailbox.AccountID) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.subs[a] == nil {
		n.subs[a] = map[chan struct{}]struct{}{}
	}
	n.subs[a][ch] = struct{}{}
	return ch, func() { n.cancel(a, ch) }
}

func (n *notifier) cancel(a mailbox.AccountID, ch chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.subs[a], ch)
	if len(n.subs[a]) == 0 {
		delete(n.subs, a)
	}
}

func (n *notifier) wake(accounts []mailbox.AccountID) {
	if len(accounts) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range accounts {
		for ch := range n.subs[a] {
			poke(ch)
		}
	}
}

// wakeAll is for when it is not known what was missed.
func (n *notifier) wakeAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, set := range n.subs {
		for ch := range set {
			poke(ch)
		}
	}
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
