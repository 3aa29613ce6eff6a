package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"posta/internal/store"
)

// factFile keeps small facts. It may be deleted while the store is closed.
const factFile = "facts.db"

// Bounds of one call.
const (
	maxFactKeys = 100
	maxFactList = 1000
)

// factRows knows about how many facts there are, so that a flood of new ones is
// met when it comes and not at the next sweep. Nodes that share a database each
// count their own; a sweep counts anew.
type factRows struct {
	most int // of one kind; 0: store.MaxFacts

	mu    sync.Mutex
	known map[store.FactKind]int
}

func (r *factRows) max() int {
	if r.most > 0 {
		return r.most
	}
	return store.MaxFacts
}

// add counts rows that are new and reports how many are too many.
func (r *factRows) add(kind store.FactKind, n int) (over int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[store.FactKind]int{}
	}
	r.known[kind] += n
	return r.known[kind] - r.max()
}

func (r *factRows) set(kind store.FactKind, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[store.FactKind]int{}
	}
	r.known[kind] = n
}

func (r *factRows) counted(kind store.FactKind) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.known[kind]
	return ok
}

var errFactKeys = fmt.Errorf("%w: between 1 and %d keys of facts, UTF-8 of at most %d octets", store.ErrInvalid, maxFactKeys, store.MaxFactKey)

func checkFactKeys(keys []string) error {
	if len(keys) > maxFactKeys {
		return errFactKeys
	}
	for _, k := range keys {
		if k == "" || len(k) > store.MaxFactKey || strings.IndexByte(k, 0) >= 0 || !utf8.ValidString(k) {
			return errFactKeys
		}
	}
	return nil
}

