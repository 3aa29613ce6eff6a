package app

import (
	"context"
	"errors"
	"time"

	"posta/internal/blob"
	"posta/internal/rescue"
	"posta/internal/store"
)

// How often the house is swept, and how long a doomed blob's bytes stay: longer
// than any transaction, reader or backup pin.
const (
	lookEvery  = 5 * time.Second        // for due jobs, and for changes by other nodes
	lookPause  = 250 * time.Millisecond // after a wake-up: what comes meanwhile is one look
	sweepEvery = 10 * time.Minute
	sweepAgain = time.Minute // when a backup was in the way
	sweepLease = time.Hour
	doomGrace  = time.Hour
	sweepBatch = 1000
	accessKeep = 7 * 24 * time.Hour // of what was removed from the access map: no node sleeps longer
)

// sweepJob is the job's kind and key: there is one, whatever the number of nodes.
const sweepJob = "sweep"

// housekeeping keeps what grows from growing for ever: blobs that nobody refers
// to, packs that are half dead, traces that are too old. The sweep is a job, so
// that one node does it. The directory's view is taken anew where other nodes may
// have changed it.
func (s *server) housekeeping(ctx context.Context) error {
	planned := s.planSweep(ctx)
	// The wake-ups of another node's changes, so that what is not known there yet
	// is refused for no longer than it must be.
	wake, unsubscribe := s.state.Store.Subscribe(0)
	defer unsubscribe()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
			if !rest(ctx, lookPause) {
				return nil
			}
		case <-tick.C:
			if planned = planned || s.planSweep(ctx); planned {
				s.runSweep(ctx)
			}
		}
		if err := s.state.Directory.Refresh(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "directory", "err", err)
		}
		if err := s.state.Access.Refresh(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "access map", "err", err)
		}
	}
}

// planSweep makes sure that there is a sweep to do; false if that could not be
// asked now.
func (s *server) planSweep(ctx context.Context) bool {
	err := s.state.Store.AddJob(ctx, store.Job{Key: sweepJob, Kind: sweepJob, Due: s.opt.Now().Add(time.Minute)})
	if err == nil || errors.Is(err, store.ErrExists) {
		return true
	}
	s.log.WarnContext(ctx, "sweep not planned", "err", err)
	return false
}

// rest waits; false if ctx ends meanwhile.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// runSweep does the sweep if it is due and nobody else has it.
func (s *server) runSweep(ctx context.Context) {
	j, err := s.state.Store.ClaimJob(ctx, nodeName(), []string{sweepJob}, sweepLease)
	if errors.Is(err, store.ErrNotFound) {
		return
	}
	if err == nil {
		err = s.sweepUnlessPinned(ctx, j)
	}
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "housekeeping", "err", err)
	}
}

// sweepUnlessPinned does the sweep, or puts it off while a backup runs, at whatever
// node: it may be copying what the sweep would remove.
func (s *server) sweepUnlessPinned(ctx context.Context, j store.Job) error {
	pause, failed := sweepEvery, ""
	runs, err := rescue.BackupRuns(ctx, s.state.Store, nodeName())
	switch {
	case runs:
		pause = sweepAgain
	case err == nil:
		err = s.sweep(ctx)
	}
	if err != nil {
		failed = err.Error()
	}
	return errors.Join(err, s.state.Store.EndJob(context.WithoutCancel(ctx), j.ID, j.Fence, s.opt.Now().Add(pause), failed))
}

// sweep does one round of all of it; each part may be repeated at any time.
func (s *server) sweep(ctx context.Context) error {
	now := s.opt.Now()
	_, facts := s.state.Store.SweepFacts(ctx)
	return errors.Join(
		facts,
		Collect(ctx, s.state.Store, s.state.Blobs, now),
		Compact(ctx, s.state.Store, s.state.Blobs, now),
		s.traces.sweep(ctx, s.state.Store, now, s.log),
		s.state.Store.SweepAccess(ctx, now.Add(-accessKeep)),
		s.state.Store.Rules().SweepAccess(ctx, now.Add(-accessKeep)),
		s.forget(ctx, now),
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
