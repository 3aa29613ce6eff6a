package rescue

import (
	"context"

	"posta/internal/store"
)

// HoldQueue holds every recipient that waits, so that nothing which left after
// the backup was made leaves again. It tells how many.
func HoldQueue(ctx context.Context, q store.Queue, a store.Audit) (int, error) {
	total, after := 0, int64(0)
	for {
		page, err := q.ListQueue(ctx, store.QueueFilter{States: []store.QueueState{store.Ready}, After: after, Limit: 1000})
		if err != nil || len(page) == 0 {
			return total, err
		}
		ids := make([]int64, len(page))
		for i, e := range page {
			ids[i] = e.ID
		}
		n, err := q.EditQueue(ctx, ids, store.Hold, a)
		if err != nil {
			return total, err
		}
		total += n
		after = ids[len(ids)-1]
	}
}
