package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"posta/internal/mail"
	"posta/internal/store"
)

// Limits of what is kept of one message, so that no stranger fills the disk.
const (
	maxEventBytes  = 64 << 10
	maxTraceBytes  = 256 << 10
	maxTerms       = 300 // keys of one record
	maxTermBytes   = 320 // of one key: an address has 254 at most
	maxTraceEvents = 1000
)

// AddEvent implements store.Traces.
func (s *Store) AddEvent(ctx context.Context, id mail.ID, e store.TraceEvent) error {
	return s.main.write(ctx, func(t *tx) error {
		var have int
		if err := t.row("SELECT 1 FROM accepted WHERE id = $1", id).scan(&have); err != nil {
			return wrap(err, "trace %s", id)
		}
		return insertEvent(t, id, e)
	})
}

// Trace implements store.Traces.
func (s *Store) Trace(ctx context.Context, id mail.ID) (store.StoredTrace, error) {
	var found []store.StoredTrace
	err := s.main.read(ctx, func(t *tx) (err error) {
		found, err = collect(t, scanTrace, "SELECT id, terms, body FROM accepted WHERE id = $1 AND LENGTH(body) > 0", id)
		if err == nil && len(found) == 1 {
			err = readEvents(t, found)
		}
		return err
	})
	if err == nil && len(found) == 0 {
		err = s.side.read(ctx, func(t *tx) (err error) {
			found, err = collect(t, scanTrace, "SELECT id, terms, body FROM refused WHERE id = $1", id)
			if err == nil && len(found) == 0 {
				found, err = collect(t, scanMerged, mergedColumns+"WHERE id = $1", id)
			}
			return err
		})
	}
	if err == nil && len(found) == 0 {
		err = wrap(store.ErrNotFound, "trace %s", id)
	}
	if err != nil {
		return store.StoredTrace{}, err
	}
	return found[0], nil
}

func scanTrace(r *rows, s *store.StoredTrace) error {
	var terms string
	err := r.scan(&s.ID, &terms, &s.Body)
	s.Keys, s.Body = unpackTerms(terms), bytes.Clone(s.Body)
	return err
}

// readEvents adds the later lines to records of accepted messages.
func readEvents(t *tx, records []store.StoredTrace) error {
	for i := range records {
		events, err := collect(t, func(r *rows, e *store.TraceEvent) error {
			err := r.scan(&e.At, &e.Body)
			e.Body = bytes.Clone(e.Body)
			return err
		}, "SELECT at, body FROM trace_event WHERE accept = $1 ORDER BY at, id LIMIT $2", records[i].ID, maxTraceEvents)
		if err != nil {
			return err
		}
		records[i].Events = events
	}
	return nil
}

