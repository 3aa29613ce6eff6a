package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"posta/internal/store"
)

const accessColumns = "name, value, note, who, at, until, changed"

// followed implements store.Access on a table of rows and the table of its state,
// table_state. A Store embeds that of the access map; Rules gives that of the rules.
type followed struct {
	main  engine
	table string
}

var _ store.Access = followed{}

// Rules implements store.Store.
func (s *Store) Rules() store.Access { return followed{s.main, "rule"} }

func scanAccess(r *rows, e *store.AccessEntry) error {
	return r.scan(&e.Key, &e.Value, &e.Note, &e.Who, &e.At, &e.Until, &e.Change)
}

// AccessChange implements store.Access.
func (m followed) AccessChange(ctx context.Context) (change int64, err error) {
	err = m.main.read(ctx, func(t *tx) error {
		return t.row("SELECT changed FROM " + m.table + "_state WHERE one = 1").scan(&change)
	})
	return change, err
}

// AccessSince implements store.Access.
func (m followed) AccessSince(ctx context.Context, change int64, limit int) (out []store.AccessEntry, err error) {
	err = m.main.read(ctx, func(t *tx) error {
		out = nil
		var floor int64
		if err := t.row("SELECT floor FROM " + m.table + "_state WHERE one = 1").scan(&floor); err != nil {
			return err
		}
		if change < floor {
			return wrap(store.ErrConflict, "removals up to change %d are forgotten", floor)
		}
		out, err = collect(t, scanAccess, "SELECT "+accessColumns+" FROM "+m.table+" WHERE changed > $1 ORDER BY changed LIMIT $2", change, limit)
		return err
	})
	return out, err
}

// AccessEntries implements store.Access.
func (m followed) AccessEntries(ctx context.Context, keys ...string) (out []store.AccessEntry, err error) {
	err = m.main.read(ctx, func(t *tx) error {
		out, err = accessTx{t, m.table}.Entries(keys...)
		return err
	})
	return out, err
}

// ListAccess implements store.Access.
func (m followed) ListAccess(ctx context.Context, after string, limit int) (out []store.AccessEntry, err error) {
	err = m.main.read(ctx, func(t *tx) error {
		out, err = collect(t, scanAccess, "SELECT "+accessColumns+" FROM "+m.table+" WHERE name > $1 AND value <> '' AND (until = 0 OR until > $2) ORDER BY name LIMIT $3",
			after, t.now(), limit)
		return err
	})
	return out, err
}

// ChangeAccess implements store.Access. Changes come one after the other: the
// state's row is their lock.
func (m followed) ChangeAccess(ctx context.Context, f func(store.AccessTx) (store.Audit, error)) error {
	return m.main.write(ctx, func(t *tx) error {
		t.anyOrder = true
		if err := (accessTx{t, m.table}).lock(); err != nil {
			return err
		}
		a, err := f(accessTx{t, m.table})
		if err != nil {
			return err
		}
		t.wake(0) // other nodes take what changed
		return writeAudit(t, a)
	})
}

// accessTx implements store.AccessTx.
type accessTx struct {
	t     *tx
	table string
}

// lock takes the row under which all changes are made.
func (a accessTx) lock() error {
	_, err := a.t.exec("UPDATE " + a.table + "_state SET changed = changed WHERE one = 1")
	return err
}

// check finds the caller's mistakes: too many keys, or one twice.
func (accessTx) check(keys []string) error {
	if len(keys) > store.MaxAccessStep {
		return fmt.Errorf("%w: %d keys at once, of at most %d", store.ErrInvalid, len(keys), store.MaxAccessStep)
	}
	sorted := slices.Sorted(slices.Values(keys))
	for i, k := range sorted {
		if k == "" || i > 0 && k == sorted[i-1] {
			return fmt.Errorf("%w: the key %q is empty or comes twice", store.ErrInvalid, k)
		}
	}
	return nil
}

// Entries implements store.AccessTx.
func (a accessTx) Entries(keys ...string) ([]store.AccessEntry, error) {
	if err := a.check(keys); err != nil || len(keys) == 0 {
		return nil, err
	}
	args := make([]any, 0, len(keys)+1)
	args = append(args, a.t.now())
	for _, k := range keys {
		args = append(args, k)
	}
	return collect(a.t, scanAccess, "SELECT "+accessColumns+" FROM "+a.table+" WHERE value <> '' AND (until = 0 OR until > $1) AND name IN ("+marks(2, len(keys))+")", args...)
}

