package sqlstore

import (
	"context"
	"slices"

	"posta/internal/store"
)

// EditQueue implements store.Queue. The audit record is written with the first
// step that changes something.
func (s *Store) EditQueue(ctx context.Context, ids []int64, edit store.QueueEdit, a store.Audit) (int, error) {
	if edit > store.Drop {
		return 0, wrap(store.ErrInvalid, "queue edit %d", edit)
	}
	total := 0
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	for chunk := range slices.Chunk(ids, step) {
		n, audited := 0, total > 0
		err := s.main.write(ctx, func(t *tx) (err error) {
			if n, err = editEntries(t, chunk, edit); err != nil || n == 0 {
				return err
			}
			t.wake(0)
			if audited {
				return nil
			}
			return writeAudit(t, a)
		})
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// editEntries changes what is not leased. An expired lease is one, until
// somebody claims it: its holder may still record what came of it.
func editEntries(t *tx, ids []int64, edit store.QueueEdit) (int, error) {
	in, arg := t.in(2, ids)
	var q string
	var to any
	switch edit {
	case store.Retry:
		q, to = "UPDATE queue_entry SET due = $1 WHERE state = 0 AND leased = 0 AND id IN ", t.now()
	case store.Hold:
		q, to = "UPDATE queue_entry SET state = $1 WHERE state = 0 AND leased = 0 AND id IN ", store.Held
	case store.Release:
		q, to = "UPDATE queue_entry SET state = $1 WHERE state = 1 AND leased = 0 AND id IN ", store.Ready
	case store.Drop:
		return dropEntries(t, ids)
	}
	n, err := t.exec(q+in, to, arg)
	return int(n), err
}

func dropEntries(t *tx, ids []int64) (int, error) {
	in, arg := t.in(1, ids)
	groups, err := collect(t, one[int64], "DELETE FROM queue_entry WHERE leased = 0 AND id IN "+in+" RETURNING grp", arg)
	if err != nil {
		return 0, err
	}
	finished := map[int64]int64{}
	for _, g := range groups {
		finished[g]++
	}
	return len(groups), shrinkGroups(t, finished)
}
