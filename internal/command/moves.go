package command

import (
	"context"
	"sync"

	"posta/internal/mailbox"
)

// moves keeps one import at a time going into an account. A client that was killed has
// octets on their way that are still stored; whoever begins anew must see them before
// he asks what is there. The zero value is ready.
type moves struct {
	mu sync.Mutex
	of map[mailbox.AccountID]*move
}

// move is the import into one account.
type move struct {
	session int64
	putting int           // streams at work, of this session or one before
	idle    chan struct{} // closed when putting comes to zero; nil while nobody waits
}

// begin ends the session before, waits until nothing of it is being stored any more,
// and returns the new one. number is higher than any before it is likely to be.
func (m *moves) begin(ctx context.Context, a mailbox.AccountID, number int64) (session int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = map[mailbox.AccountID]*move{}
	}
	v := m.of[a]
	if v == nil {
		v = &move{}
		m.of[a] = v
	}
	session = max(number, v.session+1)
	v.session = session
	for v.putting > 0 {
		if v.idle == nil {
			v.idle = make(chan struct{})
		}
		idle := v.idle
		m.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			err = ctx.Err()
		}
		m.mu.Lock()
		if err != nil {
			return 0, err
		}
	}
	return session, nil
}

// enter counts a stream that stores; leave must follow.
func (m *moves) enter(a mailbox.AccountID, session int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.of[a]
	if v == nil || v.session != session {
		return errSuperseded()
	}
	v.putting++
	return nil
}

func (m *moves) leave(a mailbox.AccountID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.of[a]
	if v.putting--; v.putting == 0 && v.idle != nil {
		close(v.idle)
		v.idle = nil
	}
}

// current reports whether no other session has begun.
func (m *moves) current(a mailbox.AccountID, session int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of[a] != nil && m.of[a].session == session
}

// errSuperseded says that another import has begun, or the server began anew.
func errSuperseded() error { return fail(ErrLater, "error.moving.session") }
