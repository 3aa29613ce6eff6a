package sqlstore

import (
	"context"
	"errors"
	"slices"

	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// Accept implements store.Acceptor. Everything that can be refused is looked at
// before the first write: see sqliteWriter.apply.
func (s *Store) Accept(ctx context.Context, a *store.Accept) ([]store.Placed, error) {
	words, err := checkAccept(a)
	if err != nil {
		return nil, err
	}
	var placed []store.Placed
	read := s.confirmed.take()
	err = s.main.write(ctx, func(t *tx) (err error) {
		if placed, err = s.accept(t, a, words); err == nil && a.Trace != nil {
			t.afterCommit(func() { s.trail.accepted(a.ID, a.Trace.Keys) })
		}
		if err == nil {
			err = dropConfirmed(t, read)
		}
		return err
	})
	if err != nil {
		s.confirmed.put(read)
		return nil, err
	}
	s.unconfirmed.remove(read)
	if a.Unread {
		s.unconfirmed.add(a.Confirm, micros(s.clock()))
	}
	return placed, nil
}

// checkAccept finds the caller's mistakes and packs the keywords of each delivery.
func checkAccept(a *store.Accept) (words []string, err error) {
	if a.Blob.ID.IsZero() && len(a.Deliveries)+len(a.Enqueues) > 0 {
		return nil, wrap(store.ErrInvalid, "accept %s delivers no blob", a.ID)
	}
	if a.ID.IsZero() && (a.Trace != nil || len(a.Confirm) > 0 || len(a.Enqueues) > 0) {
		return nil, wrap(store.ErrInvalid, "an accept without an id cannot be traced, confirmed or queued")
	}
	if a.Step != nil && (a.Trace != nil || len(a.Confirm) > 0 || a.Blob.At.Unit != "") {
		return nil, wrap(store.ErrInvalid, "a step of accept %s brings what only the accept itself may", a.ID)
	}
	words = make([]string, len(a.Deliveries))
	for i := range a.Deliveries {
		d := &a.Deliveries[i]
		if d.Skip < 0 || d.Skip > a.Blob.Size {
			return nil, wrap(store.ErrInvalid, "delivery %d skips %d of %d octets", i, d.Skip, a.Blob.Size)
		}
		if words[i], err = packKeywords(d.Keywords); err != nil {
			return nil, err
		}
	}
	for i := range a.Enqueues {
		if e := &a.Enqueues[i]; len(e.Recipients) == 0 || e.Skip < 0 || e.Skip > a.Blob.Size {
			return nil, wrap(store.ErrInvalid, "enqueue %d has %d recipients and skips %d octets", i, len(e.Recipients), e.Skip)
		}
	}
	return words, checkHolds(a)
}

// accept is the transaction.
func (s *Store) accept(t *tx, a *store.Accept, words []string) ([]store.Placed, error) {
	if err := lookHeld(t, a); err != nil {
		return nil, err
	}
	targets, err := findTargets(t, a)
	if err == nil {
		err = s.stepJob(t, a)
	}
	if err != nil {
		return nil, err
	}
	steps := []struct {
		name string
		do   func() error
	}{
		{"store.accept.record", func() error { return s.recordAccept(t, a) }},
		{"store.accept.blob", func() error { return insertBlob(t, a) }},
		{"store.accept.deliver", nil}, // below: it has a result
		{"store.accept.enqueue", func() error { return enqueue(t, a) }},
		{"store.accept.hold", func() error { return holdMail(t, a) }},
		{"store.accept.jobs", func() error { return addJobs(t, a.Jobs) }},
		{"store.accept.finish", func() error { return s.finishFor(t, a) }},
	}
	var placed []store.Placed
	for _, step := range steps {
		if err := s.fail.Hit(step.name); err != nil {
			return nil, mapFailpoint(err)
		}
		if step.do == nil {
			placed, err = deliver(t, a, targets, words)
		} else {
			err = step.do()
		}
		if err != nil {
			return nil, err
		}
	}
	return placed, nil
}

// recordAccept writes the row that says the accept was committed; ErrExists when
// it was before.
func (s *Store) recordAccept(t *tx, a *store.Accept) error {
	if a.ID.IsZero() || a.Step != nil || a.Release != nil {
		return nil
	}
	if a.Unread {
		if err := insertUnconfirmed(t, a.ID, a.Confirm, t.now()); err != nil {
			return err
		}
	}
	var body []byte
	var terms string
	if a.Trace != nil {
		body, terms = a.Trace.Body, packTerms(a.Trace.Keys)
	}
	confirm := make([]byte, 0, 16*len(a.Confirm))
	for _, k := range a.Confirm {
		confirm = append(confirm, k[:]...)
	}
	check := func(n int64) error { return taken(n, nil, "accept %s", a.ID) }
	return t.later(check, "INSERT INTO accepted (id, confirm, terms, body) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING", a.ID, confirm, terms, body)
}

// finishFor ends the queue work that this message answers, or what was held.
func (s *Store) finishFor(t *tx, a *store.Accept) error {
	if a.FinishQueue != nil {
		if err := finishQueue(t, a.FinishQueue); err != nil {
			return err
		}
	}
	if err := tellHeld(t, a); err != nil {
		return err
	}
	return s.endHeld(t, a)
}

// insertBlob makes the blob's row; one without a place must exist already.
func insertBlob(t *tx, a *store.Accept) error {
	b := &a.Blob
	switch {
	case b.ID.IsZero():
		return nil
	case b.At.Unit == "":
		var doomed int64
		if err := t.row("SELECT doomed FROM blob WHERE id = $1"+t.lock(), b.ID).scan(&doomed); err != nil {
			return wrap(err, "blob %s", b.ID)
		} else if doomed != 0 {
			return wrap(store.ErrNotFound, "blob %s is doomed", b.ID)
		}
		return nil
	}
	check := func(n int64) error { return taken(n, nil, "blob %s", b.ID) }
	err := t.later(check, "INSERT INTO blob (id, unit, at, length, size, sha256, doomed) VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (id) DO NOTHING",
		b.ID, b.At.Unit, b.At.Offset, b.At.Length, b.Size, b.SHA256)
	if err != nil {
		return err
	}
	if len(a.Deliveries)+len(a.Enqueues)+len(a.Holds) == 0 {
		return loosen(t, b.ID)
	}
	return nil
}

// deliver places the message.
func deliver(t *tx, a *store.Accept, targets []mailbox.ID, words []string) ([]store.Placed, error) {
	placed := make([]store.Placed, len(a.Deliveries))
	for i := range a.Deliveries {
		d := &a.Deliveries[i]
		acc, b, err := t.mailboxOf(d.Account, targets[i])
		if err != nil {
			return nil, err
		}
		if a.Release != nil {
			if has, err := t.hasBlob(acc.id, a.Blob.ID); err != nil {
				return nil, err
			} else if has {
				placed[i].Account = acc.id
				continue
			}
		}
		n, err := t.id(seqEmail)
		if err != nil {
			return nil, err
		}
		size := int64(len(d.Prefix)) + a.Blob.Size - d.Skip
		if err := t.later(nil, `INSERT INTO email (id, account, thread, blob, skip, size, sent, preview, prefix, envelope, structure)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			n, d.Account, n, a.Blob.ID, d.Skip, size, d.Sent, d.Preview, d.Prefix, d.Envelope, d.Structure); err != nil {
			return nil, err
		}
		m := &message{words: words[i]}
		m.Flags, m.Size, m.InternalDate = d.Flags, size, d.InternalDate
		if m.InternalDate.IsZero() {
			m.InternalDate = moment(t.now())
		}
		uid, err := settle(t, acc, b, m, mailbox.EmailID(n))
		if err != nil {
			return nil, err
		}
		acc.messages++
		acc.octets += size
		t.wake(acc.id)
		placed[i] = store.Placed{Account: acc.id, Mailbox: b.id, UIDValidity: b.uidvalidity, UID: uid, Email: mailbox.EmailID(n), ModSeq: b.highmodseq}
	}
	return placed, nil
}

// Accepted implements store.Acceptor. The transaction in question may still be on
// its way to its end in PostgreSQL, after its connection is lost. An insert of the
// same key waits for that end; a look would not.
func (s *Store) Accepted(ctx context.Context, id mail.ID) (yes bool, err error) {
	undo := errors.New("only looked")
	err = s.main.write(ctx, func(t *tx) error {
		var n int64
		if err := t.row("SELECT COUNT(*) FROM accepted WHERE id = $1", id).scan(&n); err != nil {
			return err
		}
		if yes = n == 1; yes || t.lock() == "" {
			return nil
		}
		n, err := t.exec("INSERT INTO accepted (id, confirm, terms, body) VALUES ($1, $2, '', $3) ON CONFLICT (id) DO NOTHING", id, []byte{}, []byte{})
		if err != nil {
			return err
		}
		yes = n == 0
		return undo
	})
	if errors.Is(err, undo) {
		err = nil
	}
	return yes, err
}

// accountsOf lists the accounts of the deliveries, ascending: the order of locks.
func accountsOf(a *store.Accept) []mailbox.AccountID {
	ids := make([]mailbox.AccountID, len(a.Deliveries))
	for i := range a.Deliveries {
		ids[i] = a.Deliveries[i].Account
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
