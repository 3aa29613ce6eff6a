package sqlstore

import (
	"context"
	"errors"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// RenameMailbox implements store.Mailboxes.
func (s *Store) RenameMailbox(ctx context.Context, a mailbox.AccountID, id mailbox.ID, name string) error {
	name, err := mailboxName(name)
	if err != nil {
		return err
	}
	m, err := s.GetMailbox(ctx, a, id)
	if err != nil {
		return err
	}
	if m.Name == inboxName {
		return s.renameInbox(ctx, a, id, name)
	}
	return s.main.write(ctx, func(t *tx) error { return renameMailbox(t, a, id, name) })
}

// renameInbox: RFC 9051 §6.3.6. INBOX stays, its messages go, in steps; one that
// is delivered meanwhile may stay.
func (s *Store) renameInbox(ctx context.Context, a mailbox.AccountID, inbox mailbox.ID, name string) error {
	made, err := s.CreateMailbox(ctx, a, name, mailbox.None)
	if err != nil {
		return err
	}
	uids, _, err := s.UIDs(ctx, a, inbox)
	if err != nil {
		return err
	}
	_, _, err = s.Move(ctx, a, inbox, uids, made.ID)
	return err
}

func renameMailbox(t *tx, a mailbox.AccountID, id mailbox.ID, name string) error {
	acc, _, err := t.mailboxOf(a, id)
	if err != nil {
		return err
	}
	var old string
	if err := t.row("SELECT name FROM mailbox WHERE id = $1", id).scan(&old); err != nil {
		return err
	}
	if below(name, old) {
		return wrap(store.ErrInvalid, "%q lies below %q", name, old)
	}
	if _, err := mailboxByName(t, a, name); !errors.Is(err, store.ErrNotFound) {
		return orElse(err, wrap(store.ErrExists, "mailbox %q", name))
	}
	for _, p := range parents(name) {
		if _, err := mailboxByName(t, a, p); err == nil {
			continue
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if _, err := insertMailbox(t, acc, p, mailbox.None); err != nil {
			return err
		}
	}
	if err := renameTree(t, a, id, old, name); err != nil {
		return err
	}
	acc.next()
	t.wake(a)
	return nil
}

// renameTree renames a mailbox and what lies below it.
func renameTree(t *tx, a mailbox.AccountID, id mailbox.ID, old, name string) error {
	type named struct {
		id   mailbox.ID
		name string
	}
	all, err := collect(t, func(r *rows, v *named) error { return r.scan(&v.id, &v.name) }, "SELECT id, name FROM mailbox WHERE account = $1", a)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.id != id && !below(m.name, old) {
			continue
		}
		to, err := mailboxName(name + m.name[len(old):])
		if err != nil {
			return err // too long or too deep now
		}
		if _, err := t.exec("UPDATE mailbox SET name = $1 WHERE id = $2", to, m.id); err != nil {
			return err
		}
	}
	return nil
}
