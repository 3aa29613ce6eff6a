package sqltally

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"posta/internal/spam/tally"
)

// step is how many rows one transaction changes.
const step = 1000

// Add implements tally.Store. Messages are counted with the first features.
func (s *Store) Add(ctx context.Context, m tally.Model, messages tally.Delta, features []tally.Delta) error {
	if len(m) > tally.MaxModel {
		return tally.ErrModel
	}
	// In the order of their keys rows are locked by all nodes alike, and SQLite's
	// pages are written once.
	features = slices.Clone(features)
	slices.SortFunc(features, func(a, b tally.Delta) int { return cmp.Compare(int64(a.Feature), int64(b.Feature)) })
	day := dayOf(time.Now())
	first, changes := messages, int64(0)
	for from := 0; from == 0 || from < len(features); from += step {
		chunk := features[from:min(from+step, len(features))]
		err := s.write(ctx, func(tx *sql.Tx) error {
			id, err := touch(ctx, tx, m, first)
			if err == nil {
				err = s.change(ctx, tx, id, chunk, day)
			}
			return err
		})
		if err != nil {
			s.cache.drop(m)
			return err
		}
		first = tally.Delta{}
		changes++
	}
	s.cache.add(m, messages, features, changes)
	return nil
}

// write runs a transaction that changes something. SQLite's writers wait for each
// other here: in its file they would, under load, give up.
func (s *Store) write(ctx context.Context, f func(*sql.Tx) error) error {
	if !s.shared {
		select {
		case s.writer <- struct{}{}:
			defer func() { <-s.writer }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return transact(ctx, s.db, f)
}

// exec is a transaction of one statement.
func (s *Store) exec(ctx context.Context, q string, args ...any) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, q, args...)
		return err
	})
}

func transact(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// touch changes a model's row, and so locks it; it makes one where there is none.
func touch(ctx context.Context, tx *sql.Tx, m tally.Model, messages tally.Delta) (id int64, err error) {
	_, err = tx.ExecContext(ctx, "INSERT INTO tally_model (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
		rand.Int64N(1<<62)+1, string(m))
	if err != nil {
		return 0, err
	}
	const q = `UPDATE tally_model SET changes = changes + 1,
		spam = CASE WHEN spam + $2 < 0 THEN 0 ELSE spam + $2 END,
		ham = CASE WHEN ham + $3 < 0 THEN 0 ELSE ham + $3 END
		WHERE name = $1 RETURNING id`
	err = tx.QueryRowContext(ctx, q, string(m), messages.Spam, messages.Ham).Scan(&id)
	return id, err
}

// change adds what grows and then takes away what shrinks.
func (s *Store) change(ctx context.Context, tx *sql.Tx, id int64, features []tally.Delta, day int64) error {
	var grow, shrink []tally.Delta
	for _, d := range features {
		if d.Spam > 0 || d.Ham > 0 {
			grow = append(grow, d)
		}
		if d.Spam < 0 || d.Ham < 0 {
			shrink = append(shrink, d)
		}
	}
	if len(grow) > 0 {
		if _, err := tx.ExecContext(ctx, s.words.grow, append([]any{id}, s.words.rows(grow, day, 1)...)...); err != nil {
			return err
		}
	}
	if len(shrink) == 0 {
		return nil
	}
	if _, err := tx.ExecContext(ctx, s.words.shrink, append([]any{id}, s.words.rows(shrink, day, -1)...)...); err != nil {
		return err
	}
	keys := make([]int64, len(shrink))
	for i, d := range shrink {
		keys[i] = int64(d.Feature)
	}
	_, err := tx.ExecContext(ctx, s.words.empty, id, s.words.list(keys))
	return err
}

// Reset implements tally.Store: the messages first, so that nothing is judged by
// a rest of the features.
func (s *Store) Reset(ctx context.Context, m tally.Model) error {
	if err := s.exec(ctx, "DELETE FROM tally_label WHERE model = $1", string(m)); err != nil {
		return err
	}
	r, err := s.model(ctx, m)
	if err != nil || r.id == 0 {
		return err
	}
	defer s.cache.drop(m)
	if err := s.exec(ctx, "UPDATE tally_model SET spam = 0, ham = 0, changes = changes + 1 WHERE id = $1", r.id); err != nil {
		return err
	}
	all := cutoff{count: maxGroup + 1}
	if _, err := s.removeUpTo(ctx, r.id, all, 1<<62); err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM tally_model WHERE id = $1", r.id); err != nil {
			return err
		}
		// what was learned in the meantime
		_, err := tx.ExecContext(ctx, "DELETE FROM tally_feature WHERE model = $1", r.id)
		return err
	})
}

// Models implements tally.Store.
func (s *Store) Models(ctx context.Context, f func(tally.Info) bool) error {
	rows, err := s.db.QueryContext(ctx, `SELECT name, spam, ham,
		(SELECT count(*) FROM tally_feature WHERE model = tally_model.id) FROM tally_model`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var all []tally.Info
	for rows.Next() {
		var i tally.Info
		if err := rows.Scan(&i.Model, &i.Messages.Spam, &i.Messages.Ham, &i.Features); err != nil {
			return err
		}
		all = append(all, i)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b tally.Info) int { return cmp.Compare(a.Model, b.Model) })
	for _, i := range all {
		if !f(i) {
			return nil
		}
	}
	return nil
}
