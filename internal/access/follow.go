package access

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"posta/internal/follow"
	"posta/internal/store"
)

// Followed is the access map of a store, kept up to date: it is read whole once,
// and then only what changed. It is safe for use by many goroutines.
type Followed struct {
	rows *follow.Reader
	live Live
	load sync.Mutex // one reader of the store at a time

	mu    sync.Mutex        // of what follows, and of changes to live; not held over a read
	until map[Key]time.Time // entries that end
	next  atomic.Int64      // when the first of them ends, in nanoseconds since 1970; 0: none
}

// Follow makes a Followed, which is empty until it is refreshed.
func Follow(src store.Access) *Followed {
	return &Followed{rows: follow.New(src), until: map[Key]time.Time{}}
}

// Loaded reports whether the map has been read: who only changes it needs no copy.
func (f *Followed) Loaded() bool { return f.rows.Loaded() }

// At is the map in force at a moment; it does not read the store. A nil Followed
// has an empty map.
func (f *Followed) At(now time.Time) *Map {
	if f == nil {
		return nil
	}
	if next := f.next.Load(); next != 0 && now.UnixNano() >= next {
		f.end(now)
	}
	return f.live.Load()
}

// end takes out what is over.
func (f *Followed) end(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var over []Change
	for k, t := range f.until {
		if !now.Before(t) {
			over = append(over, Change{Key: k})
			delete(f.until, k)
		}
	}
	f.live.Update(func(m *Map) (*Map, error) { return m.With(over) }) // removing cannot fail
	f.setNext()
}

// setNext finds the entry that ends first.
func (f *Followed) setNext() {
	first := int64(0)
	for _, t := range f.until {
		if n := t.UnixNano(); first == 0 || n < first {
			first = n
		}
	}
	f.next.Store(first)
}

// Refresh takes what changed since it was last called; the first time, everything.
// It blocks on the store. After an error the map is as it was, or a part of the
// changes further.
func (f *Followed) Refresh(ctx context.Context) error {
	f.load.Lock()
	defer f.load.Unlock()
	if err := f.rows.Refresh(ctx, (*copied)(f)); err != nil {
		return fmt.Errorf("access map: %w", err)
	}
	return nil
}

// copied is a Followed as the reader of the store's rows sees it.
type copied Followed

// Replace implements follow.Copy.
func (f *copied) Replace(all iter.Seq2[store.AccessEntry, error]) error {
	until := map[Key]time.Time{}
	var failed error
	m, err := Collect(func(yield func(Key, Value) bool) {
		for e, err := range all {
			var c Change
			if err == nil {
				c, err = changeOf(e)
			}
			if failed = err; err != nil || !yield(c.Key, c.Value) {
				return
			}
			if !e.Until.IsZero() {
				until[c.Key] = e.Until
			}
		}
	})
	if err = errors.Join(failed, err); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.until = until
	f.live.now.Store(m)
	(*Followed)(f).setNext()
	return nil
}

// Take implements follow.Copy.
func (f *copied) Take(page []store.AccessEntry) error {
	changes := make([]Change, len(page))
	for i, e := range page {
		var err error
		if changes[i], err = changeOf(e); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.live.Update(func(m *Map) (*Map, error) { return m.With(changes) }); err != nil {
		return err
	}
	for i, e := range page {
		delete(f.until, changes[i].Key)
		if e.Value != "" && !e.Until.IsZero() {
			f.until[changes[i].Key] = e.Until
		}
	}
	(*Followed)(f).setNext()
	return nil
}

// changeOf reads a row. Only a version of Posta that knew more can have stored one
// that cannot be read.
func changeOf(e store.AccessEntry) (Change, error) {
	k, err := ParseKey(e.Key)
	if err != nil {
		return Change{}, fmt.Errorf("entry %s: %w", e.Key, err)
	}
	if e.Value == "" {
		return Change{Key: k}, nil
	}
	v, err := ParseValue(e.Value)
	if err != nil {
		return Change{}, fmt.Errorf("entry %s: %w", e.Key, err)
	}
	return Change{k, v}, nil
}
