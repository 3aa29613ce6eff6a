package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// changeDirectory runs one change of the directory and wants the error given.
func changeDirectory(t *testing.T, s store.Store, want error, f func(store.DirectoryTx) error) {
	t.Helper()
	err := s.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		return store.Audit{At: epoch, Principal: "system", Command: "test"}, f(tx)
	})
	if !errors.Is(err, want) || (err != nil) != (want != nil) {
		t.Errorf("ChangeDirectory: %v, want %v", err, want)
	}
}

func testDirectory(t *testing.T, a, b store.Store) {
	d := store.Domain{Name: "example.org", Tenant: 3, Created: epoch}
	ana := store.Account{Login: "ana@example.org", Name: "Ana", Password: "$argon2id$x", Role: store.Owner, Quota: 5 << 30, Created: epoch,
		PasswordSet: epoch.Add(time.Hour), MessagesPerDay: store.NoLimit}
	before, err := a.DirectoryVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	address := store.Address{Local: "ana", Kind: store.ToAccount}
	list := store.Address{Local: "", Kind: store.ToTargets, Targets: []string{"bob@example.net", "ana@example.org"}}
	key := store.DKIMKey{Selector: "2026a", Algorithm: "ed25519", Private: []byte("-----"), Active: true, Created: epoch}
	err = a.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		d.ID, ana.ID = 0, 0
		err := tx.PutDomain(&d)
		ana.Domain, address.Domain, list.Domain, key.Domain = d.ID, d.ID, d.ID, d.ID
		err = errors.Join(err, tx.PutAccount(&ana))
		address.Account = ana.ID
		err = errors.Join(err, tx.PutAddress(address), tx.PutAddress(list), tx.PutKey(key), tx.PutSetting("policy.level", "strict"))
		return store.Audit{At: epoch, Principal: "uid:0", Tenant: 3, Command: "domain.create", Object: "example.org", Before: "", After: `{"name":"example.org"}`}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := b.LoadDirectory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := &store.DirectoryView{
		Version: before + 1, Domains: []store.Domain{d}, Accounts: []store.Account{ana}, Addresses: []store.Address{list, address},
		Keys: []store.DKIMKey{key}, Settings: map[string]string{"policy.level": "strict"},
	}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("the directory is\n%+v, want\n%+v", v, want)
	}
	for _, m := range mailbox.Defaults {
		if got := named(t, b, ana.ID, m.Name); got.Role != m.Role || got.Exists != 0 {
			t.Errorf("the new account's %s is %+v", m.Name, got)
		}
	}
	testDirectoryErrors(t, b, d, ana)
	testAudit(t, a, b)
	sound(t, b)
}

