package sqlstore

import (
	"fmt"
	"testing"
	"time"

	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// A deletion that was broken off after its first transaction is finished by the
// next Doom, and the blobs go with it.
func TestDeletionIsResumed(t *testing.T) {
	s := openTest(t, t.TempDir())
	ana := makeAccount(t, s, "ana", "example.org")
	m, err := s.CreateMailbox(t.Context(), ana, "old", mailbox.None)
	if err != nil {
		t.Fatal(err)
	}
	fillMailbox(t, s, ana, m.ID, 2*step+1)
	if _, _, err := s.Expunge(t.Context(), ana, m.ID, []mailbox.UID{1, 2}, false); err != nil {
		t.Fatal(err)
	}
	if err := s.main.write(t.Context(), func(t *tx) error { return detachMailbox(t, ana, m.ID) }); err != nil {
		t.Fatal(err)
	}
	if octets, messages, _, err := s.Usage(t.Context(), ana); octets != 0 || messages != 0 || err != nil {
		t.Errorf("Usage = %d, %d, %v", octets, messages, err)
	}
	again, err := s.CreateMailbox(t.Context(), ana, "old", mailbox.None)
	if err != nil || again.UIDValidity <= m.UIDValidity {
		t.Errorf("the same name again: %+v, %v", again, err)
	}
	if n, err := s.Doom(t.Context(), 1000); n != 5 || err != nil {
		t.Errorf("Doom = %d, %v; want 5", n, err)
	}
	var left int
	err = s.main.read(t.Context(), func(t *tx) error {
		return t.row("SELECT (SELECT COUNT(*) FROM placement) + (SELECT COUNT(*) FROM email) + (SELECT COUNT(*) FROM mailbox WHERE id = $1)", m.ID).scan(&left)
	})
	if left != 0 || err != nil {
		t.Errorf("%d rows are left, %v", left, err)
	}
	if err := s.Verify(t.Context(), func(b store.Breach) { t.Errorf("%s: %s", b.Invariant, b.Detail) }); err != nil {
		t.Error(err)
	}
}

// fillMailbox places n messages, 100 on each blob.
func fillMailbox(t testing.TB, s *Store, a mailbox.AccountID, m mailbox.ID, n int) {
	t.Helper()
	for n > 0 {
		accept := letterFor(time.Now())
		accept.Deliveries = nil
		for range min(n, 100) {
			accept.Deliveries = append(accept.Deliveries, store.Delivery{Account: a, Target: store.Target{ID: m},
				Envelope: make([]byte, 400), Structure: make([]byte, 300), Prefix: make([]byte, 300)})
		}
		n -= len(accept.Deliveries)
		if _, err := s.Accept(t.Context(), accept); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkMailbox is what clients do with a large mailbox.
func BenchmarkMailbox(b *testing.B) {
	const total = 50_000
	s := openTest(b, b.TempDir())
	ana := makeAccount(b, s, "ana", "example.org")
	boxes, err := s.ListMailboxes(b.Context(), ana)
	if err != nil {
		b.Fatal(err)
	}
	var inbox mailbox.Mailbox
	for _, m := range boxes {
		if m.Role == mailbox.Inbox {
			inbox = m
		}
	}
	fillMailbox(b, s, ana, inbox.ID, total)
	uids, _, err := s.UIDs(b.Context(), ana, inbox.ID)
	if err != nil {
		b.Fatal(err)
	}
	each := func(name string, f func() (int, error)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				got, err := f()
				if err != nil {
					b.Fatal(err)
				}
				n += got
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(n, 1)), "ns/message")
		})
	}
	each("uids", func() (int, error) {
		uids, _, err := s.UIDs(b.Context(), ana, inbox.ID)
		return len(uids), err
	})
	each("flags", func() (int, error) {
		got, err := s.Fetch(b.Context(), ana, inbox.ID, store.FetchQuery{From: total / 2})
		return len(got), err
	})
	each("envelopes", func() (int, error) {
		got, err := s.Fetch(b.Context(), ana, inbox.ID, store.FetchQuery{From: total / 2, Want: store.WantEnvelope | store.WantBytes})
		return len(got), err
	})
	mode := store.Remove
	each("store", func() (int, error) {
		mode = store.Add + store.Remove - mode
		got, _, err := s.SetFlags(b.Context(), ana, inbox.ID, uids[:5000], store.FlagOp{Mode: mode, Flags: mailbox.Flagged}, 0)
		return max(len(got), 1), err
	})
	each("nothing new", func() (int, error) {
		high, err := s.ModSeq(b.Context(), ana)
		if err == nil {
			_, _, err = s.Changes(b.Context(), ana, inbox.ID, high, 0)
		}
		return 1, err
	})
	each("copy", func() (int, error) {
		from, _, err := s.Copy(b.Context(), ana, inbox.ID, uids[:1000], boxes[1].ID)
		return len(from), err
	})
}

// BenchmarkQueue claims and finishes one recipient of many that wait, most of
// them for one domain that is full.
func BenchmarkQueue(b *testing.B) {
	for _, waiting := range []int{100, 20_000} {
		b.Run(fmt.Sprint("waiting=", waiting), func(b *testing.B) {
			s := openTest(b, b.TempDir())
			past := time.Now().Add(-time.Hour)
			for range waiting / 100 {
				e := store.Enqueue{ReversePath: "ana@example.org"}
				for range 100 {
					e.Recipients = append(e.Recipients, store.QueueTo{Address: "u@slow.example", Domain: "slow.example", Due: past})
				}
				enqueueForBench(b, s, e)
			}
			if _, err := s.ClaimQueue(b.Context(), "node", 500, 1, time.Hour); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				d := fmt.Sprintf("d%d.example", i%50)
				enqueueForBench(b, s, store.Enqueue{Recipients: []store.QueueTo{{Address: "u@" + d, Domain: d}}})
				got, err := s.ClaimQueue(b.Context(), "node", 20, 1, time.Minute)
				if err != nil || len(got) != 1 {
					b.Fatalf("claimed %d, %v", len(got), err)
				}
				if err := s.FinishQueue(b.Context(), store.Finish{Attempts: []store.Attempt{{Entry: got[0].ID, Fence: got[0].Fence, State: store.Done}}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func enqueueForBench(b *testing.B, s *Store, e store.Enqueue) {
	b.Helper()
	a := letterFor(time.Now())
	_, err := s.Accept(b.Context(), &store.Accept{ID: mail.NewID(time.Now()), Blob: a.Blob, Enqueues: []store.Enqueue{e}})
	if err != nil {
		b.Fatal(err)
	}
}