// LatestTraces implements store.Traces.
func (s *Store) LatestTraces(ctx context.Context, before time.Time, limit int) ([]store.StoredTrace, error) {
	end := lastID
	if !before.IsZero() {
		end = firstID(before)
	}
	var accepted, refused, merged []store.StoredTrace
	err := s.main.read(ctx, func(t *tx) (err error) {
		accepted, err = collect(t, scanTrace, "SELECT id, terms, body FROM accepted WHERE id < $1 AND LENGTH(body) > 0 ORDER BY id DESC LIMIT $2", end, page(limit))
		if err == nil {
			err = readEvents(t, accepted)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = s.side.read(ctx, func(t *tx) (err error) {
		refused, err = collect(t, scanTrace, "SELECT id, terms, body FROM refused WHERE id < $1 ORDER BY id DESC LIMIT $2", end, page(limit))
		if err == nil {
			merged, err = collect(t, scanMerged, mergedColumns+"WHERE id < $1 ORDER BY id DESC LIMIT $2", end, page(limit))
		}
		return err
	})
	all := slices.Concat(accepted, refused, merged)
	slices.SortFunc(all, func(a, b store.StoredTrace) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	return all[:min(len(all), page(limit))], err
}

// FindTraces implements store.Traces. The index is in parts, so that writing stays
// local: a look-up asks each part in turn, the newest first. What was projected
// twice after a crash stands in two parts and is told once.
func (s *Store) FindTraces(ctx context.Context, key string, limit int) ([]mail.ID, error) {
	key, limit = strings.ToLower(key), page(limit)
	var out []mail.ID
	err := s.side.read(ctx, func(t *tx) error {
		out = nil
		for part := int64(math.MaxInt64); len(out) < limit; {
			err := t.row("SELECT part FROM trace_key WHERE part < $1 ORDER BY part DESC LIMIT 1", part).scan(&part)
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			for _, k := range append(networksOf(key), key) {
				ids, err := findTerm(t, part, k, limit)
				if err != nil {
					return err
				}
				out = append(out, ids...)
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b mail.ID) int { return bytes.Compare(b[:], a[:]) })
	out = slices.Compact(out)
	return out[:min(len(out), limit)], err
}

// findTerm looks one part up: a term, or for "@domain" all terms of the domain.
func findTerm(t *tx, part int64, key string, limit int) ([]mail.ID, error) {
	term := termOf(key)
	if domain, ok := strings.CutPrefix(key, "@"); ok {
		return collect(t, one[mail.ID], "SELECT DISTINCT accept FROM trace_key WHERE part = $1 AND term >= $2 AND term < $3 ORDER BY accept DESC LIMIT $4",
			part, domain+"@", domain+"A", limit) // "A" follows "@"
	}
	return collect(t, one[mail.ID], "SELECT accept FROM trace_key WHERE part = $1 AND term = $2 ORDER BY accept DESC LIMIT $3", part, term, limit)
}

// TraceUse implements store.Traces. Of a row it counts what is written in it and
// rowOctets for its place; the terms of a record stand twice, beside it and in the
// index.
func (s *Store) TraceUse(ctx context.Context, from, to time.Time) (octets int64, err error) {
	first, end := firstID(from), firstID(to)
	for _, q := range []struct {
		e    engine
		text string
	}{
		{s.main, "SELECT COALESCE(SUM(LENGTH(body) + 2 * LENGTH(terms) + $3), 0) FROM accepted WHERE id >= $1 AND id < $2 AND LENGTH(body) > 0"},
		{s.main, "SELECT COALESCE(SUM(LENGTH(body) + $3), 0) FROM trace_event WHERE accept >= $1 AND accept < $2"},
		{s.side, "SELECT COALESCE(SUM(LENGTH(body) + 2 * LENGTH(terms) + $3), 0) FROM refused WHERE id >= $1 AND id < $2"},
		{s.side, "SELECT COALESCE(SUM(2 * LENGTH(network) + LENGTH(subject) + $3), 0) FROM refused_merged WHERE id >= $1 AND id < $2"},
	} {
		var n int64
		err := q.e.read(ctx, func(t *tx) error { return t.row(q.text, first, end, rowOctets).scan(&n) })
		if err != nil {
			return 0, wrap(err, "use of traces")
		}
		octets += n
	}
	return octets, nil
}

// rowOctets is about what a row takes besides its text: its id, its place, and those
// of its keys.
const rowOctets = 200

// DropTraces implements store.Traces. It works in steps.
func (s *Store) DropTraces(ctx context.Context, before time.Time) error {
	day := before.UTC().Truncate(24 * time.Hour)
	end := firstID(day)
	// A row of accepted also says that the accept was committed; that is asked
	// for some days after, so younger rows lose their trace only.
	gone := firstID(minTime(day, s.clock().Add(-keepAccepted)))
	for _, w := range []struct {
		e    engine
		q    string
		args []any
	}{
		{s.main, "DELETE FROM accepted WHERE id IN (SELECT id FROM accepted WHERE id < $1 ORDER BY id LIMIT $2)", []any{gone, step}},
		{s.main, "DELETE FROM trace_event WHERE accept < $1 AND accept IN (SELECT accept FROM trace_event WHERE accept < $1 ORDER BY accept LIMIT $2)", []any{end, step}},
		{s.side, "DELETE FROM refused_merged WHERE id IN (SELECT id FROM refused_merged WHERE id < $1 ORDER BY id LIMIT $2)", []any{end, step}},
		{s.side, "DELETE FROM refused WHERE id IN (SELECT id FROM refused WHERE id < $1 ORDER BY id LIMIT $2)", []any{end, step}},
	} {
		if err := drain(ctx, w.e, w.q, w.args...); err != nil {
			return err
		}
	}
	if err := s.stripAccepted(ctx, gone, end); err != nil {
		return err
	}
	return s.dropKeys(ctx, partOf(day, 0))
}

// stripAccepted takes the traces from the rows in [from, to).
func (s *Store) stripAccepted(ctx context.Context, from, to mail.ID) error {
	for {
		var ids []mail.ID
		err := s.main.write(ctx, func(t *tx) (err error) {
			ids, err = collect(t, one[mail.ID], "SELECT id FROM accepted WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3", from, to, step)
			if err != nil || len(ids) == 0 {
				return err
			}
			_, err = t.exec("UPDATE accepted SET body = $1, terms = '' WHERE id >= $2 AND id <= $3 AND LENGTH(body) > 0", []byte{}, from, ids[len(ids)-1])
			return err
		})
		if err != nil || len(ids) < step {
			return err
		}
		from = nextID(ids[len(ids)-1])
	}
}

// keepAccepted is longer than a client may repeat an accept (DESIGN §2.7).
const keepAccepted = 6 * 24 * time.Hour

// drain runs a statement, each time in its own transaction, until it changes
// nothing.
func drain(ctx context.Context, e engine, q string, args ...any) error {
	for n := int64(1); n > 0; {
		err := e.write(ctx, func(t *tx) (err error) {
			n, err = t.exec(q, args...)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// dropKeys removes the days before a day from the index.
func (s *Store) dropKeys(ctx context.Context, before int64) error {
	for n := int64(1); n > 0; {
		err := s.side.write(ctx, func(t *tx) error {
			var part int64
			var term string
			var id mail.ID
			n = 0
			err := t.row("SELECT part, term, accept FROM trace_key WHERE part < $1 ORDER BY part, term, accept LIMIT 1 OFFSET $2", before, 5*step).scan(&part, &term, &id)
			if errors.Is(err, store.ErrNotFound) {
				_, err = t.exec("DELETE FROM trace_key WHERE part < $1", before)
				return err
			}
			if err == nil {
				n, err = t.exec("DELETE FROM trace_key WHERE (part, term, accept) < ($1, $2, $3)", part, term, id)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// firstID is below every id that was made at that moment or later (mail.NewID).
func firstID(at time.Time) (id mail.ID) {
	binary.BigEndian.PutUint64(id[:8], uint64(max(at.UnixMilli(), 0))<<16)
	return id
}

// lastID is above every id.
var lastID = mail.ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// secondsOfDay is how many parts a day can have.
const secondsOfDay = 24 * 60 * 60

// partOf is the part of an id made at a moment, in a part that began at a second
// of its day.
func partOf(at time.Time, second int64) int64 { return at.Unix()/secondsOfDay*secondsOfDay + second }

// term is one row of the index.
type term struct {
	part int64
	text string
	id   mail.ID
}

func (a term) compare(b term) int {
	return cmp.Or(cmp.Compare(a.part, b.part), strings.Compare(a.text, b.text), bytes.Compare(a.id[:], b.id[:]))
}

// termOf is a key as the index has it: an address with its domain in front, so
// that all of a domain stand together and one row serves both searches.
func termOf(key string) string {
	if i := strings.LastIndexByte(key, '@'); i >= 0 {
		return key[i+1:] + "@" + key[:i]
	}
	return key
}

// termsOf gives the rows by which a record is found.
func termsOf(id mail.ID, keys []string) []term {
	part := partOf(id.Time(), 0)
	out := make([]term, 0, len(keys))
	for _, k := range keys {
		if k != "" && len(k) <= maxTermBytes && utf8.ValidString(k) && strings.IndexByte(k, 0) < 0 {
			out = append(out, term{part, termOf(k), id})
		}
	}
	return out[:min(len(out), maxTerms)]
}

// KeepRefused implements store.Traces.
func (s *Store) KeepRefused(r store.TraceRecord) { s.trail.keepRefused(r) }

// DroppedTraces is how many refusals were not kept since the start, because more
// came than could be written.
func (s *Store) DroppedTraces() int64 { return s.trail.dropped.Load() }

// FlushTraces implements store.Traces.
func (s *Store) FlushTraces(ctx context.Context) error { return s.trail.flush(ctx) }
