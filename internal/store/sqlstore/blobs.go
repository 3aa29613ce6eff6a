package sqlstore

import (
	"context"
	"slices"
	"time"

	"posta/internal/blob"
	"posta/internal/store"
)

// blobPage is how many blobs one transaction handles.
const blobPage = 500

const blobColumns = "SELECT id, unit, at, length, size, sha256, doomed FROM blob "

func scanBlob(r *rows, b *store.BlobRef) error {
	return r.scan(&b.ID, &b.At.Unit, &b.At.Offset, &b.At.Length, &b.Size, &b.SHA256, &b.Doomed)
}

// BlobRef implements store.Blobs.
func (s *Store) BlobRef(ctx context.Context, id blob.ID) (ref store.BlobRef, err error) {
	err = s.main.read(ctx, func(t *tx) error {
		return t.row(blobColumns+"WHERE id = $1", id).
			scan(&ref.ID, &ref.At.Unit, &ref.At.Offset, &ref.At.Length, &ref.Size, &ref.SHA256, &ref.Doomed)
	})
	if err != nil {
		return store.BlobRef{}, wrap(err, "blob %s", id)
	}
	return ref, nil
}

// Doom implements store.Blobs, in steps. It first finishes deletions of mailboxes
// that were broken off, since their blobs are not loose yet.
func (s *Store) Doom(ctx context.Context, limit int) (int, error) {
	if err := s.clearDetached(ctx); err != nil {
		return 0, err
	}
	total, left := 0, true
	for total < limit && left {
		var n int
		err := s.main.write(ctx, func(t *tx) (err error) {
			if n, left, err = doomSome(t, min(limit-total, blobPage)); err != nil {
				return err
			}
			return mapFailpoint(s.fail.Hit("store.doom"))
		})
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

func doomSome(t *tx, limit int) (doomed int, left bool, err error) {
	loose, err := collect(t, one[blob.ID], "SELECT blob FROM loose_blob ORDER BY blob LIMIT $1", limit)
	if err != nil {
		return 0, false, err
	}
	for _, id := range loose {
		n, err := t.exec(`UPDATE blob SET doomed = $1 WHERE id = $2 AND doomed = 0
			AND NOT EXISTS (SELECT 1 FROM email WHERE email.blob = blob.id)
			AND NOT EXISTS (SELECT 1 FROM queue_group WHERE queue_group.blob = blob.id)
			AND NOT EXISTS (SELECT 1 FROM job WHERE job.blob = blob.id)
			AND NOT EXISTS (SELECT 1 FROM held WHERE held.blob = blob.id)`, t.now(), id)
		if err != nil {
			return 0, false, err
		}
		doomed += int(n)
		if _, err := t.exec("DELETE FROM loose_blob WHERE blob = $1", id); err != nil {
			return 0, false, err
		}
	}
	return doomed, len(loose) == limit, nil
}

// Doomed implements store.Blobs.
func (s *Store) Doomed(ctx context.Context, before time.Time, limit int) (list []store.BlobRef, err error) {
	err = s.main.read(ctx, func(t *tx) error {
		list, err = collect(t, scanBlob, blobColumns+"WHERE doomed <> 0 AND doomed < $1 ORDER BY doomed, id LIMIT $2", before, limit)
		return err
	})
	return list, err
}

// Forget implements store.Blobs, in steps. Blobs that are not doomed stay.
func (s *Store) Forget(ctx context.Context, ids []blob.ID) error {
	for page := range slices.Chunk(ids, blobPage) {
		err := s.main.write(ctx, func(t *tx) error {
			for _, id := range page {
				if _, err := t.exec("DELETE FROM blob WHERE id = $1 AND doomed <> 0", id); err != nil {
					return err
				}
			}
			return mapFailpoint(s.fail.Hit("store.forget"))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// MoveBlobs implements store.Blobs, in steps.
func (s *Store) MoveBlobs(ctx context.Context, moves []blob.Move) error {
	for page := range slices.Chunk(moves, blobPage) {
		err := s.main.write(ctx, func(t *tx) error {
			for _, m := range page {
				_, err := t.exec("UPDATE blob SET unit = $1, at = $2, length = $3 WHERE id = $4 AND unit = $5 AND at = $6",
					m.To.Unit, m.To.Offset, m.To.Length, m.ID, m.From.Unit, m.From.Offset)
				if err != nil {
					return err
				}
			}
			return mapFailpoint(s.fail.Hit("store.move"))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// UnitUse implements store.Blobs.
func (s *Store) UnitUse(ctx context.Context) (map[string]int64, error) {
	use := map[string]int64{}
	err := s.EachBlob(ctx, func(b store.BlobRef) error {
		use[b.At.Unit] += b.At.Length
		return nil
	})
	return use, err
}

// EachBlob implements store.Blobs. f runs outside of any transaction.
func (s *Store) EachBlob(ctx context.Context, f func(store.BlobRef) error) error {
	var after blob.ID
	for {
		var page []store.BlobRef
		err := s.main.read(ctx, func(t *tx) (err error) {
			page, err = collect(t, scanBlob, blobColumns+"WHERE id > $1 ORDER BY id LIMIT $2", after, blobPage)
			return err
		})
		if err != nil {
			return err
		}
		for _, b := range page {
			if err := f(b); err != nil {
				return err
			}
			after = b.ID
		}
		if len(page) < blobPage {
			return nil
		}
	}
}
