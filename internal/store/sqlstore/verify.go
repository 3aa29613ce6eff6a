package sqlstore

import (
	"context"
	"fmt"
	"slices"

	"posta/internal/store"
)

// invariant is something that always holds in committed data. Its query selects
// one text for each row that breaks it.
type invariant struct {
	id    string
	query string
}

// maxBreaches bounds how many breaches of one invariant are reported.
const maxBreaches = 100

// Verify implements store.Store. Each invariant is checked over a snapshot of its
// own, so that no read lasts longer than it must.
func (s *Store) Verify(ctx context.Context, report func(store.Breach)) error {
	if err := s.main.verify(ctx, report); err != nil {
		return err
	}
	for _, inv := range slices.Concat(directoryInvariants(), accessInvariants(), mailInvariants(), queueInvariants(), heldInvariants()) {
		var found []string
		err := s.main.read(ctx, func(t *tx) (err error) {
			found, err = collect(t, one[string], inv.query+" LIMIT $1", maxBreaches)
			return err
		})
		if err != nil {
			return fmt.Errorf("checking %s: %w", inv.id, err)
		}
		for _, detail := range found {
			report(store.Breach{Invariant: inv.id, Detail: detail})
		}
	}
	return nil
}

func directoryInvariants() []invariant {
	return []invariant{
		{"account.domain", `SELECT 'account ' || a.login || ' is in no domain' FROM account a
			LEFT JOIN domain d ON d.id = a.domain WHERE d.id IS NULL`},
		{"account.ledger", `SELECT 'account ' || a.login || ' has no ledger' FROM account a
			LEFT JOIN ledger l ON l.account = a.id WHERE l.account IS NULL`},
		{"account.quota", `SELECT 'quota of ' || a.login || ' is ' || a.quota || ', its ledger says ' || l.quota FROM account a
			JOIN ledger l ON l.account = a.id WHERE l.quota <> a.quota`},
		{"ledger.account", `SELECT 'ledger ' || l.account || ' has no account' FROM ledger l
			LEFT JOIN account a ON a.id = l.account WHERE a.id IS NULL`},
		{"address.account", `SELECT 'address ' || x.local || ' of domain ' || x.domain || ' leads to no account' FROM address x
			LEFT JOIN account a ON a.id = x.account WHERE x.kind = 0 AND a.id IS NULL`},
		{"address.domain", `SELECT 'address ' || x.local || ' is in no domain' FROM address x
			LEFT JOIN domain d ON d.id = x.domain WHERE d.id IS NULL`},
		{"key.domain", `SELECT 'key ' || k.selector || ' is of no domain' FROM dkim_key k
			LEFT JOIN domain d ON d.id = k.domain WHERE d.id IS NULL`},
		{"email.blob", `SELECT 'email ' || e.id || ' has no blob that is alive' FROM email e
			LEFT JOIN blob b ON b.id = e.blob AND b.doomed = 0 WHERE b.id IS NULL`},
		{"queue.blob", `SELECT 'queue group ' || g.id || ' has no blob that is alive' FROM queue_group g
			LEFT JOIN blob b ON b.id = g.blob AND b.doomed = 0 WHERE b.id IS NULL`},
		{"job.blob", `SELECT 'job ' || j.name || ' has no blob that is alive' FROM job j
			LEFT JOIN blob b ON b.id = j.blob AND b.doomed = 0 WHERE LENGTH(j.blob) > 0 AND b.id IS NULL`},
		{"blob.leak", `SELECT 'blob at ' || b.unit || ' ' || b.at || ' is referred to by nothing' FROM blob b
			WHERE b.doomed = 0 AND NOT EXISTS (SELECT 1 FROM email e WHERE e.blob = b.id)
			AND NOT EXISTS (SELECT 1 FROM queue_group g WHERE g.blob = b.id)
			AND NOT EXISTS (SELECT 1 FROM job j WHERE j.blob = b.id)
			AND NOT EXISTS (SELECT 1 FROM held h WHERE h.blob = b.id)
			AND NOT EXISTS (SELECT 1 FROM loose_blob l WHERE l.blob = b.id)`},
	}
}
