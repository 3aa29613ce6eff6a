package sqlstore

import (
	"context"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// Copy implements store.Mailboxes.
func (s *Store) Copy(ctx context.Context, a mailbox.AccountID, src mailbox.ID, uids []mailbox.UID, dst mailbox.ID) (from, to []mailbox.UID, err error) {
	if err := s.roomForCopy(ctx, a, src, uids, dst); err != nil {
		return nil, nil, err
	}
	return s.transfer(ctx, a, src, uids, dst, copyMessage)
}

// Move implements store.Mailboxes.
func (s *Store) Move(ctx context.Context, a mailbox.AccountID, src mailbox.ID, uids []mailbox.UID, dst mailbox.ID) (from, to []mailbox.UID, err error) {
	return s.transfer(ctx, a, src, uids, dst, moveMessage)
}

// transferred is one transaction's view of a Copy or Move.
type transferred struct {
	acc      *account
	src, dst *box
}

func (s *Store) transfer(ctx context.Context, a mailbox.AccountID, src mailbox.ID, uids []mailbox.UID, dst mailbox.ID, one func(*tx, transferred, *message) (mailbox.UID, error)) (from, to []mailbox.UID, err error) {
	if err := s.ownedOrSteps(ctx, a, dst, nil, nil); err != nil {
		return nil, nil, err
	}
	err = s.ownedOrSteps(ctx, a, src, uids, func(chunk []mailbox.UID) error {
		var f, g []mailbox.UID
		err := s.main.write(ctx, func(t *tx) (err error) {
			f, g, err = transferStep(t, a, src, chunk, dst, one)
			return err
		})
		if err == nil {
			from, to = append(from, f...), append(to, g...)
		}
		return err
	})
	return from, to, err
}

func transferStep(t *tx, a mailbox.AccountID, src mailbox.ID, uids []mailbox.UID, dst mailbox.ID, one func(*tx, transferred, *message) (mailbox.UID, error)) (from, to []mailbox.UID, err error) {
	acc, bsrc, err := t.mailboxOf(a, src)
	if err != nil {
		return nil, nil, err
	}
	_, bdst, err := t.mailboxOf(a, dst)
	if err != nil {
		return nil, nil, err
	}
	found, err := living(t, src, uids)
	if err != nil {
		return nil, nil, err
	}
	for i := range found {
		uid, err := one(t, transferred{acc, bsrc, bdst}, &found[i])
		if err != nil {
			return nil, nil, err
		}
		from, to = append(from, found[i].UID), append(to, uid)
	}
	if len(from) > 0 {
		t.wake(a)
	}
	return from, to, cutTombs(t, bsrc)
}

func moveMessage(t *tx, x transferred, m *message) (mailbox.UID, error) {
	if err := bury(t, x.acc, x.src, m); err != nil {
		return 0, err
	}
	return settle(t, x.acc, x.dst, m, m.Email)
}

// copyMessage makes a new Email on the same blob. The old one is live, so its
// blob cannot be doomed before this transaction ends.
func copyMessage(t *tx, x transferred, m *message) (mailbox.UID, error) {
	if x.acc.quota > 0 && x.acc.octets+m.Size > x.acc.quota {
		return 0, wrap(store.ErrQuota, "account %d", x.acc.id)
	}
	n, err := t.id(seqEmail)
	if err != nil {
		return 0, err
	}
	made, err := t.exec(`INSERT INTO email (id, account, thread, blob, skip, size, sent, preview, prefix, envelope, structure)
		SELECT $1, account, thread, blob, skip, size, sent, preview, prefix, envelope, structure FROM email WHERE id = $2`, n, m.Email)
	if err != nil {
		return 0, err
	}
	if made != 1 {
		return 0, wrap(store.ErrNotFound, "email %d", m.Email)
	}
	x.acc.octets += m.Size
	x.acc.messages++
	return settle(t, x.acc, x.dst, m, mailbox.EmailID(n))
}

// settle places an Email in a mailbox with the flags of m.
func settle(t *tx, acc *account, b *box, m *message, id mailbox.EmailID) (mailbox.UID, error) {
	uid, err := b.takeUID()
	if err != nil {
		return 0, err
	}
	b.highmodseq = acc.next()
	b.live++
	b.unseen += unseen(m.Flags)
	b.size += m.Size
	err = t.later(nil, `INSERT INTO placement (mailbox, uid, modseq, email, state, flags, size, received, saved, keywords)
		VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8, $9)`,
		b.id, uid, b.highmodseq, id, m.Flags, m.Size, m.InternalDate, t.now(), m.words)
	return uid, err
}

// roomForCopy refuses beforehand what would not fit as a whole, so that a client
// does not find half of what it asked for (RFC 9051 §6.4.7). The steps check
// again, because others deliver meanwhile.
func (s *Store) roomForCopy(ctx context.Context, a mailbox.AccountID, src mailbox.ID, uids []mailbox.UID, dst mailbox.ID) error {
	return s.main.read(ctx, func(t *tx) error {
		for _, m := range []mailbox.ID{src, dst} {
			if _, err := owned(t, a, m); err != nil {
				return err
			}
		}
		_, used, err := ledger(t, a)
		if err != nil || used.quota == 0 {
			return err
		}
		var need int64
		err = inSteps(uids, func(chunk []mailbox.UID) error {
			var sum int64
			in, arg := t.in(2, numbers(chunk))
			err := t.row("SELECT CAST(SUM(size) AS BIGINT) FROM placement WHERE mailbox = $1 AND uid IN "+in+" AND state = 0", src, arg).scan(&sum)
			need += sum
			return err
		})
		if err == nil && need > 0 && used.octets+need > used.quota {
			err = wrap(store.ErrQuota, "account %d: %d octets more", a, need)
		}
		return err
	})
}
