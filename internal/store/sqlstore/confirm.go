package sqlstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"posta/internal/mail"
	"posta/internal/store"
)

// confirmFor is how long a repeat is recognised: as long as clients usually try.
const confirmFor = 5 * 24 * time.Hour

// longestSession bounds how much older than its commit the id of an accept is: it
// is made at MAIL.
const longestSession = time.Hour

// recoverPage is how many accepts RecoverUnconfirmed looks at in one transaction.
const recoverPage = 200

// Unconfirmed implements store.Acceptor. What is out of date goes on the way.
func (s *Store) Unconfirmed(ctx context.Context, id mail.ID, keys []store.ConfirmKey, at time.Time) error {
	s.unconfirmed.add(keys, micros(at))
	return s.main.write(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM unconfirmed WHERE hash IN (SELECT hash FROM unconfirmed WHERE at < $1 LIMIT 100)",
			t.now()-confirmFor.Microseconds())
		if err != nil {
			return err
		}
		return insertUnconfirmed(t, id, keys, micros(at))
	})
}

func insertUnconfirmed(t *tx, id mail.ID, keys []store.ConfirmKey, at int64) error {
	for _, k := range keys {
		err := t.later(nil, `INSERT INTO unconfirmed (hash, accept, at) VALUES ($1, $2, $3)
			ON CONFLICT (hash) DO UPDATE SET accept = excluded.accept, at = excluded.at`, k, id, at)
		if err != nil {
			return err
		}
	}
	return nil
}

// Repeated implements store.Acceptor.
func (s *Store) Repeated(ctx context.Context, keys []store.ConfirmKey) ([]bool, error) {
	if found, ok := s.unconfirmed.repeated(keys, s.clock().Add(-confirmFor).UnixMicro()); ok {
		return found, nil
	}
	found := make([]bool, len(keys))
	err := s.main.read(ctx, func(t *tx) error {
		since := t.now() - confirmFor.Microseconds()
		for i, k := range keys {
			var n int
			if err := t.row("SELECT COUNT(*) FROM unconfirmed WHERE hash = $1 AND at >= $2", k, since).scan(&n); err != nil {
				return err
			}
			found[i] = n > 0
		}
		return nil
	})
	return found, err
}

// RecoverUnconfirmed implements store.Acceptor, in steps. Accepts of other nodes
// and of sessions that ended well are taken too: a true repeat of those has the
// same bytes, so that nobody misses anything when it is not placed again.
func (s *Store) RecoverUnconfirmed(ctx context.Context, since time.Time) (int, error) {
	total, next := 0, firstID(since.Add(-longestSession))
	for more := true; more; {
		var n int
		var last mail.ID
		err := s.main.write(ctx, func(t *tx) (err error) {
			n, last, more, err = recoverSome(t, next)
			return err
		})
		if err != nil {
			return total, err
		}
		total, next = total+n, last
	}
	if s.lock == nil {
		return total, nil // other nodes write to the table, too
	}
	return total, s.unconfirmed.load(ctx, s.main)
}

// Confirmed implements store.Acceptor. The rows go with the next accept.
func (s *Store) Confirmed(keys []store.ConfirmKey) {
	s.confirmed.mu.Lock()
	defer s.confirmed.mu.Unlock()
	if len(s.confirmed.keys) < maxConfirmed {
		s.confirmed.keys = append(s.confirmed.keys, keys...)
	}
}

// maxConfirmed bounds what waits; what is beyond stays unconfirmed until it is out
// of date.
const maxConfirmed = 10_000

// confirmedKeys wait to be deleted.
type confirmedKeys struct {
	mu   sync.Mutex
	keys []store.ConfirmKey
}

// take gives up to a step of the keys; put gives them back.
func (c *confirmedKeys) take() []store.ConfirmKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.keys), step)
	out := c.keys[:n:n]
	c.keys = c.keys[n:]
	return out
}

func (c *confirmedKeys) put(keys []store.ConfirmKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = append(c.keys, keys...)
}

// dropConfirmed deletes the rows of keys.
func dropConfirmed(t *tx, keys []store.ConfirmKey) error {
	for _, k := range keys {
		if err := t.later(nil, "DELETE FROM unconfirmed WHERE hash = $1", k); err != nil {
			return err
		}
	}
	return nil
}

// unconfirmedSet holds the rows of unconfirmed in memory where no other process can
// add one, so that hardly any message asks the table. It is loaded by
// RecoverUnconfirmed, before the first message.
type unconfirmedSet struct {
	mu     sync.Mutex
	loaded bool
	at     map[store.ConfirmKey]int64
}

// maxUnconfirmed bounds the set; beyond it the table is asked.
const maxUnconfirmed = 100_000

// add keeps keys that are in the table, or about to be.
func (u *unconfirmedSet) add(keys []store.ConfirmKey, at int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.loaded {
		return
	}
	if len(u.at)+len(keys) > maxUnconfirmed {
		u.loaded, u.at = false, nil
		return
	}
	for _, k := range keys {
		u.at[k] = at
	}
}

// remove forgets keys that are no longer in the table.
func (u *unconfirmedSet) remove(keys []store.ConfirmKey) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, k := range keys {
		delete(u.at, k)
	}
}

// repeated answers from memory; ok is false where the table must be asked.
func (u *unconfirmedSet) repeated(keys []store.ConfirmKey, since int64) (found []bool, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.loaded {
		return nil, false
	}
	found = make([]bool, len(keys))
	for i, k := range keys {
		at, there := u.at[k]
		found[i] = there && at >= since
	}
	return found, true
}

// load reads the table.
func (u *unconfirmedSet) load(ctx context.Context, e engine) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	type row struct {
		key store.ConfirmKey
		at  int64
	}
	var all []row
	err := e.read(ctx, func(t *tx) (err error) {
		all, err = collect(t, func(r *rows, x *row) error {
			var hash []byte
			err := r.scan(&hash, &x.at)
			copy(x.key[:], hash)
			return err
		}, "SELECT hash, at FROM unconfirmed LIMIT $1", maxUnconfirmed+1)
		return err
	})
	if err != nil || len(all) > maxUnconfirmed {
		return err
	}
	u.loaded, u.at = true, make(map[store.ConfirmKey]int64, len(all))
	for _, x := range all {
		u.at[x.key] = x.at
	}
	return nil
}

// recoverSome does one page of accepts with an id above after.
func recoverSome(t *tx, after mail.ID) (n int, last mail.ID, more bool, err error) {
	type accepted struct {
		id      mail.ID
		confirm []byte
	}
	page, err := collect(t, func(r *rows, a *accepted) error { return r.scan(&a.id, &a.confirm) },
		"SELECT id, confirm FROM accepted WHERE id > $1 ORDER BY id LIMIT $2", after, recoverPage)
	if err != nil {
		return 0, after, false, err
	}
	for _, a := range page {
		last = a.id
		keys, err := unpackConfirm(a.confirm)
		if err != nil {
			return 0, after, false, wrap(err, "accept %s", a.id)
		}
		if len(keys) == 0 {
			continue
		}
		if err := insertUnconfirmed(t, a.id, keys, t.now()); err != nil {
			return 0, after, false, err
		}
		n++
	}
	return n, last, len(page) == recoverPage, nil
}

var errConfirm = errors.New("sqlstore: keys of confirmation are cut short")

func unpackConfirm(b []byte) ([]store.ConfirmKey, error) {
	if len(b)%16 != 0 {
		return nil, errConfirm
	}
	keys := make([]store.ConfirmKey, len(b)/16)
	for i := range keys {
		copy(keys[i][:], b[16*i:])
	}
	return keys, nil
}
