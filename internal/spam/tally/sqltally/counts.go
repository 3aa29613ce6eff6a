package sqltally

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"posta/internal/spam/tally"
)

// warmAfter is how often a model is asked before it is worth being held in
// memory: reading it whole costs as much as some tens of single answers.
const warmAfter = 8

// Counts implements tally.Store.
func (s *Store) Counts(ctx context.Context, m tally.Model, features []uint64, out []tally.Count) (tally.Count, error) {
	if len(m) > tally.MaxModel {
		return tally.Count{}, tally.ErrModel
	}
	held, asked := s.cache.get(m)
	if held != nil {
		if err := s.freshen(ctx, m, &held); err != nil {
			return tally.Count{}, err
		}
	}
	if held == nil && asked >= warmAfter {
		var err error
		if held, err = s.load(ctx, m); err != nil {
			return tally.Count{}, err
		}
	}
	if held != nil {
		return held.counts(features, out), nil
	}
	return s.ask(ctx, m, features, out)
}

// freshen lets go of a model in memory that others have changed.
func (s *Store) freshen(ctx context.Context, m tally.Model, held **table) error {
	if !s.shared || !(*held).due(time.Now(), s.refresh) {
		return nil
	}
	row, err := s.model(ctx, m)
	if err != nil {
		return err
	}
	if row.id != (*held).row.id || row.changes != (*held).changes() {
		s.cache.drop(m)
		fresh, err := s.load(ctx, m)
		*held = fresh
		return err
	}
	return nil
}

// modelRow is a model without its features. A model that does not exist has the
// id 0.
type modelRow struct {
	id, changes int64
	messages    tally.Count
}

func (s *Store) model(ctx context.Context, m tally.Model) (modelRow, error) {
	var r modelRow
	err := s.db.QueryRowContext(ctx, "SELECT id, spam, ham, changes FROM tally_model WHERE name = $1", string(m)).
		Scan(&r.id, &r.messages.Spam, &r.messages.Ham, &r.changes)
	if errors.Is(err, sql.ErrNoRows) {
		return modelRow{}, nil
	}
	return r, err
}

// ask answers from the database.
func (s *Store) ask(ctx context.Context, m tally.Model, features []uint64, out []tally.Count) (tally.Count, error) {
	clear(out)
	r, err := s.model(ctx, m)
	if err != nil || r.id == 0 || len(features) == 0 {
		return r.messages, err
	}
	wanted := make([]int64, len(features))
	for i, f := range features {
		wanted[i] = int64(f)
	}
	rows, err := s.db.QueryContext(ctx, s.words.among, r.id, s.words.list(wanted))
	if err != nil {
		return tally.Count{}, err
	}
	defer rows.Close()
	found := map[uint64]tally.Count{}
	for rows.Next() {
		var f int64
		var c tally.Count
		if err := rows.Scan(&f, &c.Spam, &c.Ham); err != nil {
			return tally.Count{}, err
		}
		found[uint64(f)] = c
	}
	for i, f := range features {
		out[i] = found[f]
	}
	return r.messages, rows.Err()
}

// load reads a model whole and holds it in memory, unless it is larger than all
// that models may take. A change that comes while it is read makes it not to be
// held.
func (s *Store) load(ctx context.Context, m tally.Model) (*table, error) {
	before := s.cache.generation()
	r, err := s.model(ctx, m)
	if err != nil {
		return nil, err
	}
	var n int
	if err := s.db.QueryRowContext(ctx, "SELECT count(*) FROM tally_feature WHERE model = $1", r.id).Scan(&n); err != nil {
		return nil, err
	}
	if !s.cache.fits(n) {
		s.cache.forget(m)
		return nil, nil
	}
	t := newTable(r, n)
	rows, err := s.db.QueryContext(ctx, "SELECT feature, spam, ham FROM tally_feature WHERE model = $1", r.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var f int64
		var c tally.Count
		if err := rows.Scan(&f, &c.Spam, &c.Ham); err != nil {
			return nil, err
		}
		t.set(uint64(f), c)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	after, err := s.model(ctx, m)
	if err != nil {
		return nil, err
	}
	if after == r {
		s.cache.put(m, t, before)
	}
	return t, nil
}
