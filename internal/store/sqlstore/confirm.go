package sqlstore

import (
	"context"
	"errors"
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
		_, err := t.exec(`INSERT INTO unconfirmed (hash, accept, at) VALUES ($1, $2, $3)
			ON CONFLICT (hash) DO UPDATE SET accept = excluded.accept, at = excluded.at`, k, id, at)
		if err != nil {
			return err
		}
	}
	return nil
}

// Repeated implements store.Acceptor.
func (s *Store) Repeated(ctx context.Context, keys []store.ConfirmKey) ([]bool, error) {
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
	return total, nil
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
