package sqlstore

import (
	"context"
	"errors"
	"slices"
	"strings"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// ListMailboxes implements store.Mailboxes; the names are in ascending order of
// their octets.
func (s *Store) ListMailboxes(ctx context.Context, a mailbox.AccountID) ([]mailbox.Mailbox, error) {
	var out []mailbox.Mailbox
	err := s.main.read(ctx, func(t *tx) (err error) {
		out, err = collect(t, scanMailbox, mailboxColumns+"WHERE m.account = $1", a)
		if err == nil && len(out) == 0 {
			_, _, err = ledger(t, a)
		}
		return err
	})
	slices.SortFunc(out, func(a, b mailbox.Mailbox) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

// GetMailbox implements store.Mailboxes.
func (s *Store) GetMailbox(ctx context.Context, a mailbox.AccountID, id mailbox.ID) (m mailbox.Mailbox, err error) {
	err = s.main.read(ctx, func(t *tx) (err error) {
		m, err = mailboxByID(t, a, id)
		return err
	})
	return m, err
}

func mailboxByID(t *tx, a mailbox.AccountID, id mailbox.ID) (mailbox.Mailbox, error) {
	found, err := collect(t, scanMailbox, mailboxColumns+"WHERE m.id = $1 AND m.account = $2", id, a)
	if err == nil && len(found) == 0 {
		err = wrap(store.ErrNotFound, "mailbox %d", id)
	}
	if err != nil {
		return mailbox.Mailbox{}, err
	}
	return found[0], nil
}

// ledger reads an account's counters in a read transaction.
func ledger(t *tx, a mailbox.AccountID) (high mailbox.ModSeq, used accountState, err error) {
	err = t.row("SELECT modseq, octets, messages, quota FROM ledger WHERE account = $1", a).scan(&used.modseq, &used.octets, &used.messages, &used.quota)
	if errors.Is(err, store.ErrNotFound) {
		err = wrap(err, "account %d", a)
	}
	return used.modseq, used, err
}

// ModSeq implements store.Mailboxes.
func (s *Store) ModSeq(ctx context.Context, a mailbox.AccountID) (high mailbox.ModSeq, err error) {
	err = s.main.read(ctx, func(t *tx) (err error) {
		high, _, err = ledger(t, a)
		return err
	})
	return high, err
}

// Usage implements store.Mailboxes.
func (s *Store) Usage(ctx context.Context, a mailbox.AccountID) (octets, messages, quota int64, err error) {
	err = s.main.read(ctx, func(t *tx) error {
		_, used, err := ledger(t, a)
		octets, messages, quota = used.octets, used.messages, used.quota
		return err
	})
	return octets, messages, quota, err
}

// maxSubscriptions bounds the names that an account subscribes to.
const maxSubscriptions = 2 * maxMailboxes

// SetSubscribed implements store.Mailboxes.
func (s *Store) SetSubscribed(ctx context.Context, a mailbox.AccountID, name string, on bool) error {
	name, err := mailboxName(name)
	if err != nil {
		return err
	}
	return s.main.write(ctx, func(t *tx) error {
		acc, err := t.account(a)
		if err != nil {
			return err
		}
		var n int64
		if !on {
			n, err = t.exec("DELETE FROM subscription WHERE account = $1 AND name = $2", a, name)
		} else {
			if err := roomForSubscription(t, a); err != nil {
				return err
			}
			n, err = t.exec("INSERT INTO subscription (account, name) VALUES ($1, $2) ON CONFLICT DO NOTHING", a, name)
		}
		if err == nil && n > 0 {
			acc.next() // JMAP: isSubscribed is part of a mailbox's state
			t.wake(a)
		}
		return err
	})
}

func roomForSubscription(t *tx, a mailbox.AccountID) error {
	var n int
	if err := t.row("SELECT COUNT(*) FROM subscription WHERE account = $1", a).scan(&n); err != nil {
		return err
	}
	if n >= maxSubscriptions {
		return wrap(store.ErrQuota, "account %d has %d subscriptions", a, n)
	}
	return nil
}

// Subscriptions implements store.Mailboxes.
func (s *Store) Subscriptions(ctx context.Context, a mailbox.AccountID) ([]string, error) {
	var out []string
	err := s.main.read(ctx, func(t *tx) (err error) {
		out, err = collect(t, one[string], "SELECT name FROM subscription WHERE account = $1", a)
		return err
	})
	slices.Sort(out)
	return out, err
}
