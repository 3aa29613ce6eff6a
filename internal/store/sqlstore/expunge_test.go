package sqlstore

import (
	"testing"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// A mailbox forgets its oldest expunged messages above maxTombs, some with each
// expunge, and the floor tells below what.
func TestTombstonesAreCut(t *testing.T) {
	s := openTest(t, t.TempDir())
	ana := makeAccount(t, s, "ana", "example.org")
	inbox := inboxOf(t, s, ana)
	buryMany(t, s, ana, inbox, maxTombs+step)
	fillMailbox(t, s, ana, inbox, 3)
	gone, high, err := s.Expunge(t.Context(), ana, inbox, nil, false)
	if err != nil || len(gone) != 3 {
		t.Fatalf("Expunge took %v, %v", gone, err)
	}
	told, floor := 0, mailbox.ModSeq(0)
	for since := mailbox.ModSeq(0); ; {
		var page []mailbox.Message
		if page, floor, err = s.Changes(t.Context(), ana, inbox, since, 0); err != nil {
			t.Fatal(err)
		}
		for _, ch := range page {
			if !ch.Expunged || ch.ModSeq <= floor || ch.ModSeq <= since {
				t.Fatalf("change %+v after %d, the floor is %d", ch, since, floor)
			}
			since = ch.ModSeq
		}
		told += len(page)
		if len(page) < maxPage {
			if since != high {
				t.Errorf("the last change has MODSEQ %d, the expunge said %d", since, high)
			}
			break
		}
	}
	if told != maxTombs || floor == 0 {
		t.Errorf("%d are told, the floor is %d; want %d", told, floor, maxTombs)
	}
	checkSound(t, s)
}

// buryMany makes tombstones as if so many messages had been expunged.
func buryMany(t *testing.T, s *Store, a mailbox.AccountID, m mailbox.ID, n int) {
	t.Helper()
	err := s.main.write(t.Context(), func(t *tx) error {
		acc, b, err := t.mailboxOf(a, m)
		if err != nil {
			return err
		}
		_, err = t.exec(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1)
			INSERT INTO placement (mailbox, uid, modseq, email, state, flags, size, received, saved, keywords)
			SELECT $2, $3 + i, $4 + i, 0, 1, 0, 0, 0, 0, '' FROM n`, n, m, b.uidnext, acc.modseq+1)
		b.uidnext += mailbox.UID(n)
		b.tombs += int64(n)
		acc.modseq += mailbox.ModSeq(n)
		b.highmodseq = acc.modseq
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Each invariant of mail and queue is seen when it is broken.
func TestVerifySees(t *testing.T) {
	for invariant, statement := range map[string]string{
		"mailbox.account":   "INSERT INTO mailbox SELECT 999, 999, 'x', 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0",
		"mailbox.inbox":     "UPDATE mailbox SET name = 'elsewhere' WHERE role = 1",
		"mailbox.doomed":    "UPDATE mailbox SET doomed = 1",
		"mailbox.live":      "UPDATE mailbox SET live = live + 1",
		"mailbox.unseen":    "UPDATE mailbox SET unseen = unseen + 1",
		"mailbox.size":      "UPDATE mailbox SET size = size + 1",
		"mailbox.tombs":     "UPDATE mailbox SET tombs = tombs + 1",
		"mailbox.uidnext":   "UPDATE mailbox SET uidnext = 1",
		"mailbox.modseq":    "UPDATE ledger SET modseq = 1",
		"mailbox.floor":     "UPDATE mailbox SET floor = highmodseq + 1",
		"placement.mailbox": "DELETE FROM mailbox WHERE role = 1",
		"placement.modseq":  "UPDATE placement SET modseq = modseq + 100",
		"placement.unique":  "UPDATE placement SET modseq = (SELECT MAX(modseq) FROM placement)",
		"placement.email":   "DELETE FROM email",
		"placement.account": "UPDATE email SET account = account + 1",
		"placement.size":    "UPDATE email SET size = size + 1",
		"placement.tomb":    "UPDATE mailbox SET floor = highmodseq",
		"email.placement":   "UPDATE placement SET state = 1",
		"email.once":        "UPDATE placement SET email = (SELECT MAX(email) FROM placement WHERE state = 0)",
		"ledger.octets":     "UPDATE ledger SET octets = octets + 1",
		"ledger.messages":   "UPDATE ledger SET messages = messages + 1",
		"ledger.validity":   "UPDATE ledger SET validity = 1",
		"queue.group":       "DELETE FROM queue_group",
		"queue.waiting":     "UPDATE queue_group SET waiting = waiting + 1",
		"queue.state":       "UPDATE queue_entry SET state = 2",
		"queue.lease":       "UPDATE queue_entry SET leased = 1, node = ''",
		"job.lease":         "UPDATE job SET node = 'n'",
	} {
		t.Run(invariant, func(t *testing.T) {
			t.Parallel()
			s := openTest(t, t.TempDir())
			ana := makeAccount(t, s, "ana", "example.org")
			fillMailbox(t, s, ana, inboxOf(t, s, ana), 5)
			if _, _, err := s.Expunge(t.Context(), ana, inboxOf(t, s, ana), []mailbox.UID{2, 4}, false); err != nil {
				t.Fatal(err)
			}
			a := letterFor(s.clock())
			a.Enqueues = []store.Enqueue{{Recipients: []store.QueueTo{{Address: "b@example.net", Domain: "example.net"}}}}
			a.Jobs = []store.Job{{Kind: "push"}}
			if _, err := s.Accept(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			checkSound(t, s)
			err := s.main.write(t.Context(), func(t *tx) error {
				_, err := t.exec(statement)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			if err := s.Verify(t.Context(), func(b store.Breach) { seen[b.Invariant] = true }); err != nil || !seen[invariant] {
				t.Errorf("Verify saw %v, %v; want %s", seen, err, invariant)
			}
		})
	}
}
