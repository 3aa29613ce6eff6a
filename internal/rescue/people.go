package rescue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// people are the accounts, by login, as the rebuild finds and makes them. Only
// the goroutine of the scan makes any; the workers ask.
type people struct {
	store    store.Directory
	who      string
	now      func() time.Time
	fresh    bool // nothing was ever put into this metadata
	setting  string
	birth    time.Time
	domains  map[string]store.DomainID
	mu       sync.RWMutex // of accounts
	accounts map[string]mailbox.AccountID
	taken    map[string]bool // addresses, "local@domain"
	made     int
}

func loadPeople(ctx context.Context, s store.Directory, who string, now func() time.Time) (*people, error) {
	v, err := s.LoadDirectory(ctx)
	if err != nil {
		return nil, err
	}
	fresh, err := Fresh(ctx, s)
	if err != nil {
		return nil, err
	}
	p := &people{
		store: s, who: who, now: now, fresh: fresh, setting: v.Settings[Marker],
		domains: map[string]store.DomainID{}, accounts: map[string]mailbox.AccountID{}, taken: map[string]bool{},
	}
	names := map[store.DomainID]string{}
	for _, d := range v.Domains {
		p.domains[d.Name], names[d.ID] = d.ID, d.Name
		if p.birth.IsZero() || d.Created.Before(p.birth) {
			p.birth = d.Created
		}
	}
	for _, a := range v.Accounts {
		p.accounts[a.Login] = a.ID
	}
	for _, a := range v.Addresses {
		p.taken[a.Local+"@"+names[a.Domain]] = true
	}
	return p, nil
}

// Fresh reports whether nothing was ever put into a directory. Metadata that is
// fresh beside packs that are not means that the metadata was lost.
func Fresh(ctx context.Context, s store.Directory) (bool, error) {
	log, err := s.AuditLog(ctx, 1)
	return len(log) == 0, err
}

// knowledge is what the metadata that was found can tell.
func (p *people) knowledge(ctx context.Context, s store.Store) (knowledge, error) {
	if p.fresh {
		return knowledge{All: true}, nil
	}
	last, err := newest(ctx, s)
	k := knowledge{Birth: p.birth, Recent: last.Add(-remembered)}
	if last.IsZero() { // no accept ever: whatever there is came before
		k.All = true
	}
	return k, err
}

// change makes one audited change.
func (p *people) change(ctx context.Context, object, after string, f func(store.DirectoryTx) error) error {
	return p.store.ChangeDirectory(ctx, func(tx store.DirectoryTx) (store.Audit, error) {
		return store.Audit{At: p.now(), Principal: p.who, Command: "store.rebuild", Object: object, After: after}, f(tx)
	})
}

// mark sets the Marker; "" removes it.
func (p *people) mark(ctx context.Context, value string) error {
	return p.change(ctx, Marker, value, func(tx store.DirectoryTx) error { return tx.PutSetting(Marker, value) })
}

// errLogin: an accept record names an account by what cannot be a login.
var errLogin = errors.New("rescue: no login")

// splitLogin parts a login at its last @.
func splitLogin(login string) (local, domain string, err error) {
	i := strings.LastIndexByte(login, '@')
	if i < 1 || i == len(login)-1 {
		return "", "", fmt.Errorf("%w: %q", errLogin, login)
	}
	return login[:i], login[i+1:], nil
}

// ensure makes the accounts that a record names, all that can be; errLogin if one
// cannot.
func (p *people) ensure(ctx context.Context, a *store.AcceptRecord) (err error) {
	for _, d := range a.Deliveries {
		if p.accountOf(d.Login) != 0 {
			continue
		}
		if e := p.make(ctx, d.Login, a.At); errors.Is(e, errLogin) {
			err = e
		} else if e != nil {
			return e
		}
	}
	return err
}

// make makes an account that nobody can log in to until it is given a password,
// its domain and its address. They are as old as the oldest message for them.
func (p *people) make(ctx context.Context, login string, at time.Time) error {
	local, domain, err := splitLogin(login)
	if err != nil {
		return err
	}
	acc := &store.Account{Login: login, Created: at}
	dom := &store.Domain{ID: p.domains[domain], Name: domain, Created: at}
	err = p.change(ctx, login, "", func(tx store.DirectoryTx) error {
		if p.domains[domain] == 0 {
			dom.ID = 0 // f may run again
			if err := tx.PutDomain(dom); err != nil {
				return err
			}
		}
		acc.ID, acc.Domain = 0, dom.ID
		if err := tx.PutAccount(acc); err != nil {
			return err
		}
		if p.taken[login] {
			return nil // an alias has it
		}
		return tx.PutAddress(store.Address{Domain: dom.ID, Local: local, Kind: store.ToAccount, Account: acc.ID})
	})
	if err != nil {
		return fmt.Errorf("account %s: %w", login, err)
	}
	p.domains[domain], p.taken[login] = dom.ID, true
	p.mu.Lock()
	p.accounts[login] = acc.ID
	p.mu.Unlock()
	p.made++
	return nil
}

// accountOf is the account of a login, 0 if there is none.
func (p *people) accountOf(login string) mailbox.AccountID {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.accounts[login]
}
