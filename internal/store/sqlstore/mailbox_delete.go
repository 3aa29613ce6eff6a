package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// DeleteMailbox implements store.Mailboxes. The first transaction takes the
// mailbox from its account, with all that it counted: from then on nobody finds
// it. What is left of it goes in steps that need no lock, now or, if we die
// meanwhile, with the next Doom.
func (s *Store) DeleteMailbox(ctx context.Context, a mailbox.AccountID, id mailbox.ID) error {
	if err := s.main.write(ctx, func(t *tx) error { return detachMailbox(t, a, id) }); err != nil {
		return err
	}
	// It is deleted whatever happens to the rest, and the answer says so.
	_ = s.clearMailbox(ctx, id)
	return nil
}

func detachMailbox(t *tx, a mailbox.AccountID, id mailbox.ID) error {
	acc, b, err := t.mailboxOf(a, id)
	if err != nil {
		return err
	}
	var name string
	if err := t.row("SELECT name FROM mailbox WHERE id = $1", id).scan(&name); err != nil {
		return err
	}
	if name == inboxName {
		return wrap(store.ErrConflict, "INBOX cannot be deleted")
	}
	names, err := collect(t, one[string], "SELECT name FROM mailbox WHERE account = $1", a)
	if err != nil {
		return err
	}
	for _, n := range names {
		if below(n, name) {
			return wrap(store.ErrConflict, "mailbox %q has children", name)
		}
	}
	acc.octets -= b.size
	acc.messages -= b.live
	acc.next()
	t.wake(a)
	t.forgetMailbox(id)
	// No name has control characters, so none is in the way of this one.
	_, err = t.exec("UPDATE mailbox SET account = $1, name = $2, role = 0, doomed = 1, live = 0, unseen = 0, size = 0 WHERE id = $3",
		-a, fmt.Sprintf("\x01%d", id), id)
	return err
}

// clearMailbox removes a detached mailbox with all that is in it.
func (s *Store) clearMailbox(ctx context.Context, id mailbox.ID) error {
	for done := false; !done; {
		err := s.main.write(ctx, func(t *tx) (err error) {
			done, err = clearStep(t, id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func clearStep(t *tx, id mailbox.ID) (done bool, err error) {
	type row struct {
		uid   int64
		email mailbox.EmailID
		state int
	}
	found, err := collect(t, func(r *rows, v *row) error { return r.scan(&v.uid, &v.email, &v.state) },
		`SELECT p.uid, p.email, p.state FROM placement p JOIN mailbox m ON m.id = p.mailbox
		WHERE p.mailbox = $1 AND m.doomed = 1 ORDER BY p.uid LIMIT $2`, id, step)
	if err != nil {
		return false, err
	}
	if len(found) == 0 {
		_, err := t.exec("DELETE FROM mailbox WHERE id = $1 AND doomed = 1", id)
		return true, err
	}
	uids := make([]int64, len(found))
	for i, v := range found {
		uids[i] = v.uid
		if v.state == expunged {
			continue
		}
		if err := deleteEmail(t, v.email); err != nil && !errors.Is(err, store.ErrNotFound) { // another node is at it
			return false, err
		}
	}
	in, arg := t.in(2, uids)
	_, err = t.exec("DELETE FROM placement WHERE mailbox = $1 AND uid IN "+in, id, arg)
	return false, err
}

// clearDetached finishes deletions that were broken off.
func (s *Store) clearDetached(ctx context.Context) error {
	var ids []mailbox.ID
	err := s.main.read(ctx, func(t *tx) (err error) {
		ids, err = collect(t, one[mailbox.ID], "SELECT id FROM mailbox WHERE account < 0 AND doomed = 1")
		return err
	})
	for _, id := range ids {
		if err := s.clearMailbox(ctx, id); err != nil {
			return err
		}
	}
	return err
}
