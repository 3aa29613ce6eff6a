// Package follow keeps somebody's copy of a map of the store (store.Access) up to
// date: it is read whole once, and from then on only what changed, so that a change
// of one row among a million costs one row.
//
// It knows nothing of what the rows mean. Limits: pages of [Page] rows are read.
package follow

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"

	"posta/internal/store"
)

// Page is how many rows are read at once.
const Page = 2000

// Copy is who has a copy of the rows. Its methods are called one at a time.
type Copy interface {
	// Replace makes a copy of all rows; the sequence ends with the first error, which
	// Replace gives back. None of the rows is a removed one.
	Replace(all iter.Seq2[store.AccessEntry, error]) error
	// Take makes changes, in their order; a row without a value was removed. After an
	// error none of them was made.
	Take(changed []store.AccessEntry) error
}

// Reader reads what a copy does not know yet. Its user lets one Refresh run at a time.
type Reader struct {
	src    store.Access
	change int64 // up to which the copy knows
	loaded atomic.Bool
}

// New makes a Reader, which has read nothing.
func New(src store.Access) *Reader { return &Reader{src: src} }

// Loaded reports whether everything has been read once. It may be called at any time.
func (r *Reader) Loaded() bool { return r.loaded.Load() }

// Refresh gives the copy what changed since it was last called; the first time, and
// where the store has forgotten what was removed meanwhile, everything. It blocks on
// the store. After an error the copy is as it was, or a part of the changes further.
func (r *Reader) Refresh(ctx context.Context, c Copy) error {
	if !r.loaded.Load() {
		return r.reload(ctx, c)
	}
	if err := r.behind(ctx, c); !errors.Is(err, store.ErrConflict) {
		return err
	}
	return r.reload(ctx, c)
}

// reload reads everything, and then what changed meanwhile: rows that were removed
// since are not forgotten yet, so that there is no conflict.
func (r *Reader) reload(ctx context.Context, c Copy) error {
	change, err := r.src.AccessChange(ctx)
	if err != nil {
		return err
	}
	if err := c.Replace(r.all(ctx)); err != nil {
		return err
	}
	r.change = change
	r.loaded.Store(true)
	return r.behind(ctx, c)
}

// all walks through the rows in the order of their keys.
func (r *Reader) all(ctx context.Context) iter.Seq2[store.AccessEntry, error] {
	return func(yield func(store.AccessEntry, error) bool) {
		after := ""
		for n := Page; n == Page; {
			page, err := r.src.ListAccess(ctx, after, Page)
			if err != nil {
				yield(store.AccessEntry{}, err)
				return
			}
			n = len(page)
			for _, e := range page {
				if after = e.Key; !yield(e, nil) {
					return
				}
			}
		}
	}
}

// behind takes what changed behind the change that the copy knows.
func (r *Reader) behind(ctx context.Context, c Copy) error {
	for {
		page, err := r.src.AccessSince(ctx, r.change, Page)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := c.Take(page); err != nil {
			return err
		}
		if r.change = page[len(page)-1].Change; len(page) < Page {
			return nil
		}
	}
}
