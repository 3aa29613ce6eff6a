package sqltally

import (
	"context"
	"math"
	"strconv"

	"posta/internal/spam/tally"
)

// maxGroup: features seen as often or more are told apart by their day alone.
const maxGroup = 15

const groupOf = "CASE WHEN spam + ham > 15 THEN 15 ELSE spam + ham END"

// cutoff is where pruning ends: features seen less often than count go, and of
// those seen as often, the ones not seen since day.
type cutoff struct{ count, day int64 }

// Prune implements tally.Store. It changes at most step rows at a time.
func (s *Store) Prune(ctx context.Context, m tally.Model, keep int) (int, error) {
	r, err := s.model(ctx, m)
	if err != nil || r.id == 0 {
		return 0, err
	}
	c, excess, err := s.cutoff(ctx, r.id, keep)
	if err != nil || excess <= 0 {
		return 0, err
	}
	defer s.cache.drop(m)
	n, err := s.removeUpTo(ctx, r.id, c, excess)
	if err == nil {
		err = s.exec(ctx, "UPDATE tally_model SET changes = changes + 1 WHERE id = $1", r.id)
	}
	return n, err
}

// cutoff finds how far to go so that keep features stay.
func (s *Store) cutoff(ctx context.Context, model int64, keep int) (c cutoff, excess int, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT "+groupOf+" AS n, day, count(*) FROM tally_feature WHERE model = $1 GROUP BY 1, 2 ORDER BY 1, 2", model)
	if err != nil {
		return c, 0, err
	}
	defer rows.Close()
	type group struct {
		cutoff
		features int
	}
	var all []group
	total := 0
	for rows.Next() {
		var g group
		if err := rows.Scan(&g.count, &g.day, &g.features); err != nil {
			return c, 0, err
		}
		all = append(all, g)
		total += g.features
	}
	excess = total - max(keep, 0)
	gone := 0
	for _, g := range all {
		if gone >= excess {
			break
		}
		c = g.cutoff
		gone += g.features
	}
	return c, excess, rows.Err()
}

// removeUpTo removes at most most features up to the cutoff, those well before it
// first.
func (s *Store) removeUpTo(ctx context.Context, model int64, c cutoff, most int) (int, error) {
	const below = "n < $3"
	const at = "n = $3 AND day <= $4"
	done := 0
	for _, where := range []string{below, at} {
		after := int64(math.MinInt64)
		for done < most {
			args := []any{model, after, c.count}
			if where == at {
				args = append(args, c.day)
			}
			keys, err := s.keys(ctx, where, args, min(step, most-done))
			if err != nil {
				return done, err
			}
			if len(keys) == 0 {
				break
			}
			if err := s.exec(ctx, s.words.remove, model, s.words.list(keys)); err != nil {
				return done, err
			}
			done += len(keys)
			after = keys[len(keys)-1]
		}
	}
	return done, nil
}

// keys are the next features of a model that a condition holds for.
func (s *Store) keys(ctx context.Context, where string, args []any, limit int) ([]int64, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT feature FROM (SELECT feature, day, `+groupOf+` AS n FROM tally_feature
		WHERE model = $1 AND feature > $2) AS f WHERE `+where+` ORDER BY feature LIMIT `+strconv.Itoa(limit), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var f int64
		if err := rows.Scan(&f); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, rows.Err()
}
