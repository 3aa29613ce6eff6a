package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"posta/internal/blob"
	"posta/internal/store"
)

// Bounds of a job.
const (
	maxJobData   = 4 << 20
	maxJobCursor = 1 << 20
)

// AddJob implements store.Jobs.
func (s *Store) AddJob(ctx context.Context, j store.Job) error {
	return s.main.write(ctx, func(t *tx) error {
		made, err := addJob(t, &j)
		if err == nil && !made {
			err = wrap(store.ErrExists, "job %q", j.Key)
		}
		return err
	})
}

// addJob inserts a job unless there is one with its key. A job without a key gets
// one of its own.
func addJob(t *tx, j *store.Job) (made bool, err error) {
	if j.Kind == "" {
		return false, wrap(store.ErrInvalid, "job %q has no kind", j.Key)
	}
	if len(j.Data) > maxJobData || len(j.Cursor) > maxJobCursor {
		return false, wrap(store.ErrInvalid, "job %q has %d octets of data and %d of cursor", j.Key, len(j.Data), len(j.Cursor))
	}
	id, err := t.id(seqJob)
	if err != nil {
		return false, err
	}
	key := j.Key
	if key == "" {
		key = fmt.Sprintf("%s/%d", j.Kind, id)
	}
	due := j.Due
	if due.IsZero() {
		due = moment(t.now())
	}
	n, err := t.exec(`INSERT INTO job (id, name, kind, due, node, fence, tries, data, cursor, last, blob)
		VALUES ($1, $2, $3, $4, '', 0, 0, $5, $6, '', $7) ON CONFLICT (name) DO NOTHING`, id, key, j.Kind, due, j.Data, j.Cursor, blobOf(j))
	if n > 0 {
		t.wake(0)
	}
	return n > 0, err
}

// blobOf is the blob column of a job: empty if it needs none.
func blobOf(j *store.Job) []byte {
	if j.Blob.IsZero() {
		return nil
	}
	return j.Blob[:]
}

const jobColumns = "id, name, kind, due, data, cursor, tries, fence, last, blob"

func scanJob(r *rows, j *store.Job) error {
	var b []byte
	err := r.scan(&j.ID, &j.Key, &j.Kind, &j.Due, &j.Data, &j.Cursor, &j.Tries, &j.Fence, &j.Last, &b)
	j.Data, j.Cursor = bytes.Clone(j.Data), bytes.Clone(j.Cursor)
	copy(j.Blob[:], b)
	return err
}

// ClaimJob implements store.Jobs. A job whose lease ran out counts as a failed
// run: its holder died, perhaps of it.
func (s *Store) ClaimJob(ctx context.Context, node string, kinds []string, lease time.Duration) (store.Job, error) {
	if node == "" || lease <= 0 {
		return store.Job{}, wrap(store.ErrInvalid, "ClaimJob for node %q, for %v", node, lease)
	}
	var j store.Job
	if err := s.main.read(ctx, func(t *tx) error { _, err := dueJob(t, kinds); return err }); err != nil {
		return j, err
	}
	err := s.main.write(ctx, func(t *tx) error {
		if err := latch(t, "job"); err != nil {
			return err
		}
		id, err := dueJob(t, kinds)
		if err != nil {
			return err
		}
		fence, err := t.id(seqFence)
		if err != nil {
			return err
		}
		found, err := collect(t, scanJob, `UPDATE job SET tries = CASE WHEN node = '' THEN tries ELSE tries + 1 END, node = $1, fence = $2, due = $3
			WHERE id = $4 RETURNING `+jobColumns, node, fence, t.now()+lease.Microseconds(), id)
		if err == nil && len(found) == 0 {
			err = wrap(store.ErrNotFound, "job %d", id)
		}
		if err == nil {
			j = found[0]
		}
		return err
	})
	return j, err
}

