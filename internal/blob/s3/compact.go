package s3

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/minio/minio-go/v7"

	"posta/internal/blob"
	"posta/internal/blob/record"
)

// Rewrite implements blob.Store. The object goes with the first Rewrite that finds nothing alive in it.
func (s *Store) Rewrite(ctx context.Context, unit string, live blob.Live, moved blob.Moved) error {
	release, err := s.claim(unit)
	if err != nil {
		return err
	}
	defer release()
	some := false
	scan := func(visit func(blob.Entry) error) ([]blob.Damage, error) { return s.scanUnit(ctx, unit, visit) }
	commit := func(ctx context.Context, moves []blob.Move) error {
		some = true
		return moved(ctx, moves)
	}
	if err := record.Rewrite(ctx, s, scan, live, commit); err != nil {
		return fmt.Errorf("object %s: %w", unit, err)
	}
	if some {
		return nil
	}
	return s.drop(ctx, unit)
}

func (s *Store) claim(unit string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.shut:
		return nil, blob.ErrClosed
	case s.busy[unit]:
		return nil, fmt.Errorf("object %s: %w", unit, blob.ErrBusy)
	}
	s.busy[unit] = true
	return func() {
		s.mu.Lock()
		delete(s.busy, unit)
		s.mu.Unlock()
	}, nil
}

// Remove implements blob.Store.
func (s *Store) Remove(ctx context.Context, dead []blob.Location) error {
	for unit, bytes := range record.Sum(dead) {
		size, err := s.size(ctx, unit)
		if errors.Is(err, blob.ErrNotFound) {
			continue
		}
		if err == nil && size == record.UnitHeaderBytes+bytes {
			err = s.drop(ctx, unit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// drop removes an object that holds nothing alive, now or when the last pin goes.
func (s *Store) drop(ctx context.Context, unit string) error {
	s.mu.Lock()
	pinned := s.pins > 0
	if pinned {
		s.dropped[unit] = true
	}
	s.mu.Unlock()
	if pinned {
		return nil
	}
	return s.retry(ctx, 0, func(ctx context.Context) error {
		return s.client.RemoveObject(ctx, s.cfg.Bucket, s.key(unit), minio.RemoveObjectOptions{})
	})
}

// Pin implements blob.Store, for this handle. The last release blocks while it removes what was held back.
func (s *Store) Pin() (release func()) {
	s.mu.Lock()
	s.pins++
	s.mu.Unlock()
	return sync.OnceFunc(s.unpin)
}

func (s *Store) unpin() {
	s.mu.Lock()
	s.pins--
	var units []string
	if s.pins == 0 {
		for unit := range s.dropped {
			units = append(units, unit)
		}
		clear(s.dropped)
	}
	s.mu.Unlock()
	for _, unit := range units {
		// What cannot go now stays listed, with nothing alive: the next Rewrite removes it.
		_ = s.drop(context.Background(), unit)
	}
}
