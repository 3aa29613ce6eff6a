package sqlstore

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"posta/internal/store"
)

// The bits of queue_group.options.
const (
	optRetFull = 1 << iota
	optEightBit
	optUTF8
	optRequireTLS
	optSign
	optBinary
)

// queueOptions packs an Enqueue's switches.
func queueOptions(e *store.Enqueue) int {
	n := 0
	for i, on := range [...]bool{e.RetFull, e.EightBit, e.UTF8, e.RequireTLS, e.Sign, e.Binary} {
		if on {
			n |= 1 << i
		}
	}
	return n
}

// setOptions is the inverse of queueOptions.
func setOptions(e *store.Enqueue, options int) {
	e.RetFull, e.EightBit, e.UTF8 = options&optRetFull != 0, options&optEightBit != 0, options&optUTF8 != 0
	e.RequireTLS, e.Sign, e.Binary = options&optRequireTLS != 0, options&optSign != 0, options&optBinary != 0
}

const entryColumns = `SELECT q.id, g.accept, g.id, q.state, q.due, q.attempts, q.fence, q.sending, q.last, q.last_at, q.delayed, g.created,
	q.address, q.domain, q.original, q.notify, q.kind,
	g.reverse_path, g.prefix, g.skip, g.envid, g.options, g.seal, g.account, g.expires,
	b.id, b.unit, b.at, b.length, b.size, b.sha256, b.doomed
	FROM queue_entry q JOIN queue_group g ON g.id = q.grp JOIN blob b ON b.id = g.blob`

func scanEntry(r *rows, e *store.QueueEntry) error {
	var options int
	err := r.scan(append([]any{&e.ID, &e.Message, &e.Group, &e.State, &e.Due, &e.Attempts, &e.Fence, &e.Sending, &e.Last, &e.LastAt, &e.Delayed, &e.Created,
		&e.Address, &e.Domain, &e.Original, &e.Notify, &e.Kind,
		&e.ReversePath, &e.Prefix, &e.Skip, &e.EnvID, &options, &e.Seal, &e.Account, &e.Expires}, blobTargets(&e.Blob)...)...)
	setOptions(&e.Enqueue, options)
	e.Prefix = bytes.Clone(e.Prefix)
	return err
}

// NextDue implements store.Queue.
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	return s.earliest(ctx, "SELECT MIN(due) FROM queue_entry WHERE state = 0")
}

// earliest runs a query that gives one moment, NULL or 0 for none.
func (s *Store) earliest(ctx context.Context, q string, args ...any) (at time.Time, err error) {
	err = s.main.read(ctx, func(t *tx) error { return t.row(q, args...).scan(&at) })
	return at, err
}

// ListQueue implements store.Queue.
func (s *Store) ListQueue(ctx context.Context, f store.QueueFilter) ([]store.QueueEntry, error) {
	where, args := []string{"q.id > $1"}, []any{f.After}
	add := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, strings.ReplaceAll(condition, "$", fmt.Sprint("$", len(args))))
	}
	if !f.Message.IsZero() {
		add("g.accept = $", f.Message)
	}
	if f.Domain != "" {
		add("q.domain = $", f.Domain)
	}
	if f.Address != "" {
		add("(q.address = $ OR g.reverse_path = $)", f.Address)
	}
	var states []string
	for _, st := range f.States {
		states = append(states, fmt.Sprint(int(st)))
	}
	if f.States != nil {
		where = append(where, "q.state IN ("+strings.Join(append(states, "-1"), ", ")+")")
	}
	args = append(args, page(f.Limit))
	q := fmt.Sprintf("%s WHERE %s ORDER BY q.id LIMIT $%d", entryColumns, strings.Join(where, " AND "), len(args))
	var out []store.QueueEntry
	err := s.main.read(ctx, func(t *tx) (err error) {
		out, err = collect(t, scanEntry, q, args...)
		return err
	})
	return out, err
}

// QueueStats implements store.Queue.
func (s *Store) QueueStats(ctx context.Context) ([]store.QueueStat, error) {
	var out []store.QueueStat
	err := s.main.read(ctx, func(t *tx) (err error) {
		out, err = collect(t, func(r *rows, st *store.QueueStat) error { return r.scan(&st.Domain, &st.State, &st.Count, &st.Oldest) },
			`SELECT q.domain, q.state, COUNT(*), MIN(g.created) FROM queue_entry q JOIN queue_group g ON g.id = q.grp
			GROUP BY q.domain, q.state ORDER BY q.domain, q.state`)
		return err
	})
	return out, err
}