func testDirectoryErrors(t *testing.T, s store.Store, d store.Domain, ana store.Account) {
	for name, test := range map[string]struct {
		want error
		do   func(store.DirectoryTx) error
	}{
		"a domain twice": {store.ErrExists, func(tx store.DirectoryTx) error { return tx.PutDomain(&store.Domain{Name: d.Name}) }},
		"no such domain": {store.ErrNotFound, func(tx store.DirectoryTx) error { return tx.PutDomain(&store.Domain{ID: 1 << 40, Name: "x.example"}) }},
		"a used domain":  {store.ErrConflict, func(tx store.DirectoryTx) error { return tx.DeleteDomain(d.ID) }},
		"a login twice": {store.ErrExists, func(tx store.DirectoryTx) error {
			return tx.PutAccount(&store.Account{Domain: d.ID, Login: ana.Login})
		}},
		"an account without a domain": {store.ErrNotFound, func(tx store.DirectoryTx) error { return tx.PutAccount(&store.Account{Login: "x@y"}) }},
		"no such account": {store.ErrNotFound, func(tx store.DirectoryTx) error {
			return tx.PutAccount(&store.Account{ID: 1 << 40, Domain: d.ID, Login: "x@y"})
		}},
		"an address to nobody": {store.ErrNotFound, func(tx store.DirectoryTx) error {
			return tx.PutAddress(store.Address{Domain: d.ID, Local: "x", Account: 1 << 40})
		}},
		"no such address": {store.ErrNotFound, func(tx store.DirectoryTx) error { return tx.DeleteAddress(d.ID, "nobody") }},
		"no such key":     {store.ErrNotFound, func(tx store.DirectoryTx) error { return tx.DeleteKey(d.ID, "none") }},
		"deleting no account": {store.ErrNotFound, func(tx store.DirectoryTx) error {
			return tx.DeleteAccount(1 << 40)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := s.LoadDirectory(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			changeDirectory(t, s, test.want, func(tx store.DirectoryTx) error {
				if err := tx.PutSetting("half", "done"); err != nil {
					return err
				}
				return test.do(tx)
			})
			after, err := s.LoadDirectory(t.Context())
			if err != nil || !reflect.DeepEqual(before, after) {
				t.Errorf("it left\n%+v of\n%+v; %v", after, before, err)
			}
		})
	}
	send(t, s, 100, into(ana.ID, store.Target{Role: mailbox.Inbox}))
	changeDirectory(t, s, store.ErrConflict, func(tx store.DirectoryTx) error { return tx.DeleteAccount(ana.ID) })
}

func testAudit(t *testing.T, a, b store.Store) {
	changeDirectory(t, b, nil, func(tx store.DirectoryTx) error { return tx.PutSetting("policy.level", "") })
	log, err := a.AuditLog(t.Context(), 2)
	if err != nil || len(log) != 2 || log[0].Command != "test" {
		t.Fatalf("AuditLog: %+v, %v", log, err)
	}
	want := store.Audit{At: epoch, Principal: "uid:0", Tenant: 3, Command: "domain.create", Object: "example.org", After: `{"name":"example.org"}`}
	if log[1] != want {
		t.Errorf("AuditLog has %+v, want %+v", log[1], want)
	}
}

// testDirectoryRandom compares random changes through two handles with a plain
// list of logins.
func testDirectoryRandom(t *testing.T, a, b store.Store) {
	rng := rand.New(rand.NewPCG(1, 2))
	handles := []store.Store{a, b}
	d := store.Domain{Name: "example.org"}
	changeDirectory(t, a, nil, func(tx store.DirectoryTx) error { d.ID = 0; return tx.PutDomain(&d) })
	model := map[string]store.Account{}
	for i := range 120 {
		s := handles[rng.IntN(2)]
		login := fmt.Sprintf("u%d@example.org", rng.IntN(8))
		have, exists := model[login]
		switch rng.IntN(4) {
		case 0, 1: // new or known
			acc := store.Account{Domain: d.ID, Login: login, Quota: rng.Int64N(1000), Created: epoch.Add(time.Duration(i) * time.Second)}
			acc.PasswordSet = acc.Created // what the zero Time is read back as
			var want error
			if exists {
				want = store.ErrExists
			}
			changeDirectory(t, s, want, func(tx store.DirectoryTx) error { acc.ID = 0; return tx.PutAccount(&acc) })
			if !exists {
				model[login] = acc
			}
		case 2:
			if exists {
				have.Quota, have.Disabled, have.Name = rng.Int64N(1000), !have.Disabled, strings.Repeat("n", rng.IntN(5))
				have.PasswordSet, have.MessagesPerDay = epoch.Add(time.Duration(i)*time.Minute), rng.IntN(500)-1
				changeDirectory(t, s, nil, func(tx store.DirectoryTx) error { return tx.PutAccount(&have) })
				model[login] = have
			}
		case 3:
			if exists {
				changeDirectory(t, s, nil, func(tx store.DirectoryTx) error { return tx.DeleteAccount(have.ID) })
				delete(model, login)
			}
		}
	}
	var want []store.Account
	for _, acc := range model {
		want = append(want, acc)
	}
	slices.SortFunc(want, func(x, y store.Account) int { return strings.Compare(x.Login, y.Login) })
	for i, s := range handles {
		v, err := s.LoadDirectory(t.Context())
		if err != nil || !reflect.DeepEqual(v.Accounts, want) {
			t.Errorf("handle %d has\n%+v, want\n%+v; %v", i, v.Accounts, want, err)
		}
	}
	for _, acc := range want {
		if _, _, quota, err := a.Usage(t.Context(), acc.ID); err != nil || quota != acc.Quota {
			t.Errorf("quota of %s is %d, want %d; %v", acc.Login, quota, acc.Quota, err)
		}
	}
	sound(t, a)
}