// dueJob finds the job of the kinds that is due longest; ErrNotFound.
func dueJob(t *tx, kinds []string) (int64, error) {
	var best, bestDue int64
	for _, k := range kinds {
		var id, due int64
		err := t.row("SELECT id, due FROM job WHERE kind = $1 AND due <= $2 ORDER BY due, id LIMIT 1", k, t.now()).scan(&id, &due)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if best == 0 || due < bestDue {
			best, bestDue = id, due
		}
	}
	if best == 0 {
		return 0, wrap(store.ErrNotFound, "a job that is due")
	}
	return best, nil
}

// StepJob implements store.Jobs.
func (s *Store) StepJob(ctx context.Context, id, fence int64, cursor []byte, lease time.Duration) error {
	if lease <= 0 || len(cursor) > maxJobCursor {
		return wrap(store.ErrInvalid, "StepJob with %d octets of cursor, for %v", len(cursor), lease)
	}
	return s.main.write(ctx, func(t *tx) error {
		n, err := t.exec("UPDATE job SET cursor = $1, due = $2 WHERE id = $3 AND fence = $4 AND node <> ''", cursor, t.now()+lease.Microseconds(), id, fence)
		return jobFence(n, err, id, fence)
	})
}

// EndJob implements store.Jobs.
func (s *Store) EndJob(ctx context.Context, id, fence int64, again time.Time, lastErr string) error {
	return s.main.write(ctx, func(t *tx) error {
		if again.IsZero() {
			return endJob(t, id, fence)
		}
		n, err := t.exec(`UPDATE job SET node = '', due = $1, last = $2, tries = CASE WHEN $2 = '' THEN 0 ELSE tries + 1 END
			WHERE id = $3 AND fence = $4 AND node <> ''`, again, clean(lastErr), id, fence)
		t.wake(0)
		return jobFence(n, err, id, fence)
	})
}

// endJob removes a job; the blob that it needed may be unreferenced now.
func endJob(t *tx, id, fence int64) error {
	var b []byte
	err := t.row("DELETE FROM job WHERE id = $1 AND fence = $2 AND node <> '' RETURNING blob", id, fence).scan(&b)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return jobFence(0, nil, id, fence)
	case err != nil || len(b) != len(blob.ID{}):
		return err
	}
	return loosen(t, blob.ID(b))
}

// stepJob records the progress that an accept is, before the accept writes anything
// else but a mailbox that is missing.
func (st *Store) stepJob(t *tx, a *store.Accept) error {
	s := a.Step
	if s == nil {
		return nil
	}
	if err := st.fail.Hit("store.outbox.step"); err != nil {
		return mapFailpoint(err)
	}
	n, err := t.exec("UPDATE job SET cursor = $1, due = $2 WHERE id = $3 AND fence = $4 AND node <> '' AND cursor = $5",
		s.Cursor, t.now()+s.Lease.Microseconds(), s.ID, s.Fence, s.From)
	if err = jobFence(n, err, s.ID, s.Fence); err != nil || !s.End {
		return err
	}
	return endJob(t, s.ID, s.Fence)
}

func jobFence(n int64, err error, id, fence int64) error {
	if err == nil && n != 1 {
		err = wrap(store.ErrFenced, "job %d with fence %d", id, fence)
	}
	return err
}

// NextJob implements store.Jobs.
func (s *Store) NextJob(ctx context.Context, kinds []string) (next time.Time, err error) {
	for _, k := range kinds {
		at, err := s.earliest(ctx, "SELECT MIN(due) FROM job WHERE kind = $1", k)
		if err != nil {
			return time.Time{}, err
		}
		if next.IsZero() || (!at.IsZero() && at.Before(next)) {
			next = at
		}
	}
	return next, nil
}

// ListJobs implements store.Jobs.
func (s *Store) ListJobs(ctx context.Context, limit int) ([]store.Job, error) {
	var out []store.Job
	err := s.main.read(ctx, func(t *tx) (err error) {
		out, err = collect(t, scanJob, "SELECT "+jobColumns+" FROM job ORDER BY due, id LIMIT $1", page(limit))
		return err
	})
	return out, err
}
