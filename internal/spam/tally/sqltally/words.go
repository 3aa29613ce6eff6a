package sqltally

import (
	"encoding/json"
	"strconv"
	"strings"

	"posta/internal/spam/tally"
)

// words is the SQL of an engine where the two differ: how many values travel in
// one parameter.
type words struct {
	schema []string
	among  string // the rows of a model for the features in $2
	grow   string // adds what is above zero
	shrink string // takes away, where there is something
	empty  string // removes what has come to nothing among the features in $2
	remove string // removes the features in $2
	list   func([]int64) any
	rows   func(d []tally.Delta, day int64, sign int) []any // of what grows (1) or shrinks (-1)
}

// A feature's row: how often it was seen, and the day (since 1970) on which it was
// learned last. "changes" grows with every change of a model, so that others see
// that what they hold is old.
var tables = []string{
	`CREATE TABLE IF NOT EXISTS tally_model (
		id BIGINT PRIMARY KEY,
		name TEXT NOT NULL UNIQUE,
		spam BIGINT NOT NULL DEFAULT 0,
		ham BIGINT NOT NULL DEFAULT 0,
		changes BIGINT NOT NULL DEFAULT 0
	)`,
	`CREATE TABLE IF NOT EXISTS tally_feature (
		model BIGINT NOT NULL,
		feature BIGINT NOT NULL,
		spam BIGINT NOT NULL,
		ham BIGINT NOT NULL,
		day BIGINT NOT NULL,
		PRIMARY KEY (model, feature)
	)`,
	// "was" is the label before the last change, so that one statement can tell it.
	`CREATE TABLE IF NOT EXISTS tally_label (
		model TEXT NOT NULL,
		message BIGINT NOT NULL,
		label BIGINT NOT NULL,
		was BIGINT NOT NULL,
		day BIGINT NOT NULL,
		PRIMARY KEY (model, message)
	)`,
}

const onConflict = ` ON CONFLICT (model, feature) DO UPDATE SET
	spam = tally_feature.spam + excluded.spam, ham = tally_feature.ham + excluded.ham, day = excluded.day`

var sqliteWords = words{
	schema: []string{tables[0], tables[1] + " WITHOUT ROWID", tables[2] + " WITHOUT ROWID"},
	among: `SELECT feature, spam, ham FROM tally_feature
		WHERE model = $1 AND feature IN (SELECT value FROM json_each($2))`,
	grow: `INSERT INTO tally_feature (model, feature, spam, ham, day)
		SELECT $1, value->>0, value->>1, value->>2, $3 FROM json_each($2) WHERE true` + onConflict,
	// No UPDATE … FROM json_each: SQLite reads the list anew for each feature of the model then.
	shrink: `INSERT INTO tally_feature (model, feature, spam, ham, day)
		SELECT $1, value->>0, value->>1, value->>2, $3 FROM json_each($2)
		WHERE EXISTS (SELECT 1 FROM tally_feature WHERE model = $1 AND feature = json_each.value->>0)
		ON CONFLICT (model, feature) DO UPDATE SET
		spam = max(0, tally_feature.spam - excluded.spam), ham = max(0, tally_feature.ham - excluded.ham), day = excluded.day`,
	empty: `DELETE FROM tally_feature WHERE model = $1 AND spam = 0 AND ham = 0
		AND feature IN (SELECT value FROM json_each($2))`,
	remove: `DELETE FROM tally_feature WHERE model = $1 AND feature IN (SELECT value FROM json_each($2))`,
	list: func(v []int64) any {
		b := []byte{'['}
		for i, n := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, n, 10)
		}
		return string(append(b, ']'))
	},
	rows: func(d []tally.Delta, day int64, sign int) []any {
		rows := make([][3]int64, 0, len(d))
		for _, x := range d {
			rows = append(rows, [3]int64{int64(x.Feature), part(x.Spam, sign), part(x.Ham, sign)})
		}
		var b strings.Builder
		_ = json.NewEncoder(&b).Encode(rows) // numbers always encode
		return []any{b.String(), day}
	},
}

var postgresWords = words{
	// Nodes that start together must not make the tables at the same time: even
	// IF NOT EXISTS fails then.
	schema: append([]string{"SELECT pg_advisory_xact_lock(7305800213465)"}, tables...),
	among:  `SELECT feature, spam, ham FROM tally_feature WHERE model = $1 AND feature = ANY($2::bigint[])`,
	grow: `INSERT INTO tally_feature (model, feature, spam, ham, day)
		SELECT $1::bigint, f, s, h, $5::bigint FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS d (f, s, h)` + onConflict,
	shrink: `UPDATE tally_feature t SET spam = GREATEST(0, t.spam - d.s), ham = GREATEST(0, t.ham - d.h), day = $5::bigint
		FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS d (f, s, h) WHERE t.model = $1::bigint AND t.feature = d.f`,
	empty:  `DELETE FROM tally_feature WHERE model = $1 AND spam = 0 AND ham = 0 AND feature = ANY($2::bigint[])`,
	remove: `DELETE FROM tally_feature WHERE model = $1 AND feature = ANY($2::bigint[])`,
	list:   func(v []int64) any { return v },
	rows: func(d []tally.Delta, day int64, sign int) []any {
		var f, s, h []int64
		for _, x := range d {
			f, s, h = append(f, int64(x.Feature)), append(s, part(x.Spam, sign)), append(h, part(x.Ham, sign))
		}
		return []any{f, s, h, day}
	},
}

// part is the part of a change that goes the way of sign, without it.
func part(n int32, sign int) int64 {
	return max(0, int64(n)*int64(sign))
}