// marks are the parameters $from, $from+1… of a list.
func marks(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", from+i)
	}
	return b.String()
}

// numbers reserves n numbers of changes and gives the first.
func (a accessTx) numbers(n int) (int64, error) {
	var last int64
	err := a.t.row("UPDATE "+a.table+"_state SET changed = changed + $1 WHERE one = 1 RETURNING changed", n).scan(&last)
	return last - int64(n) + 1, err
}

// Put implements store.AccessTx.
func (a accessTx) Put(entries ...store.AccessEntry) error {
	keys := make([]string, len(entries))
	for i, e := range entries {
		if keys[i] = e.Key; e.Value == "" {
			return fmt.Errorf("%w: the entry %s has no value", store.ErrInvalid, e.Key)
		}
	}
	if err := a.check(keys); err != nil || len(keys) == 0 {
		return err
	}
	first, err := a.numbers(len(entries))
	for i, e := range entries {
		if err != nil {
			break
		}
		err = a.t.later(nil, "INSERT INTO "+a.table+` (name, value, note, who, at, until, changed) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value, note = excluded.note, who = excluded.who, at = excluded.at,
			until = excluded.until, changed = excluded.changed`, e.Key, e.Value, e.Note, e.Who, e.At, e.Until, first+int64(i))
	}
	return err
}

// Delete implements store.AccessTx.
func (a accessTx) Delete(keys ...string) error {
	if err := a.check(keys); err != nil || len(keys) == 0 {
		return err
	}
	first, err := a.numbers(len(keys))
	for i, k := range keys {
		if err != nil {
			break
		}
		err = a.t.later(nil, "UPDATE "+a.table+" SET value = '', note = '', until = 0, at = $1, changed = $2 WHERE name = $3 AND value <> ''",
			moment(a.t.now()), first+int64(i), k)
	}
	return err
}

// SweepAccess implements store.Access.
func (m followed) SweepAccess(ctx context.Context, forget time.Time) error {
	for _, step := range []func(accessTx) (int, error){accessTx.end, func(a accessTx) (int, error) { return a.forget(forget) }} {
		for n := store.MaxAccessStep; n == store.MaxAccessStep; {
			err := m.main.write(ctx, func(t *tx) (err error) {
				n, err = step(accessTx{t, m.table})
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// end removes entries that are over. No command does it, so no audit record
// tells of it: the entry's own said when it ends.
func (a accessTx) end() (int, error) {
	a.t.anyOrder = true
	if err := a.lock(); err != nil {
		return 0, err
	}
	over, err := collect(a.t, one[string], "SELECT name FROM "+a.table+" WHERE until <> 0 AND until <= $1 LIMIT $2", a.t.now(), store.MaxAccessStep)
	if err != nil || len(over) == 0 {
		return 0, err
	}
	a.t.wake(0)
	return len(over), a.Delete(over...)
}

// forget deletes rows that were removed long ago, and says up to which change.
func (a accessTx) forget(before time.Time) (int, error) {
	a.t.anyOrder = true
	if err := a.lock(); err != nil {
		return 0, err
	}
	gone, err := collect(a.t, one[int64], "SELECT changed FROM "+a.table+" WHERE value = '' AND at < $1 ORDER BY changed LIMIT $2", before, store.MaxAccessStep)
	if err != nil || len(gone) == 0 {
		return 0, err
	}
	last := gone[len(gone)-1]
	if _, err := a.t.exec("UPDATE "+a.table+"_state SET floor = $1 WHERE one = 1 AND floor < $2", last, last); err != nil {
		return 0, err
	}
	_, err = a.t.exec("DELETE FROM "+a.table+" WHERE value = '' AND at < $1 AND changed <= $2", before, last)
	return len(gone), err
}

// accessInvariants are those of the access map and of the rules.
func accessInvariants() (out []invariant) {
	for _, table := range []string{"access", "rule"} {
		out = append(out,
			invariant{table + ".changed", `SELECT '` + table + ` entry ' || a.name || ' has change ' || a.changed || ', the newest is ' || s.changed
			FROM ` + table + ` a, ` + table + `_state s WHERE a.changed > s.changed`},
			invariant{table + ".floor", `SELECT 'the map ` + table + ` forgot up to ' || floor || ' of ' || changed FROM ` + table + `_state WHERE floor > changed`})
	}
	return out
}
