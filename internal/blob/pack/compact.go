package pack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"posta/internal/blob"
	"posta/internal/blob/record"
)

// Rewrite implements blob.Store. The live records go into the pack that is being written.
func (s *Store) Rewrite(ctx context.Context, name string, live blob.Live, moved blob.Moved) error {
	u, err := s.claim(name)
	if err != nil {
		return err
	}
	defer s.unclaim(u)
	scan := func(visit func(blob.Entry) error) ([]blob.Damage, error) { return s.scanUnit(ctx, name, visit) }
	commit := func(ctx context.Context, moves []blob.Move) error {
		if err := s.cfg.Failpoints.Hit("pack.move"); err != nil {
			return err
		}
		return moved(ctx, moves)
	}
	if err := record.Rewrite(ctx, s, scan, live, commit); err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return s.drop(name)
}

// Remove implements blob.Store.
func (s *Store) Remove(ctx context.Context, dead []blob.Location) error {
	for name, bytes := range record.Sum(dead) {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch u, err := s.claim(name); {
		case errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrBusy):
			continue // gone, or the work of Rewrite
		case err != nil:
			return err
		default:
			err := s.removeIfCovered(name, bytes)
			s.unclaim(u)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) removeIfCovered(name string, bytes int64) error {
	h, err := s.handles.acquire(name)
	if err != nil {
		if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrCorrupt) {
			return nil
		}
		return err
	}
	x, err := s.extent(h)
	if err = errors.Join(err, h.Close()); err != nil || !x.exact || x.end != record.UnitHeaderBytes+bytes {
		return err
	}
	return s.drop(name)
}

// claim takes a sealed unit for removal.
func (s *Store) claim(name string) (*unit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.units[name]
	if s.shut {
		return nil, blob.ErrClosed
	}
	if u == nil {
		return nil, fmt.Errorf("pack %q: %w", name, blob.ErrNotFound)
	}
	if u.busy || !u.sealed {
		return nil, fmt.Errorf("pack %s: %w", name, blob.ErrBusy)
	}
	u.busy = true
	return u, nil
}

func (s *Store) unclaim(u *unit) {
	s.mu.Lock()
	u.busy = false
	s.mu.Unlock()
}

// drop removes a unit that holds nothing alive, now or when the last pin goes. If the removal is lost in
// a crash the unit comes back with nothing alive in it, so the folder is not synced.
func (s *Store) drop(name string) error {
	s.mu.Lock()
	u := s.units[name]
	if u == nil {
		s.mu.Unlock()
		return nil
	}
	if s.pins > 0 {
		s.dropped[name] = true
		s.mu.Unlock()
		return nil
	}
	open := u.open
	delete(s.units, name)
	s.mu.Unlock()
	err := s.cfg.Failpoints.Hit("pack.unlink")
	if err == nil {
		err = s.fs.Remove(s.file(name, open))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.mu.Lock()
		s.units[name] = u
		s.mu.Unlock()
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return s.handles.evict(name)
}

// Pin implements blob.Store.
func (s *Store) Pin() (release func()) {
	s.mu.Lock()
	s.pins++
	s.mu.Unlock()
	return sync.OnceFunc(s.unpin)
}

func (s *Store) unpin() {
	s.mu.Lock()
	s.pins--
	var names []string
	if s.pins == 0 && !s.shut {
		for name := range s.dropped {
			names = append(names, name)
		}
		clear(s.dropped)
	}
	s.mu.Unlock()
	for _, name := range names {
		_ = s.drop(name) // it stays listed, with nothing alive: the next Rewrite removes it
	}
}
