package sqlstore

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// openTest opens a store in a folder that goes with the test.
func openTest(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := openStore(t, Options{Dir: dir})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

func openStore(t testing.TB, o Options) (*Store, error) {
	s, err := Open(t.Context(), o)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s, nil
}

// makeAccount makes a domain with one account.
func makeAccount(t testing.TB, s store.Directory, login, domain string) mailbox.AccountID {
	t.Helper()
	var id mailbox.AccountID
	err := s.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		v, err := tx.View()
		if err != nil {
			return store.Audit{}, err
		}
		d := store.Domain{Name: domain, Created: time.Unix(1e9, 0)}
		for _, have := range v.Domains {
			if have.Name == domain {
				d = have
			}
		}
		if err := tx.PutDomain(&d); err != nil {
			return store.Audit{}, err
		}
		a := store.Account{Domain: d.ID, Login: login + "@" + domain, Created: time.Unix(1e9, 0)}
		err = tx.PutAccount(&a)
		id = a.ID
		return store.Audit{Command: "account.create", Object: a.Login}, err
	})
	if err != nil {
		t.Fatalf("account %s@%s: %v", login, domain, err)
	}
	return id
}

// letterFor is an accept as one of 12 KiB makes it: with prefix, envelope,
// structure and trace of usual sizes.
func letterFor(at time.Time, accounts ...mailbox.AccountID) *store.Accept {
	id := blob.NewID(at)
	a := &store.Accept{
		ID:      mail.NewID(at),
		Blob:    store.NewBlob{ID: id, At: blob.Location{Unit: "2026/000001.pack", Offset: 4096, Length: 12500}, Size: 12288, SHA256: sha256.Sum256(id[:])},
		Trace:   &store.TraceRecord{Body: bytes.Repeat([]byte("trace "), 90), Keys: []string{"ana@example.org", "bob@example.net", "192.0.2.1", fmt.Sprintf("<%s@example.net>", id)}},
		Confirm: []store.ConfirmKey{store.ConfirmKey(id)},
	}
	a.Trace.ID = a.ID
	for _, acc := range accounts {
		a.Deliveries = append(a.Deliveries, store.Delivery{
			Account: acc, Target: store.Target{Role: mailbox.Inbox},
			Prefix:   bytes.Repeat([]byte("Received: x\r\n"), 50),
			Envelope: bytes.Repeat([]byte("e"), 300), Structure: bytes.Repeat([]byte("s"), 150),
			Preview: "Dear Ana, this is what the letter begins with, as far as a list of letters shows it.",
			Sent:    at, InternalDate: at,
		})
	}
	return a
}
