package storetest

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// epoch is the moment at which the letters of the tests were written.
var epoch = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// person makes an account in a domain of its own, so that tests which share a
// store do not meet.
func person(t testing.TB, s store.Store, quota int64) mailbox.AccountID {
	t.Helper()
	var id mailbox.AccountID
	name := mail.NewID(time.Now()).String() + ".example"
	err := s.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		d := store.Domain{Name: name, Created: epoch}
		if err := tx.PutDomain(&d); err != nil {
			return store.Audit{}, err
		}
		a := store.Account{Domain: d.ID, Login: "ana@" + name, Name: "Ana", Quota: quota, Created: epoch}
		if err := tx.PutAccount(&a); err != nil {
			return store.Audit{}, err
		}
		id = a.ID
		return store.Audit{At: epoch, Principal: "system", Command: "account.create", Object: a.Login}, nil
	})
	if err != nil {
		t.Fatalf("making an account: %v", err)
	}
	return id
}

// letter is the row of a blob of that many octets; its bytes are nowhere.
func letter(size int64) store.NewBlob {
	id := blob.NewID(time.Now())
	return store.NewBlob{ID: id, At: blob.Location{Unit: "test/0", Offset: 512, Length: size + 80}, Size: size, SHA256: sha256.Sum256(id[:])}
}

// into is a plain delivery.
func into(a mailbox.AccountID, to store.Target) store.Delivery {
	return store.Delivery{
		Account: a, Target: to, Prefix: []byte("Return-Path: <bob@example.net>\r\n"),
		InternalDate: epoch, Sent: epoch.Add(-time.Minute),
		Envelope: []byte("envelope"), Structure: []byte("structure"), Preview: "Dear Ana",
	}
}

// send accepts one letter for the deliveries.
func send(t testing.TB, s store.Store, size int64, ds ...store.Delivery) []store.Placed {
	t.Helper()
	placed, err := s.Accept(t.Context(), &store.Accept{ID: mail.NewID(time.Now()), Blob: letter(size), Deliveries: ds})
	if err != nil {
		t.Fatalf("Accept: %v", err)
	}
	if len(placed) != len(ds) {
		t.Fatalf("Accept of %d deliveries placed %d", len(ds), len(placed))
	}
	return placed
}

// named finds a mailbox by name.
func named(t testing.TB, s store.Store, a mailbox.AccountID, name string) mailbox.Mailbox {
	t.Helper()
	all, err := s.ListMailboxes(t.Context(), a)
	if err != nil {
		t.Fatalf("ListMailboxes: %v", err)
	}
	i := slices.IndexFunc(all, func(m mailbox.Mailbox) bool { return m.Name == name })
	if i < 0 {
		t.Fatalf("no mailbox %q among %d", name, len(all))
	}
	return all[i]
}

// sound fails the test for every invariant that does not hold.
func sound(t testing.TB, s store.Store) {
	t.Helper()
	if err := s.Verify(t.Context(), func(b store.Breach) { t.Errorf("invariant %s: %s", b.Invariant, b.Detail) }); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

// sameWords compares keywords, whose order and case of letters mean nothing.
func sameWords(a, b []string) bool {
	fold := func(in []string) []string {
		out := make([]string, len(in))
		for i, w := range in {
			out[i] = strings.ToLower(w)
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return slices.Equal(fold(a), fold(b))
}

// fetchAll reads a mailbox in pages of the size given.
func fetchAll(t testing.TB, s store.Store, a mailbox.AccountID, m mailbox.ID, want store.Want, page int) []store.Stored {
	t.Helper()
	var out []store.Stored
	from := mailbox.UID(1)
	for {
		got, err := s.Fetch(t.Context(), a, m, store.FetchQuery{From: from, Limit: page, Want: want})
		if err != nil {
			t.Fatalf("Fetch: %v", err)
		}
		out = append(out, got...)
		if len(got) < page {
			return out
		}
		from = got[len(got)-1].UID + 1
	}
}

// changesAll reads all changes in pages of the size given.
func changesAll(t testing.TB, s store.Store, a mailbox.AccountID, m mailbox.ID, since mailbox.ModSeq, page int) ([]mailbox.Message, mailbox.ModSeq) {
	t.Helper()
	var out []mailbox.Message
	for {
		got, floor, err := s.Changes(t.Context(), a, m, since, page)
		if err != nil {
			t.Fatalf("Changes: %v", err)
		}
		for _, ch := range got {
			if ch.ModSeq <= since {
				t.Fatalf("Changes above %d gave MODSEQ %d, or out of order", since, ch.ModSeq)
			}
			since = ch.ModSeq
		}
		out = append(out, got...)
		if len(got) < page {
			return out, floor
		}
	}
}
