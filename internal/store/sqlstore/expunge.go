package sqlstore

import (
	"context"

	"posta/internal/blob"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// maxTombs is how many expunged placements a mailbox remembers, so that clients
// which were away learn what went (RFC 7162 §3.2). What is above it is cut with
// the next expunges, the oldest first, and raises the floor.
const maxTombs = 5_000

// Expunge implements store.Mailboxes. Messages that come while it runs stay.
func (s *Store) Expunge(ctx context.Context, a mailbox.AccountID, m mailbox.ID, uids []mailbox.UID, onlyDeleted bool) (gone []mailbox.UID, high mailbox.ModSeq, err error) {
	if uids == nil || onlyDeleted {
		// Looked for outside of the write transaction, which is short.
		if uids, err = s.expungeable(ctx, a, m, uids, onlyDeleted); err != nil {
			return nil, 0, err
		}
	}
	err = s.ownedOrSteps(ctx, a, m, uids, func(chunk []mailbox.UID) error {
		var now []mailbox.UID
		var at mailbox.ModSeq
		err := s.main.write(ctx, func(t *tx) (err error) {
			if now, at, err = expunge(t, a, m, chunk, onlyDeleted); err != nil {
				return err
			}
			return mapFailpoint(s.fail.Hit("store.expunge"))
		})
		if err == nil {
			gone, high = append(gone, now...), max(high, at)
		}
		return err
	})
	if err == nil && high == 0 {
		high, err = s.ModSeq(ctx, a)
	}
	return gone, high, err
}

func (s *Store) expungeable(ctx context.Context, a mailbox.AccountID, m mailbox.ID, among []mailbox.UID, onlyDeleted bool) ([]mailbox.UID, error) {
	var mask mailbox.Flags
	if onlyDeleted {
		mask = mailbox.Deleted
	}
	var out []mailbox.UID
	err := s.main.read(ctx, func(t *tx) (err error) {
		if _, err = owned(t, a, m); err != nil {
			return err
		}
		out, err = collect(t, one[mailbox.UID], "SELECT uid FROM placement WHERE mailbox = $1 AND state = 0 AND (flags & $2) = $2 ORDER BY uid", m, mask)
		return err
	})
	if among == nil || err != nil {
		return out, err
	}
	wanted := make(map[mailbox.UID]bool, len(among))
	for _, u := range among {
		wanted[u] = true
	}
	kept := out[:0]
	for _, u := range out {
		if wanted[u] {
			kept = append(kept, u)
		}
	}
	return kept, nil
}

func expunge(t *tx, a mailbox.AccountID, m mailbox.ID, uids []mailbox.UID, onlyDeleted bool) (gone []mailbox.UID, high mailbox.ModSeq, err error) {
	acc, b, err := t.mailboxOf(a, m)
	if err != nil {
		return nil, 0, err
	}
	found, err := living(t, m, uids)
	if err != nil {
		return nil, 0, err
	}
	for i := range found {
		msg := &found[i]
		if onlyDeleted && msg.Flags&mailbox.Deleted == 0 {
			continue
		}
		if err := bury(t, acc, b, msg); err != nil {
			return nil, 0, err
		}
		if err := deleteEmail(t, msg.Email); err != nil {
			return nil, 0, err
		}
		acc.octets -= msg.Size
		acc.messages--
		gone = append(gone, msg.UID)
	}
	if len(gone) == 0 {
		return nil, 0, nil
	}
	t.wake(a)
	return gone, b.highmodseq, cutTombs(t, b)
}

// bury makes a live placement a tombstone and takes it from the mailbox's
// counters.
func bury(t *tx, acc *account, b *box, msg *message) error {
	b.highmodseq = acc.next()
	b.live--
	b.unseen -= unseen(msg.Flags)
	b.size -= msg.Size
	b.tombs++
	_, err := t.exec("UPDATE placement SET state = 1, modseq = $1, keywords = '' WHERE mailbox = $2 AND uid = $3", b.highmodseq, b.id, msg.UID)
	return err
}

// deleteEmail removes an Email that is placed nowhere and says that its blob may
// be unreferenced now.
func deleteEmail(t *tx, id mailbox.EmailID) error {
	var b blob.ID
	if err := t.row("DELETE FROM email WHERE id = $1 RETURNING blob", id).scan(&b); err != nil {
		return wrap(err, "email %d", id)
	}
	return loosen(t, b)
}

// loosen puts a blob that lost a reference where Doom looks. (In PostgreSQL the
// update waits for a Doom that is just taking the row away; DO NOTHING would not.)
func loosen(t *tx, b blob.ID) error {
	_, err := t.exec("INSERT INTO loose_blob (blob) VALUES ($1) ON CONFLICT (blob) DO UPDATE SET blob = excluded.blob", b)
	return err
}

// cutTombs forgets the oldest tombstones above maxTombs, not many at a time.
func cutTombs(t *tx, b *box) error {
	over := min(b.tombs-maxTombs, 2*step)
	if over <= 0 {
		return nil
	}
	type tomb struct {
		uid    int64
		modseq mailbox.ModSeq
	}
	old, err := collect(t, func(r *rows, v *tomb) error { return r.scan(&v.uid, &v.modseq) },
		"SELECT uid, modseq FROM placement WHERE mailbox = $1 AND state = 1 ORDER BY modseq LIMIT $2", b.id, over)
	if err != nil || len(old) == 0 {
		return err
	}
	uids := make([]int64, len(old))
	for i, v := range old {
		uids[i] = v.uid
	}
	in, arg := t.in(2, uids)
	n, err := t.exec("DELETE FROM placement WHERE mailbox = $1 AND uid IN "+in+" AND state = 1", b.id, arg)
	b.tombs -= n
	b.floor = max(b.floor, old[len(old)-1].modseq)
	return err
}

var _ store.Mailboxes = (*Store)(nil)
