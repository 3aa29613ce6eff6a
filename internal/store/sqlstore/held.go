package sqlstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"posta/internal/store"
)

const heldColumns = `SELECT h.id, h.accept, h.at, h.told, h.reviewed, h.size, h.forward_path, h.domain, h.original, h.notify, h.author, h.subject, h.reasons, h.review, h.skip, h.preview,
	h.reverse_path, h.envid, h.options, h.seal, h.account, b.id, b.unit, b.at, b.length, b.size, b.sha256, b.doomed`

const wholeColumns = ", h.sent, h.prefix, h.envelope, h.structure, h.outgoing"

const heldTables = " FROM held h JOIN blob b ON b.id = h.blob WHERE "

func scanHeld(r *rows, h *store.HeldMail) error { return scanHeldWith(r, h) }

// scanHeldWhole scans what wholeColumns adds too.
func scanHeldWhole(r *rows, h *store.HeldMail) error {
	d := &h.Stored
	err := scanHeldWith(r, h, &d.Sent, &d.Prefix, &d.Envelope, &d.Structure, &h.Out.Prefix)
	for _, b := range []*[]byte{&d.Prefix, &d.Envelope, &d.Structure, &h.Out.Prefix} {
		*b = bytes.Clone(*b)
	}
	return err
}

// scanHeldWith scans the columns of heldColumns, and more behind them.
func scanHeldWith(r *rows, h *store.HeldMail, more ...any) error {
	var reasons string
	var options int
	dest := append([]any{&h.ID, &h.Message, &h.At, &h.Told, &h.Reviewed, &h.Size, &h.Recipient, &h.Domain, &h.Original, &h.Notify, &h.Author, &h.Subject, &reasons, &h.Review, &h.Stored.Skip, &h.Stored.Preview,
		&h.Out.ReversePath, &h.Out.EnvID, &options, &h.Out.Seal, &h.Out.Account}, blobTargets(&h.Blob)...)
	if err := r.scan(append(dest, more...)...); err != nil {
		return err
	}
	h.Stored.InternalDate = h.At
	setOptions(&h.Out, options)
	if err := json.Unmarshal([]byte(reasons), &h.Reasons); err != nil {
		return fmt.Errorf("reasons of held mail %d: %w", h.ID, err)
	}
	return nil
}

// ListHeld implements store.Quarantine.
func (s *Store) ListHeld(ctx context.Context, f store.HeldFilter) ([]store.HeldMail, error) {
	where, args := []string{"h.id > $1"}, []any{f.After}
	add := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, strings.ReplaceAll(condition, "$", fmt.Sprint("$", len(args))))
	}
	if f.ID != 0 {
		add("h.id = $", f.ID)
	}
	if !f.Message.IsZero() {
		add("h.accept = $", f.Message)
	}
	if f.Recipient != "" {
		add("h.recipient = $", strings.ToLower(f.Recipient))
	}
	if f.Domain != "" {
		add("h.domain = $", f.Domain)
	}
	if !f.Before.IsZero() {
		add("h.at < $", f.Before)
	}
	if f.Digest != nil {
		add("h.told <> 0 AND h.digest = $", *f.Digest)
	}
	if f.Untold {
		where = append(where, "h.told = 0")
	}
	if f.Unreviewed {
		where = append(where, "h.reviewed = 0")
	}
	columns, scan := heldColumns, scanHeld
	if f.Whole {
		columns, scan = columns+wholeColumns, scanHeldWhole
	}
	args = append(args, page(f.Limit))
	q := fmt.Sprintf("%s%s%s ORDER BY h.id LIMIT $%d", columns, heldTables, strings.Join(where, " AND "), len(args))
	var out []store.HeldMail
	err := s.main.read(ctx, func(t *tx) (err error) {
		out, err = collect(t, scan, q, args...)
		return err
	})
	return out, err
}

// DropHeld implements store.Quarantine. The audit record is written with the first
// step that removes something.
func (s *Store) DropHeld(ctx context.Context, ids []int64, event func(store.HeldMail) store.TraceEvent, a store.Audit) (int, error) {
	return s.editHeld(ctx, ids, a, func(t *tx, ids []int64) (int, error) { return removeHeld(t, ids, event) })
}

// ReviewHeld implements store.Quarantine.
func (s *Store) ReviewHeld(ctx context.Context, ids []int64, a store.Audit) (int, error) {
	return s.editHeld(ctx, ids, a, func(t *tx, ids []int64) (int, error) {
		in, arg := t.in(2, ids)
		n, err := t.exec("UPDATE held SET reviewed = $1 WHERE reviewed = 0 AND id IN "+in, t.now(), arg)
		return int(n), err
	})
}

