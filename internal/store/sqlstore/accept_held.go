package sqlstore

import (
	"encoding/json"
	"strings"

	"posta/internal/blob"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// checkHolds finds the caller's mistakes in what an accept has to do with held mail.
func checkHolds(a *store.Accept) error {
	if len(a.Holds) > 0 && (a.ID.IsZero() && a.Trace != nil || a.Blob.ID.IsZero()) {
		return wrap(store.ErrInvalid, "accept %s holds no blob", a.ID)
	}
	for i := range a.Holds {
		if h := &a.Holds[i]; h.Recipient == "" || h.Stored.Skip < 0 || h.Stored.Skip > a.Blob.Size {
			return wrap(store.ErrInvalid, "hold %d is for %q and skips %d of %d octets", i, h.Recipient, h.Stored.Skip, a.Blob.Size)
		}
	}
	if a.Release != nil && (a.Trace != nil || len(a.Confirm) > 0 || a.Blob.At.Unit != "" || a.Blob.ID.IsZero() || len(a.Holds) > 0) {
		return wrap(store.ErrInvalid, "the release of held mail %d brings what only its accept may", a.Release.ID)
	}
	if d := a.Digest; d != nil && (len(d.Held) == 0 || len(d.Held) > store.MaxDigest || d.Until.IsZero()) {
		return wrap(store.ErrInvalid, "a digest of %d held messages", len(d.Held))
	}
	return nil
}

// lookHeld locks the held mail that an accept ends or tells of, and refuses before
// the first write when it is not as the caller thinks.
func lookHeld(t *tx, a *store.Accept) error {
	if r := a.Release; r != nil {
		var b blob.ID
		if err := t.row("SELECT blob FROM held WHERE id = $1"+t.lock(), r.ID).scan(&b); err != nil {
			return wrap(err, "held mail %d", r.ID)
		}
		if b != a.Blob.ID {
			return wrap(store.ErrInvalid, "held mail %d is blob %s, not %s", r.ID, b, a.Blob.ID)
		}
	}
	if d := a.Digest; d != nil {
		in, arg := t.in(1, d.Held)
		// FOR UPDATE goes with no aggregate, so the rows are counted here.
		found, err := collect(t, one[int64], "SELECT id FROM held WHERE told = 0 AND id IN "+in+" ORDER BY id"+t.lock(), arg)
		if err != nil {
			return err
		}
		if len(found) != len(d.Held) {
			return wrap(store.ErrConflict, "a digest of %d held messages, of which %d are there and untold", len(d.Held), len(found))
		}
	}
	return nil
}

// holdMail writes one row for each recipient for whom the message is held.
func holdMail(t *tx, a *store.Accept) error {
	for i := range a.Holds {
		h, d := &a.Holds[i], &a.Holds[i].Stored
		id, err := t.id(seqHeld)
		if err != nil {
			return err
		}
		at := micros(d.InternalDate)
		if at == 0 {
			at = t.now()
		}
		if err := t.later(nil, `INSERT INTO held (id, accept, blob, recipient, forward_path, domain, original, notify, author, subject, reasons, review,
			skip, size, at, told, reviewed, digest, sent, preview, prefix, envelope, structure, reverse_path, outgoing, envid, options, seal, account)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 0, 0, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)`,
			id, a.ID, a.Blob.ID, strings.ToLower(h.Recipient), h.Recipient, h.Domain, h.Original, h.Notify, clean(h.Author), clean(h.Subject), packReasons(h.Reasons), h.Review,
			d.Skip, int64(len(d.Prefix))+a.Blob.Size-d.Skip, at, []byte{}, d.Sent, d.Preview, d.Prefix, d.Envelope, d.Structure,
			h.Out.ReversePath, h.Out.Prefix, h.Out.EnvID, queueOptions(&h.Out), h.Out.Seal, h.Out.Account); err != nil {
			return err
		}
	}
	return nil
}

// packReasons gives the reasons column. Strings cannot fail.
func packReasons(list []store.HoldReason) string {
	out := make([]store.HoldReason, 0, min(len(list), store.MaxHoldReasons))
	for _, r := range list[:min(len(list), store.MaxHoldReasons)] {
		out = append(out, store.HoldReason{Check: r.Check, Seen: clean(r.Seen)})
	}
	b, err := json.Marshal(out)
	if err != nil {
		return "[]"
	}
	return string(b)
}

// hasBlob reports whether an account, whose row is locked, has a message on a blob.
func (t *tx) hasBlob(a mailbox.AccountID, b blob.ID) (bool, error) {
	var n int
	err := t.row("SELECT COUNT(*) FROM email WHERE blob = $1 AND account = $2", b, a).scan(&n)
	return n > 0, err
}

// endHeld removes the held mail that an accept releases, and says so.
func (s *Store) endHeld(t *tx, a *store.Accept) error {
	r := a.Release
	if r == nil {
		return nil
	}
	if err := s.fail.Hit("store.release"); err != nil {
		return mapFailpoint(err)
	}
	gone, err := removeHeld(t, []int64{r.ID}, func(store.HeldMail) store.TraceEvent { return r.Event })
	if err == nil && gone != 1 {
		err = wrap(store.ErrNotFound, "held mail %d", r.ID)
	}
	if err != nil {
		return err
	}
	return writeAudit(t, r.Audit)
}

// tellHeld records a digest and marks what it tells of.
func tellHeld(t *tx, a *store.Accept) error {
	d := a.Digest
	if d == nil {
		return nil
	}
	n, err := t.exec("INSERT INTO digest (token, name, until) VALUES ($1, $2, $3) ON CONFLICT (token) DO NOTHING", d.Key, d.To, d.Until)
	if err := taken(n, err, "digest for %s", d.To); err != nil {
		return err
	}
	in, arg := t.in(3, d.Held)
	_, err = t.exec("UPDATE held SET told = $1, digest = $2 WHERE id IN "+in, t.now(), d.Key, arg)
	return err
}
