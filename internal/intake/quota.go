package intake

import (
	"context"
	"sync"

	"posta/internal/mailbox"
)

// AccountID is mailbox.AccountID, by its short name in this package.
type AccountID = mailbox.AccountID

// reservations holds, for each account with a quota, the octets that sessions
// were promised at RCPT and that are not committed yet, so that a hundred
// sessions cannot fill the same last megabyte a hundred times.
type reservations struct {
	mu   sync.Mutex
	held map[AccountID]int64
}

func newReservations() *reservations { return &reservations{held: map[AccountID]int64{}} }

// take reserves octets if they fit.
func (r *reservations) take(ctx context.Context, st Store, a AccountID, octets int64) (bool, error) {
	used, _, quota, err := st.Usage(ctx, a)
	if err != nil || quota == 0 {
		return err == nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if used+r.held[a]+octets > quota {
		return false, nil
	}
	r.held[a] += octets
	return true, nil
}

// give returns what take reserved.
func (r *reservations) give(a AccountID, octets int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[a] -= octets; r.held[a] <= 0 {
		delete(r.held, a)
	}
}
