package sqlstore

import (
	"strings"

	"posta/internal/store"
)

// enqueue writes one group for each Enqueue and one entry for each recipient.
func enqueue(t *tx, a *store.Accept) error {
	for i := range a.Enqueues {
		e := &a.Enqueues[i]
		group, err := t.id(seqGroup)
		if err != nil {
			return err
		}
		if err := t.later(nil, `INSERT INTO queue_group (id, accept, blob, reverse_path, prefix, skip, envid, options, seal, account, expires, created, waiting)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
			group, a.ID, a.Blob.ID, e.ReversePath, e.Prefix, e.Skip, e.EnvID, queueOptions(e), e.Seal, e.Account, e.Expires, t.now(), len(e.Recipients)); err != nil {
			return err
		}
		for j := range e.Recipients {
			if err := enqueueFor(t, group, e.Held, &e.Recipients[j]); err != nil {
				return err
			}
		}
		t.wake(0)
	}
	return nil
}

func enqueueFor(t *tx, group int64, held bool, to *store.QueueTo) error {
	id, err := t.id(seqEntry)
	if err != nil {
		return err
	}
	state := store.Ready
	if held {
		state = store.Held
	}
	due := micros(to.Due)
	if due == 0 {
		due = t.now()
	}
	return t.later(nil, `INSERT INTO queue_entry (id, grp, address, domain, original, notify, kind, state, due, leased, node, fence, sending, attempts, delayed, last, last_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, '', 0, 0, 0, 0, '', 0)`,
		id, group, to.Address, to.Domain, to.Original, to.Notify, to.Kind, state, due)
}

// addJobs inserts jobs; one whose key waits already is passed over.
func addJobs(t *tx, jobs []store.Job) error {
	for i := range jobs {
		if _, err := addJob(t, &jobs[i]); err != nil {
			return err
		}
	}
	return nil
}

// packTerms gives the terms column: search keys, parted by LF.
func packTerms(keys []string) string { return strings.Join(keys, "\n") }

// unpackTerms is the inverse.
func unpackTerms(terms string) []string {
	if terms == "" {
		return nil
	}
	return strings.Split(terms, "\n")
}
