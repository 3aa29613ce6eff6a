package sqltally

import (
	"context"
	"database/sql"
	"time"

	"posta/internal/spam/tally"
)

// Relabel implements tally.Store.
func (s *Store) Relabel(ctx context.Context, m tally.Model, message uint64, to tally.Label) (tally.Label, error) {
	return s.label(ctx, m, message, to, "excluded.label")
}

// LabelNew implements tally.Store.
func (s *Store) LabelNew(ctx context.Context, m tally.Model, message uint64, to tally.Label) (tally.Label, error) {
	return s.label(ctx, m, message, to, "CASE WHEN tally_label.label = 0 THEN excluded.label ELSE tally_label.label END")
}

// label keeps a label, of a message that has one the outcome of next, and returns what
// it was.
func (s *Store) label(ctx context.Context, m tally.Model, message uint64, to tally.Label, next string) (was tally.Label, err error) {
	if len(m) > tally.MaxModel {
		return tally.None, tally.ErrModel
	}
	q := `INSERT INTO tally_label (model, message, label, was, day) VALUES ($1, $2, $3, 0, $4)
		ON CONFLICT (model, message) DO UPDATE SET was = tally_label.label, label = ` + next + `, day = excluded.day
		RETURNING was`
	err = s.write(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, q, string(m), int64(message), int64(to), dayOf(time.Now())).Scan(&was)
	})
	return was, err
}

// DropLabels implements tally.Store. It removes at most step rows at a time.
func (s *Store) DropLabels(ctx context.Context, before time.Time) error {
	const q = `DELETE FROM tally_label WHERE (model, message) IN
		(SELECT model, message FROM tally_label WHERE day < $1 LIMIT $2)`
	for {
		var n int64
		err := s.write(ctx, func(tx *sql.Tx) error {
			r, err := tx.ExecContext(ctx, q, dayOf(before), step)
			if err == nil {
				n, err = r.RowsAffected()
			}
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

// dayOf is the number of a day since 1970.
func dayOf(t time.Time) int64 { return t.Unix() / 86400 }
