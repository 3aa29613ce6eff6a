package pack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"posta/internal/blob"
	"posta/internal/blob/record"
)

// Open implements blob.Store.
func (s *Store) Open(ctx context.Context, id blob.ID, at blob.Location) (blob.Reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h, err := s.handles.acquire(at.Unit)
	if err != nil {
		return nil, fmt.Errorf("blob %v at %v: %w", id, at, err)
	}
	r, err := record.Open(h, h, h.salt, id, at, s.codec)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Verify implements blob.Store.
func (s *Store) Verify(ctx context.Context, id blob.ID, at blob.Location) error {
	r, err := s.Open(ctx, id, at)
	if err != nil {
		return err
	}
	return errors.Join(record.Verify(ctx, r), r.Close())
}

// Units implements blob.Store.
func (s *Store) Units(ctx context.Context) ([]blob.UnitInfo, error) {
	s.mu.Lock()
	list := make([]blob.UnitInfo, 0, len(s.units))
	for _, u := range s.units {
		list = append(list, blob.UnitInfo{Name: u.name, Bytes: u.bytes, Sealed: u.sealed, Modified: u.modified})
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b blob.UnitInfo) int { return strings.Compare(a.Name, b.Name) })
	return list, ctx.Err()
}

// Scan implements blob.Store.
func (s *Store) Scan(ctx context.Context, visit func(blob.Entry) error) ([]blob.Damage, error) {
	units, err := s.Units(ctx)
	if err != nil {
		return nil, err
	}
	var damage []blob.Damage
	var stop error // of the visitor
	for _, u := range units {
		d, err := s.scanUnit(ctx, u.Name, func(e blob.Entry) error {
			stop = visit(e)
			return stop
		})
		damage = append(damage, d...)
		switch {
		case stop != nil:
			return damage, stop
		case errors.Is(err, blob.ErrNotFound): // removed meanwhile
		case err != nil:
			return damage, err
		}
	}
	return damage, nil
}

// scanUnit visits the intact records of one unit up to where its records end.
func (s *Store) scanUnit(ctx context.Context, name string, visit func(blob.Entry) error) ([]blob.Damage, error) {
	h, err := s.handles.acquire(name)
	if errors.Is(err, blob.ErrCorrupt) {
		return []blob.Damage{{Unit: name, Err: err}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer h.Close()
	var damage []blob.Damage
	if _, err := record.ReadSalt(h); err != nil {
		damage = append(damage, blob.Damage{Unit: name, Length: record.UnitHeaderBytes, Err: err})
	}
	x, err := s.extent(h)
	if err != nil {
		return damage, err
	}
	res, err := record.Scan(ctx, h, name, x.end, h.salt, visit)
	damage = append(damage, res.DamageBefore(x.tornFrom(res))...)
	if err == nil && (x.cut || x.exact && res.Tail > 0) {
		damage = append(damage, blob.Damage{Unit: name, Offset: res.End, Length: res.Tail, Err: fmt.Errorf("%w: the end of the pack is damaged", blob.ErrCorrupt)})
	}
	return damage, err
}

// extent is how far the records of a pack reach.
type extent struct {
	end   int64
	exact bool  // end is where the last sync or the footer says; else it is the end of the file
	cut   bool  // a sealed pack has lost its footer
	torn  int64 // gaps from here on are no damage
}

// tornFrom: where the footer tells it, or, in a pack that could not be ended, the last batch.
func (x extent) tornFrom(res record.Result) int64 {
	if x.exact || x.cut {
		return x.torn
	}
	return res.Batch
}

// extent asks the writer, or the footer. A pack still called .open after the writer has left it may have
// a torn tail, that is no damage.
func (s *Store) extent(h *handle) (extent, error) {
	s.mu.Lock()
	u := s.units[h.name]
	if u == nil {
		s.mu.Unlock()
		return extent{}, blob.ErrNotFound
	}
	sealed, open, synced := u.sealed, u.open, u.bytes
	s.mu.Unlock()
	if !sealed {
		return extent{end: synced, exact: true, torn: synced}, nil
	}
	size, err := h.file.Size()
	if err != nil {
		return extent{}, err
	}
	footer, err := record.ReadFooter(h, size, h.salt)
	if errors.Is(err, blob.ErrCorrupt) {
		return extent{end: size, cut: !open, torn: size}, nil
	}
	return extent{end: footer.End, exact: true, torn: footer.End - footer.LastBatch}, err
}