// editHeld changes held mail in steps.
func (s *Store) editHeld(ctx context.Context, ids []int64, a store.Audit, edit func(t *tx, ids []int64) (int, error)) (total int, err error) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	for chunk := range slices.Chunk(ids, step) {
		n, audited := 0, total > 0
		err := s.main.write(ctx, func(t *tx) (err error) {
			if n, err = edit(t, chunk); err != nil || n == 0 || audited {
				return err
			}
			return writeAudit(t, a)
		})
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// removeHeld deletes rows, tells the traces of their messages, and lets go the blobs.
func removeHeld(t *tx, ids []int64, event func(store.HeldMail) store.TraceEvent) (int, error) {
	in, arg := t.in(1, ids)
	list, err := collect(t, scanHeld, heldColumns+heldTables+"h.id IN "+in+" ORDER BY h.id", arg)
	if err != nil {
		return 0, err
	}
	removed := 0
	for i := range list {
		h := &list[i]
		// In PostgreSQL another node may have been first.
		n, err := t.exec("DELETE FROM held WHERE id = $1", h.ID)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			continue
		}
		removed++
		if err := loosen(t, h.Blob.ID); err != nil {
			return 0, err
		}
		if err := eventIfTraced(t, h, event(*h)); err != nil {
			return 0, err
		}
	}
	return removed, nil
}

// eventIfTraced writes an event unless the message's trace is forgotten: mail may be
// held for longer than traces are kept.
func eventIfTraced(t *tx, h *store.HeldMail, e store.TraceEvent) error {
	var have int
	err := t.row("SELECT 1 FROM accepted WHERE id = $1", h.Message).scan(&have)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return insertEvent(t, h.Message, e)
}

// ExpireHeld implements store.Quarantine, in steps.
func (s *Store) ExpireHeld(ctx context.Context, domain string, before time.Time, limit int, event func(store.HeldMail) store.TraceEvent) (total int, err error) {
	for total < limit {
		n, most := 0, min(step, limit-total)
		err := s.main.write(ctx, func(t *tx) error {
			ids, err := collect(t, one[int64], `SELECT id FROM held WHERE domain = $1 AND at < $2 AND told <> 0 AND (review = 0 OR reviewed <> 0)
				ORDER BY at LIMIT $3`+t.lock(), domain, before, most)
			if err != nil || len(ids) == 0 {
				n = 0
				return err
			}
			n, err = removeHeld(t, ids, event)
			return err
		})
		if err != nil {
			return total, err
		}
		if total += n; n < most {
			break
		}
	}
	return total, nil
}

// HeldStats implements store.Quarantine.
func (s *Store) HeldStats(ctx context.Context) (out []store.HeldStat, err error) {
	err = s.main.read(ctx, func(t *tx) (err error) {
		out, err = collect(t, func(r *rows, st *store.HeldStat) error {
			return r.scan(&st.Domain, &st.Count, &st.Octets, &st.Oldest, &st.Waiting, &st.Since)
		}, `SELECT domain, COUNT(*), CAST(SUM(size) AS BIGINT), MIN(at), CAST(SUM(CASE WHEN reviewed = 0 THEN 1 ELSE 0 END) AS BIGINT),
			COALESCE(MIN(CASE WHEN reviewed = 0 THEN at END), 0) FROM held GROUP BY domain ORDER BY domain`)
		return err
	})
	return out, err
}

// Digest implements store.Quarantine.
func (s *Store) Digest(ctx context.Context, k store.DigestKey, now time.Time) (d store.Digest, err error) {
	err = s.main.read(ctx, func(t *tx) error {
		d = store.Digest{Key: k}
		return t.row("SELECT name, until FROM digest WHERE token = $1 AND until > $2", k, now).scan(&d.To, &d.Until)
	})
	if err != nil {
		return store.Digest{}, wrap(err, "digest")
	}
	return d, nil
}

// DropDigests implements store.Quarantine, in steps.
func (s *Store) DropDigests(ctx context.Context, before time.Time) error {
	return drain(ctx, s.main, "DELETE FROM digest WHERE token IN (SELECT token FROM digest WHERE until < $1 LIMIT $2)", before, step)
}

// heldInvariants hold for the quarantine.
func heldInvariants() []invariant {
	return []invariant{
		{"held.blob", `SELECT 'held mail ' || h.id || ' has no blob that is alive' FROM held h
			LEFT JOIN blob b ON b.id = h.blob AND b.doomed = 0 WHERE b.id IS NULL`},
		{"held.size", `SELECT 'held mail ' || h.id || ' has ' || h.size || ' octets, its prefix ' || LENGTH(h.prefix) || ', its blob ' || b.size || ', of which ' || h.skip || ' are skipped'
			FROM held h JOIN blob b ON b.id = h.blob WHERE h.size <> LENGTH(h.prefix) + b.size - h.skip`},
		{"held.told", `SELECT 'held mail ' || id || ' was told by ' || LENGTH(digest) || ' octets of a digest at ' || told FROM held
			WHERE (told <> 0) <> (LENGTH(digest) = 32)`},
	}
}