// FactsOf implements store.Facts.
func (s *Store) FactsOf(ctx context.Context, kind store.FactKind, keys ...string) ([]store.Fact, error) {
	if err := checkFactKeys(keys); err != nil {
		return nil, err
	}
	facts := make([]store.Fact, len(keys))
	err := s.facts.read(ctx, func(t *tx) error {
		clear(facts)
		for i, k := range keys {
			f, err := readFact(t, kind, k, "")
			if err != nil {
				return err
			}
			if !f.Until.IsZero() {
				facts[i] = f
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return facts, nil
}

// readFact reads a fact; one that is over, or is not there, has no Until.
func readFact(t *tx, kind store.FactKind, key, lock string) (store.Fact, error) {
	f := store.Fact{Key: key}
	var until int64
	err := t.row("SELECT value, until FROM fact WHERE kind = $1 AND name = $2"+lock, int64(kind), key).scan(&f.Value, &until)
	if errors.Is(err, store.ErrNotFound) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	if until <= t.now() {
		f.Value = nil
		return f, nil
	}
	f.Until = moment(until)
	return f, nil
}

// ChangeFacts implements store.Facts.
func (s *Store) ChangeFacts(ctx context.Context, kind store.FactKind, keys []string, f func(store.Fact) store.Fact) error {
	if err := checkFactKeys(keys); err != nil {
		return err
	}
	if !s.factRows.counted(kind) {
		if err := s.countFacts(ctx, kind); err != nil {
			return err
		}
	}
	keys = slices.Clone(keys)
	slices.Sort(keys) // rows are locked in one order
	added := 0
	err := s.facts.write(ctx, func(t *tx) error {
		added = 0
		for _, k := range keys {
			n, err := changeFact(t, kind, k, f)
			if err != nil {
				return err
			}
			added += n
		}
		return nil
	})
	if err != nil {
		return err
	}
	if over := s.factRows.add(kind, added); over > 0 {
		return s.evictFacts(ctx, kind, over)
	}
	return nil
}

// changeFact changes one fact and says how many rows there are more.
func changeFact(t *tx, kind store.FactKind, key string, f func(store.Fact) store.Fact) (added int, err error) {
	// A row is made first, for the one who comes at the same moment to wait at.
	n, err := t.exec("INSERT INTO fact (kind, name, value, until) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING", int64(kind), key, []byte(nil))
	if err != nil {
		return 0, err
	}
	added = int(n)
	old, err := readFact(t, kind, key, t.lock())
	if err != nil {
		return 0, err
	}
	next := f(old)
	if len(next.Value) > store.MaxFactValue {
		return 0, fmt.Errorf("%w: a fact of %d octets", store.ErrInvalid, len(next.Value))
	}
	if next.Until.IsZero() {
		_, err = t.exec("DELETE FROM fact WHERE kind = $1 AND name = $2", int64(kind), key)
		return added - 1, err
	}
	_, err = t.exec("UPDATE fact SET value = $1, until = $2 WHERE kind = $3 AND name = $4", next.Value, micros(next.Until), int64(kind), key)
	return added, err
}

// countFacts counts the rows of a kind.
func (s *Store) countFacts(ctx context.Context, kind store.FactKind) error {
	var n int64
	err := s.facts.read(ctx, func(t *tx) error {
		return t.row("SELECT COUNT(*) FROM fact WHERE kind = $1", int64(kind)).scan(&n)
	})
	if err == nil {
		s.factRows.set(kind, int(n))
	}
	return err
}

// evictFacts deletes those that end soonest: more than are too many, so that the
// next one does not come here again.
func (s *Store) evictFacts(ctx context.Context, kind store.FactKind, over int) error {
	n := min(over+s.factRows.max()/64, step)
	var gone int64
	err := s.facts.write(ctx, func(t *tx) (err error) {
		gone, err = t.exec("DELETE FROM fact WHERE kind = $1 AND name IN (SELECT name FROM fact WHERE kind = $1 ORDER BY until, name LIMIT $2)", int64(kind), n)
		return err
	})
	if err == nil {
		s.factRows.add(kind, -int(gone))
	}
	return err
}

// ListFacts implements store.Facts.
func (s *Store) ListFacts(ctx context.Context, kind store.FactKind, prefix, after string, limit int) ([]store.Fact, error) {
	if len(prefix) > store.MaxFactKey || len(after) > store.MaxFactKey || !utf8.ValidString(prefix+after) {
		return nil, errFactKeys
	}
	var facts []store.Fact
	err := s.facts.read(ctx, func(t *tx) (err error) {
		facts, err = collect(t, func(r *rows, f *store.Fact) error {
			var until int64
			if err := r.scan(&f.Key, &f.Value, &until); err != nil {
				return err
			}
			f.Until = moment(until)
			return nil
		}, "SELECT name, value, until FROM fact WHERE kind = $1 AND name >= $2 AND name > $3 AND until > $4 ORDER BY name LIMIT $5",
			int64(kind), prefix, after, t.now(), min(max(limit, 0), maxFactList))
		return err
	})
	if i := slices.IndexFunc(facts, func(f store.Fact) bool { return !strings.HasPrefix(f.Key, prefix) }); i >= 0 {
		facts = facts[:i]
	}
	return facts, err
}

// SweepFacts implements store.Facts.
func (s *Store) SweepFacts(ctx context.Context) (int, error) {
	total := 0
	for _, kind := range store.FactKinds() {
		for {
			var n int64
			err := s.facts.write(ctx, func(t *tx) (err error) {
				n, err = t.exec("DELETE FROM fact WHERE kind = $1 AND name IN (SELECT name FROM fact WHERE kind = $1 AND until <= $2 ORDER BY until LIMIT $3)", int64(kind), t.now(), step)
				return err
			})
			total += int(n)
			if err != nil {
				return total, err
			}
			if n < step {
				break
			}
		}
		if err := s.countFacts(ctx, kind); err != nil {
			return total, err
		}
		for over := s.factRows.add(kind, 0); over > 0; over = s.factRows.add(kind, 0) {
			if err := s.evictFacts(ctx, kind, over); err != nil {
				return total, err
			}
			total += over
		}
	}
	return total, nil
}
