package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"math"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// maxPage is the most rows of one answer.
const maxPage = 1000

func page(limit int) int {
	if limit <= 0 || limit > maxPage {
		return maxPage
	}
	return limit
}

// The states of a placement.
const (
	placed   = 0
	expunged = 1
	heldBack = 2
)

// owned checks in a read transaction that the mailbox is the account's, and
// gives its floor.
func owned(t *tx, a mailbox.AccountID, m mailbox.ID) (floor mailbox.ModSeq, err error) {
	err = t.row("SELECT floor FROM mailbox WHERE id = $1 AND account = $2", m, a).scan(&floor)
	if errors.Is(err, store.ErrNotFound) {
		err = wrap(err, "mailbox %d", m)
	}
	return floor, err
}

// UIDs implements store.Mailboxes.
func (s *Store) UIDs(ctx context.Context, a mailbox.AccountID, m mailbox.ID) (uids []mailbox.UID, high mailbox.ModSeq, err error) {
	err = s.main.read(ctx, func(t *tx) (err error) {
		if _, err = owned(t, a, m); err != nil {
			return err
		}
		if high, _, err = ledger(t, a); err != nil {
			return err
		}
		uids, err = collect(t, one[mailbox.UID], "SELECT uid FROM placement WHERE mailbox = $1 AND state = 0 ORDER BY uid", m)
		return err
	})
	return uids, high, err
}

const messageColumns = "p.mailbox, p.uid, p.modseq, p.email, p.flags, p.keywords, p.size, p.received, p.saved, p.state"

// message is a row of messageColumns.
type message struct {
	mailbox.Message
	words string
	state int
}

func (m *message) targets() []any {
	return []any{&m.Mailbox, &m.UID, &m.ModSeq, &m.Email, &m.Flags, &m.words, &m.Size, &m.InternalDate, &m.SaveDate, &m.state}
}

func (m *message) finish() mailbox.Message {
	m.Keywords = unpackKeywords(m.words)
	m.Expunged = m.state == expunged
	return m.Message
}

func scanMessage(r *rows, m *message) error {
	if err := r.scan(m.targets()...); err != nil {
		return err
	}
	m.finish()
	return nil
}

// Fetch implements store.Mailboxes.
func (s *Store) Fetch(ctx context.Context, a mailbox.AccountID, m mailbox.ID, q store.FetchQuery) ([]store.Stored, error) {
	if len(q.UIDs) > maxPage {
		return nil, wrap(store.ErrInvalid, "Fetch of %d UIDs; %d at most", len(q.UIDs), maxPage)
	}
	to := q.To
	if to == 0 {
		to = math.MaxUint32
	}
	var out []store.Stored
	err := s.main.read(ctx, func(t *tx) (err error) {
		if _, err = owned(t, a, m); err != nil {
			return err
		}
		out, err = fetchPage(t, m, q, to)
		return err
	})
	return out, err
}

func fetchPage(t *tx, m mailbox.ID, q store.FetchQuery, to mailbox.UID) ([]store.Stored, error) {
	columns, from := fetchColumns(q.Want)
	args := []any{m, q.From, to, page(q.Limit)}
	where := " WHERE p.mailbox = $1 AND p.uid >= $2 AND p.uid <= $3 AND p.state = 0"
	if q.UIDs != nil {
		in, arg := t.in(5, numbers(q.UIDs))
		where += " AND p.uid IN " + in
		args = append(args, arg)
	}
	scan := func(r *rows, s *store.Stored) error { return scanStored(r, s, q.Want) }
	return collect(t, scan, "SELECT "+columns+" FROM placement p"+from+where+" ORDER BY p.uid LIMIT $4", args...)
}

// fetchColumns says what to read, so that flags alone never touch the rows of
// emails. The envelope comes with its neighbours; only the structure, which is
// long, is left out when nobody asked.
func fetchColumns(w store.Want) (columns, from string) {
	columns = messageColumns
	if w == 0 {
		return columns, ""
	}
	columns += ", e.thread, e.sent, e.preview, e.skip"
	from = " JOIN email e ON e.id = p.email"
	if w&store.WantBytes != 0 {
		columns += ", e.prefix, b.id, b.unit, b.at, b.length, b.size, b.sha256, b.doomed"
		from += " JOIN blob b ON b.id = e.blob"
	}
	if w&store.WantEnvelope != 0 {
		columns += ", e.envelope"
	}
	if w&store.WantStructure != 0 {
		columns += ", e.structure"
	}
	return columns, from
}

func scanStored(r *rows, s *store.Stored, w store.Want) error {
	var m message
	dest := m.targets()
	if w != 0 {
		dest = append(dest, &s.Thread, &s.Sent, &s.Preview, &s.Skip)
	}
	if w&store.WantBytes != 0 {
		dest = append(append(dest, &s.Prefix), blobTargets(&s.Blob)...)
	}
	if w&store.WantEnvelope != 0 {
		dest = append(dest, &s.Envelope)
	}
	if w&store.WantStructure != 0 {
		dest = append(dest, &s.Structure)
	}
	if err := r.scan(dest...); err != nil {
		return err
	}
	s.Message = m.finish()
	// The driver's memory is used again for the next row.
	s.Prefix, s.Envelope, s.Structure = bytes.Clone(s.Prefix), bytes.Clone(s.Envelope), bytes.Clone(s.Structure)
	return nil
}

// blobTargets are where the columns id, unit, at, length, size, sha256, doomed go.
func blobTargets(b *store.BlobRef) []any {
	return []any{&b.ID, &b.At.Unit, &b.At.Offset, &b.At.Length, &b.Size, &b.SHA256, &b.Doomed}
}

// Changes implements store.Mailboxes.
func (s *Store) Changes(ctx context.Context, a mailbox.AccountID, m mailbox.ID, since mailbox.ModSeq, limit int) (ch []mailbox.Message, floor mailbox.ModSeq, err error) {
	err = s.main.read(ctx, func(t *tx) error {
		if floor, err = owned(t, a, m); err != nil {
			return err
		}
		found, err := collect(t, scanMessage, "SELECT "+messageColumns+" FROM placement p WHERE p.mailbox = $1 AND p.modseq > $2 AND p.state <> 2 ORDER BY p.modseq LIMIT $3",
			m, since, page(limit))
		ch = make([]mailbox.Message, len(found))
		for i := range found {
			ch[i] = found[i].Message
		}
		return err
	})
	return ch, floor, err
}

// numbers turns ids of any kind into what tx.in takes.
func numbers[T ~int64 | ~uint32](ids []T) []int64 {
	out := make([]int64, len(ids))
	for i, id := range ids {
		out[i] = int64(id)
	}
	return out
}
