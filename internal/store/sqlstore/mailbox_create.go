package sqlstore

import (
	"context"
	"errors"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// CreateMailbox implements store.Mailboxes.
func (s *Store) CreateMailbox(ctx context.Context, a mailbox.AccountID, name string, r mailbox.Role) (mailbox.Mailbox, error) {
	name, err := mailboxName(name)
	if err != nil {
		return mailbox.Mailbox{}, err
	}
	var made mailbox.Mailbox
	err = s.main.write(ctx, func(t *tx) error {
		acc, err := t.account(a)
		if err != nil {
			return err
		}
		if _, err := mailboxByName(t, a, name); !errors.Is(err, store.ErrNotFound) {
			return orElse(err, wrap(store.ErrExists, "mailbox %q", name))
		}
		id, err := makeMailbox(t, acc, name, r)
		if err != nil {
			return err
		}
		made, err = mailboxByID(t, a, id) // nothing has counted in it yet
		return err
	})
	return made, err
}

// orElse is err, or other when err is nil.
func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// mailboxByName finds a mailbox by its stored name; ErrNotFound.
func mailboxByName(t *tx, a mailbox.AccountID, name string) (mailbox.ID, error) {
	var id mailbox.ID
	err := t.row("SELECT id FROM mailbox WHERE account = $1 AND name = $2", a, name).scan(&id)
	return id, err
}

// makeMailbox makes a mailbox of a checked name that does not exist, and the
// parents that are missing. A role that is taken is ErrExists.
func makeMailbox(t *tx, acc *account, name string, r mailbox.Role) (mailbox.ID, error) {
	if err := roomForMailbox(t, acc.id); err != nil {
		return 0, err
	}
	for _, p := range parents(name) {
		if _, err := mailboxByName(t, acc.id, p); err == nil {
			continue
		} else if !errors.Is(err, store.ErrNotFound) {
			return 0, err
		}
		if _, err := insertMailbox(t, acc, p, mailbox.None); err != nil {
			return 0, err
		}
	}
	if r != mailbox.None {
		var other mailbox.ID
		err := t.row("SELECT id FROM mailbox WHERE account = $1 AND role = $2", acc.id, r).scan(&other)
		if !errors.Is(err, store.ErrNotFound) {
			return 0, orElse(err, wrap(store.ErrExists, "a mailbox with role %s", r))
		}
	}
	return insertMailbox(t, acc, name, r)
}

func roomForMailbox(t *tx, a mailbox.AccountID) error {
	var n int
	if err := t.row("SELECT COUNT(*) FROM mailbox WHERE account = $1", a).scan(&n); err != nil {
		return err
	}
	if n >= maxMailboxes {
		return wrap(store.ErrQuota, "account %d has %d mailboxes", a, n)
	}
	return nil
}

func insertMailbox(t *tx, acc *account, name string, r mailbox.Role) (mailbox.ID, error) {
	n, err := t.id(seqMailbox)
	if err != nil {
		return 0, err
	}
	_, err = t.exec(`INSERT INTO mailbox (id, account, name, role, uidvalidity, created, doomed, uidnext, highmodseq, live, unseen, size, tombs, floor)
		VALUES ($1, $2, $3, $4, $5, $6, 0, 1, $7, 0, 0, 0, 0, 0)`,
		n, acc.id, name, r, acc.newValidity(t.now()), t.now(), acc.next())
	if err != nil {
		return 0, err
	}
	t.wake(acc.id)
	return mailbox.ID(n), nil
}

// scanMailbox reads what mailboxColumns selects.
func scanMailbox(r *rows, m *mailbox.Mailbox) error {
	return r.scan(&m.ID, &m.Account, &m.Name, &m.Role, &m.UIDValidity, &m.UIDNext, &m.HighModSeq, &m.Exists, &m.Unseen, &m.Size, &m.Subscribed)
}

const mailboxColumns = `SELECT m.id, m.account, m.name, m.role, m.uidvalidity, m.uidnext, m.highmodseq, m.live, m.unseen, m.size,
	CASE WHEN s.name IS NULL THEN 0 ELSE 1 END
	FROM mailbox m LEFT JOIN subscription s ON s.account = m.account AND s.name = m.name `
