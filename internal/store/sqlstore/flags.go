package sqlstore

import (
	"context"
	"slices"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// step is how many messages one transaction changes: each costs up to four rows,
// and no transaction may exceed 1,000 rows or 20 ms.
const step = 200

const allFlags = mailbox.Seen | mailbox.Answered | mailbox.Flagged | mailbox.Draft | mailbox.Deleted

// inSteps calls f with the UIDs in ascending order, each once, a step at a time.
func inSteps(uids []mailbox.UID, f func([]mailbox.UID) error) error {
	uids = slices.Clone(uids)
	slices.Sort(uids)
	for chunk := range slices.Chunk(slices.Compact(uids), step) {
		if err := f(chunk); err != nil {
			return err
		}
	}
	return nil
}

// living reads the live placements among UIDs, ascending.
func living(t *tx, m mailbox.ID, uids []mailbox.UID) ([]message, error) {
	in, arg := t.in(2, numbers(uids))
	return collect(t, scanMessage, "SELECT "+messageColumns+" FROM placement p WHERE p.mailbox = $1 AND p.uid IN "+in+" AND p.state = 0 ORDER BY p.uid", m, arg)
}

// SetFlags implements store.Mailboxes.
func (s *Store) SetFlags(ctx context.Context, a mailbox.AccountID, m mailbox.ID, uids []mailbox.UID, op store.FlagOp, unchangedSince mailbox.ModSeq) (changed []mailbox.Message, failed []mailbox.UID, err error) {
	if op.Mode > store.Remove || op.Flags&^allFlags != 0 {
		return nil, nil, wrap(store.ErrInvalid, "flag operation %v", op)
	}
	if _, err := packKeywords(op.Keywords); err != nil {
		return nil, nil, err
	}
	err = s.ownedOrSteps(ctx, a, m, uids, func(chunk []mailbox.UID) error {
		var now []mailbox.Message
		var late []mailbox.UID
		err := s.main.write(ctx, func(t *tx) (err error) {
			now, late, err = setFlags(t, a, m, chunk, op, unchangedSince)
			return err
		})
		if err == nil {
			changed, failed = append(changed, now...), append(failed, late...)
		}
		return err
	})
	return changed, failed, err
}

// ownedOrSteps runs f over the UIDs in steps; without any it only looks whether
// the mailbox is there, as the steps would.
func (s *Store) ownedOrSteps(ctx context.Context, a mailbox.AccountID, m mailbox.ID, uids []mailbox.UID, f func([]mailbox.UID) error) error {
	if len(uids) > 0 {
		return inSteps(uids, f)
	}
	return s.main.read(ctx, func(t *tx) error {
		_, err := owned(t, a, m)
		return err
	})
}

func setFlags(t *tx, a mailbox.AccountID, m mailbox.ID, uids []mailbox.UID, op store.FlagOp, unchangedSince mailbox.ModSeq) (changed []mailbox.Message, failed []mailbox.UID, err error) {
	acc, b, err := t.mailboxOf(a, m)
	if err != nil {
		return nil, nil, err
	}
	found, err := living(t, m, uids)
	if err != nil {
		return nil, nil, err
	}
	for i := range found {
		msg := &found[i]
		if unchangedSince != 0 && msg.ModSeq > unchangedSince {
			failed = append(failed, msg.UID)
			continue
		}
		flags, words, err := applyFlags(msg, op)
		if err != nil {
			return nil, nil, err
		}
		if flags == msg.Flags && words == msg.words {
			continue
		}
		b.unseen += unseen(flags) - unseen(msg.Flags)
		b.highmodseq = acc.next()
		if _, err := t.exec("UPDATE placement SET modseq = $1, flags = $2, keywords = $3 WHERE mailbox = $4 AND uid = $5", b.highmodseq, flags, words, m, msg.UID); err != nil {
			return nil, nil, err
		}
		msg.ModSeq, msg.Flags, msg.words = b.highmodseq, flags, words
		changed = append(changed, msg.finish())
	}
	if len(changed) > 0 {
		t.wake(a)
	}
	return changed, failed, nil
}

// unseen is what a message adds to the mailbox's counter.
func unseen(f mailbox.Flags) int64 {
	if f&mailbox.Seen != 0 {
		return 0
	}
	return 1
}

// applyFlags gives the flags and packed keywords that a message is to have. A
// keyword that it has keeps its spelling.
func applyFlags(m *message, op store.FlagOp) (flags mailbox.Flags, words string, err error) {
	switch op.Mode {
	case store.Add:
		if len(op.Keywords) == 0 {
			return m.Flags | op.Flags, m.words, nil
		}
		words, err = packKeywords(slices.Concat(m.Keywords, op.Keywords))
		return m.Flags | op.Flags, words, err
	case store.Remove:
		left := slices.DeleteFunc(slices.Clone(m.Keywords), func(w string) bool { return hasKeyword(op.Keywords, w) })
		words, err = packKeywords(left)
		return m.Flags &^ op.Flags, words, err
	}
	kept := slices.DeleteFunc(slices.Clone(m.Keywords), func(w string) bool { return !hasKeyword(op.Keywords, w) })
	words, err = packKeywords(slices.Concat(kept, op.Keywords))
	return op.Flags, words, err
}
