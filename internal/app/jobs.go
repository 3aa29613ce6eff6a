package app

import (
	"context"
	"errors"
	"time"

	"posta/internal/blob"
	"posta/internal/store"
)

// How often the house is swept, and how long a doomed blob's bytes stay: longer
// than any transaction, reader or backup pin.
const (
	sweepEvery = 10 * time.Minute
	doomGrace  = time.Hour
	sweepBatch = 1000
	traceKeep  = 45 * 24 * time.Hour
)

// housekeeping keeps what grows from growing for ever: blobs that nobody refers
// to, packs that are half dead, traces that are too old. It also takes a new view
// of the directory where other nodes may have changed it.
func (s *server) housekeeping(ctx context.Context) error {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	refresh := time.NewTicker(30 * time.Second)
	defer refresh.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-refresh.C:
			if err := s.state.Directory.Refresh(ctx); err != nil {
				s.log.WarnContext(ctx, "directory", "err", err)
			}
		case <-sweep.C:
			if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "housekeeping", "err", err)
			}
		}
	}
}

// sweep does one round of all of it; each part may be repeated at any time.
func (s *server) sweep(ctx context.Context) error {
	now := s.opt.Now()
	return errors.Join(
		Collect(ctx, s.state.Store, s.state.Blobs, now),
		Compact(ctx, s.state.Store, s.state.Blobs, now),
		s.state.Store.DropTraces(ctx, now.Add(-traceKeep)),
	)
}

// Collect dooms blobs that nothing refers to and removes the bytes of those that
// were doomed long enough ago.
func Collect(ctx context.Context, st store.Blobs, blobs blob.Store, now time.Time) error {
	for {
		n, err := st.Doom(ctx, sweepBatch)
		if err != nil {
			return err
		}
		if n < sweepBatch {
			break
		}
	}
	for {
		refs, err := st.Doomed(ctx, now.Add(-doomGrace), sweepBatch)
		if err != nil || len(refs) == 0 {
			return err
		}
		ids, at := make([]blob.ID, len(refs)), make([]blob.Location, len(refs))
		for i, r := range refs {
			ids[i], at[i] = r.ID, r.At
		}
		if err := blobs.Remove(ctx, at); err != nil {
			return err
		}
		if err := st.Forget(ctx, ids); err != nil {
			return err
		}
	}
}

// youngest is how old a record must be to be dead because no row refers to it: a
// younger one may belong to a transaction that is not committed yet.
const youngest = time.Hour

// Compact rewrites sealed units of which less than half is alive.
func Compact(ctx context.Context, st store.Blobs, blobs blob.Store, now time.Time) error {
	use, err := st.UnitUse(ctx)
	if err != nil {
		return err
	}
	units, err := blobs.Units(ctx)
	if err != nil {
		return err
	}
	live := func(ctx context.Context, entries []blob.Entry) ([]bool, error) {
		out := make([]bool, len(entries))
		for i, e := range entries {
			ref, err := st.BlobRef(ctx, e.ID)
			switch {
			case errors.Is(err, store.ErrNotFound):
				out[i] = now.Sub(e.ID.Time()) < youngest
			case err != nil:
				return nil, err
			default:
				out[i] = ref.At == e.Location
			}
		}
		return out, nil
	}
	for _, u := range units {
		if !u.Sealed || now.Sub(u.Modified) < youngest || use[u.Name]*2 > u.Bytes {
			continue
		}
		if err := blobs.Rewrite(ctx, u.Name, live, st.MoveBlobs); err != nil {
			return err
		}
	}
	return nil
}
