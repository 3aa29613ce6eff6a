package sqlstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"posta/internal/store"
)

// A leased entry is due when its lease ends: so one index finds what may be
// claimed, be it new, put off or orphaned.

const (
	maxClaim = 500 // entries of one claim, for the bound of a transaction
	maxBatch = 100 // recipients of one attempt: RFC 5321 §4.5.3.1.8
)

// batch is what one attempt takes: the entries of one message for one domain.
type batch struct {
	grp    int64
	domain string
	kind   store.QueueKind
}

// candidate is a batch that may be claimed, and since when.
type candidate struct {
	batch
	due int64
}

// ClaimQueue implements store.Queue. It looks for candidates in a read
// transaction, which may take long in a long queue, and leases them in a short
// write transaction that checks again.
func (s *Store) ClaimQueue(ctx context.Context, node string, limit, perDomain int, lease time.Duration) ([]store.QueueEntry, error) {
	if node == "" || limit < 1 || perDomain < 1 || lease <= 0 {
		return nil, wrap(store.ErrInvalid, "ClaimQueue for node %q of %d, %d for a domain, for %v", node, limit, perDomain, lease)
	}
	limit = min(limit, maxClaim)
	var found []candidate
	err := s.main.read(ctx, func(t *tx) (err error) {
		found, err = candidates(t, limit, perDomain)
		return err
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	var out []store.QueueEntry
	err = s.main.write(ctx, func(t *tx) (err error) {
		out, err = leaseBatches(t, found, node, limit, perDomain, lease)
		return err
	})
	return out, err
}

// candidates lists batches, oldest due first. The first page of the due index
// suffices, unless most of it belongs to domains that are full: then each other
// domain is asked for its oldest.
func candidates(t *tx, limit, perDomain int) ([]candidate, error) {
	pageSize := 4*limit + 64
	head, err := collect(t, scanCandidate, "SELECT grp, domain, kind, due FROM queue_entry WHERE state = 0 AND due <= $1 ORDER BY due, id LIMIT $2", t.now(), pageSize)
	if err != nil || len(head) == 0 {
		return nil, err
	}
	rooms := newRooms(t, perDomain)
	var out []candidate
	if err := rooms.take(&out, head); err != nil {
		return nil, err
	}
	if len(head) < pageSize || len(out) >= limit {
		return out, nil
	}
	domains, err := dueDomains(t)
	if err != nil {
		return nil, err
	}
	for _, d := range domains {
		if len(out) >= limit {
			break
		}
		if err := rooms.takeDomain(&out, d); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func scanCandidate(r *rows, c *candidate) error { return r.scan(&c.grp, &c.domain, &c.kind, &c.due) }

// dueDomains lists the domains with due work, the one that waits longest first,
// with one seek in the index for each domain in the queue.
func dueDomains(t *tx) ([]string, error) {
	type head struct {
		domain string
		due    int64
	}
	all, err := collect(t, func(r *rows, h *head) error { return r.scan(&h.domain, &h.due) }, `
		WITH RECURSIVE d (domain) AS (
			SELECT MIN(domain) FROM queue_entry WHERE state = 0
			UNION ALL
			SELECT (SELECT MIN(q.domain) FROM queue_entry q WHERE q.state = 0 AND q.domain > d.domain) FROM d WHERE d.domain IS NOT NULL
		), h (domain, fresh, orphan) AS (
			SELECT d.domain,
				COALESCE((SELECT MIN(q.due) FROM queue_entry q WHERE q.state = 0 AND q.domain = d.domain AND q.leased = 0), $1),
				COALESCE((SELECT MIN(q.due) FROM queue_entry q WHERE q.state = 0 AND q.domain = d.domain AND q.leased = 1), $1)
			FROM d WHERE d.domain IS NOT NULL
		)
		SELECT domain, CASE WHEN fresh < orphan THEN fresh ELSE orphan END FROM h WHERE fresh <= $2 OR orphan <= $2`,
		t.now()+1, t.now())
	slices.SortFunc(all, func(a, b head) int { return cmp.Compare(a.due, b.due) })
	out := make([]string, len(all))
	for i, h := range all {
		out[i] = h.domain
	}
	return out, err
}

// rooms counts how many more batches each domain may have on their way.
type rooms struct {
	t         *tx
	perDomain int
	left      map[string]int
	taken     map[batch]bool
}

func newRooms(t *tx, perDomain int) *rooms {
	return &rooms{t, perDomain, map[string]int{}, map[batch]bool{}}
}

func (r *rooms) room(domain string) (int, error) {
	if n, ok := r.left[domain]; ok {
		return n, nil
	}
	var busy int
	err := r.t.row("SELECT COUNT(*) FROM (SELECT DISTINCT grp, kind, fence FROM queue_entry WHERE state = 0 AND domain = $1 AND leased = 1 AND due > $2) AS busy", domain, r.t.now()).scan(&busy)
	r.left[domain] = r.perDomain - busy
	return r.left[domain], err
}

// take adds the batches of entries for which there is room, each once.
func (r *rooms) take(out *[]candidate, entries []candidate) error {
	for _, c := range entries {
		if r.taken[c.batch] {
			continue
		}
		n, err := r.room(c.domain)
		if err != nil {
			return err
		}
		if n > 0 {
			r.left[c.domain]--
			r.taken[c.batch] = true
			*out = append(*out, c)
		}
	}
	return nil
}

// takeDomain adds the oldest batches of one domain.
func (r *rooms) takeDomain(out *[]candidate, domain string) error {
	n, err := r.room(domain)
	if err != nil || n <= 0 {
		return err
	}
	for leased := range 2 {
		head, err := collect(r.t, scanCandidate, `SELECT grp, domain, kind, MIN(due) FROM (
				SELECT grp, domain, kind, due FROM queue_entry WHERE state = 0 AND domain = $1 AND leased = $2 AND due <= $3 ORDER BY due LIMIT $4
			) AS oldest GROUP BY grp, domain, kind ORDER BY MIN(due)`, domain, leased, r.t.now(), (n+len(r.taken))*maxBatch)
		if err != nil {
			return err
		}
		if err := r.take(out, head); err != nil {
			return err
		}
	}
	return nil
}

// leaseBatches takes the candidates that are still free, under the latch that
// all nodes' claims take, so that they see each other's leases.
func leaseBatches(t *tx, found []candidate, node string, limit, perDomain int, lease time.Duration) ([]store.QueueEntry, error) {
	if err := latch(t, "queue"); err != nil {
		return nil, err
	}
	fence, err := t.id(seqFence)
	if err != nil {
		return nil, err
	}
	rooms, until := newRooms(t, perDomain), t.now()+lease.Microseconds()
	var ids []int64
	for _, c := range found {
		if len(ids) >= limit {
			break
		}
		if n, err := rooms.room(c.domain); err != nil {
			return nil, err
		} else if n <= 0 {
			continue
		}
		got, err := collect(t, one[int64], "SELECT id FROM queue_entry WHERE grp = $1 AND domain = $2 AND kind = $3 AND state = 0 AND due <= $4 ORDER BY id LIMIT $5"+t.lock(),
			c.grp, c.domain, c.kind, t.now(), min(maxBatch, limit-len(ids)))
		if err != nil {
			return nil, err
		}
		if len(got) == 0 {
			continue
		}
		rooms.left[c.domain]--
		in, arg := t.in(4, got)
		if _, err := t.exec("UPDATE queue_entry SET leased = 1, node = $1, fence = $2, due = $3 WHERE id IN "+in, node, fence, until, arg); err != nil {
			return nil, err
		}
		ids = append(ids, got...)
	}
	return entriesByID(t, ids)
}

// latch makes the transactions that take it run one after another.
func latch(t *tx, name string) error {
	var got string
	return t.row("SELECT name FROM latch WHERE name = $1"+t.lock(), name).scan(&got)
}

// entriesByID reads entries in the order of the ids.
func entriesByID(t *tx, ids []int64) ([]store.QueueEntry, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	in, arg := t.in(1, ids)
	found, err := collect(t, scanEntry, entryColumns+" WHERE q.id IN "+in, arg)
	place := make(map[int64]int, len(ids))
	for i, id := range ids {
		place[id] = i
	}
	slices.SortFunc(found, func(a, b store.QueueEntry) int { return cmp.Compare(place[a.ID], place[b.ID]) })
	return found, err
}

// ExtendQueue implements store.Queue.
func (s *Store) ExtendQueue(ctx context.Context, ids []int64, fence int64, lease time.Duration) error {
	if lease <= 0 {
		return wrap(store.ErrInvalid, "a lease of %v", lease)
	}
	return s.fenced(ctx, ids, fence, "due = $1", func(t *tx) any { return t.now() + lease.Microseconds() })
}

// StartAttempt implements store.Queue.
func (s *Store) StartAttempt(ctx context.Context, ids []int64, fence int64) error {
	if err := s.fail.Hit("store.queue.start"); err != nil {
		return mapFailpoint(err)
	}
	return s.fenced(ctx, ids, fence, "sending = $1", func(*tx) any { return 1 })
}

// fenced changes entries of one lease, all or none.
func (s *Store) fenced(ctx context.Context, ids []int64, fence int64, set string, value func(*tx) any) error {
	if len(ids) == 0 {
		return nil
	}
	if len(ids) > maxClaim {
		return wrap(store.ErrInvalid, "%d entries; a claim has %d at most", len(ids), maxClaim)
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	return s.main.write(ctx, func(t *tx) error {
		in, arg := t.in(3, ids)
		n, err := t.exec("UPDATE queue_entry SET "+set+" WHERE fence = $2 AND leased = 1 AND state = 0 AND id IN "+in, value(t), fence, arg)
		if err == nil && n != int64(len(ids)) {
			err = wrap(store.ErrFenced, "%d of %d entries are not leased with fence %d", int64(len(ids))-n, len(ids), fence)
		}
		return err
	})
}
