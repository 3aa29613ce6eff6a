// Package directory answers, from memory, who is here: which domains are ours,
// where an address leads, who may send as whom, which keys sign. It keeps one
// immutable view of the store's directory and takes a new one when the version
// has moved, so that a look-up costs no query and a change is live at once.
package directory

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"posta/internal/addr"
	"posta/internal/follow"
	"posta/internal/mailbox"
	"posta/internal/rules"
	"posta/internal/store"
)

// Directory is the current view. Look-ups do not block and may be made from any
// goroutine.
type Directory struct {
	src   store.Directory
	rules *follow.Reader // nil where the store keeps none
	view  atomic.Pointer[View]
	load  sync.Mutex // one loader at a time
}

// Ruled is a store that keeps rules of addresses beside the directory, as store.Store
// does.
type Ruled interface{ Rules() store.Access }

// Open loads the first view.
func Open(ctx context.Context, src store.Directory) (*Directory, error) {
	d := &Directory{src: src}
	if r, ok := src.(Ruled); ok {
		d.rules = follow.New(r.Rules())
	}
	if err := d.Refresh(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// View is the newest view; it never changes.
func (d *Directory) View() *View { return d.view.Load() }

// Refresh takes a new view if the version has moved. It is called after each
// command, and regularly where other nodes may have changed the directory.
func (d *Directory) Refresh(ctx context.Context) error {
	d.load.Lock()
	defer d.load.Unlock()
	if err := d.refreshView(ctx); err != nil {
		return err
	}
	if d.rules == nil {
		return nil
	}
	if err := d.rules.Refresh(ctx, (*ruleCopy)(d)); err != nil {
		return fmt.Errorf("address rules: %w", err)
	}
	return nil
}

// refreshView takes a new view of all but the rules.
func (d *Directory) refreshView(ctx context.Context) error {
	old := d.view.Load()
	if old != nil {
		n, err := d.src.DirectoryVersion(ctx)
		if err != nil {
			return fmt.Errorf("directory version: %w", err)
		}
		if n == old.version {
			return nil
		}
	}
	raw, err := d.src.LoadDirectory(ctx)
	if err != nil {
		return fmt.Errorf("load directory: %w", err)
	}
	v := newView(raw)
	if old != nil {
		v.rules = old.rules
	}
	d.view.Store(v)
	return nil
}

// View is the directory at one version.
type View struct {
	version  int64
	domains  map[string]*store.Domain
	byDomain map[store.DomainID]*store.Domain
	accounts map[mailbox.AccountID]*store.Account
	logins   map[string]*store.Account
	address  map[key]*store.Address
	keys     map[string][]store.DKIMKey
	settings map[string]string
	scripts  map[store.ScriptOwner]store.ScriptState
	archives map[string]Archive
	rules    *rules.Set
}

// key of an address; local is folded and without +detail.
type key struct {
	domain store.DomainID
	local  string
}

func newView(raw *store.DirectoryView) *View {
	v := &View{
		version:  raw.Version,
		domains:  make(map[string]*store.Domain, len(raw.Domains)),
		byDomain: make(map[store.DomainID]*store.Domain, len(raw.Domains)),
		accounts: make(map[mailbox.AccountID]*store.Account, len(raw.Accounts)),
		logins:   make(map[string]*store.Account, len(raw.Accounts)),
		address:  make(map[key]*store.Address, len(raw.Addresses)),
		keys:     map[string][]store.DKIMKey{},
		settings: raw.Settings,
		scripts:  raw.Scripts,
		archives: archivesOf(raw.Settings),
	}
	for i := range raw.Domains {
		d := &raw.Domains[i]
		v.domains[d.Name], v.byDomain[d.ID] = d, d
	}
	for i := range raw.Accounts {
		a := &raw.Accounts[i]
		v.accounts[a.ID], v.logins[a.Login] = a, a
	}
	for i := range raw.Addresses {
		a := &raw.Addresses[i]
		v.address[key{a.Domain, a.Local}] = a
	}
	for _, k := range raw.Keys {
		if d := v.byDomain[k.Domain]; d != nil {
			v.keys[d.Name] = append(v.keys[d.Name], k)
		}
	}
	return v
}

// Local reports whether a domain is ours: one that we have, or another name of it.
func (v *View) Local(d addr.Domain) bool { return v.LocalName(string(d)) }

// LocalName is Local for a name in lower case without a final dot.
func (v *View) LocalName(name string) bool {
	return v.domains[name] != nil || v.domains[string(v.nameOf(addr.Domain(name)))] != nil
}

// Domains lists our domains' names, in no order.
func (v *View) Domains() []string {
	out := make([]string, 0, len(v.domains))
	for n := range v.domains {
		out = append(out, n)
	}
	return out
}

// Domain finds a domain of ours by id; nil if there is none.
func (v *View) Domain(id store.DomainID) *store.Domain { return v.byDomain[id] }

// DomainNamed finds a domain of ours by its name; nil if there is none.
func (v *View) DomainNamed(d addr.Domain) *store.Domain { return v.domains[string(d)] }

// Account finds an account by id; nil if there is none.
func (v *View) Account(id mailbox.AccountID) *store.Account { return v.accounts[id] }

// Accounts walks through all accounts, in no order.
func (v *View) Accounts() iter.Seq[*store.Account] { return maps.Values(v.accounts) }

// ByLogin finds an account by the address it logs in with, any of its addresses;
// nil if there is none.
func (v *View) ByLogin(login string) *store.Account {
	login = strings.ToLower(strings.TrimSpace(login))
	if a := v.logins[login]; a != nil {
		return a
	}
	ad, err := addr.ParseAddress(login)
	if err != nil {
		return nil
	}
	if e := v.lookup(ad); e != nil && e.Kind == store.ToAccount {
		return v.accounts[e.Account]
	}
	return nil
}

// Keys are the DKIM keys of a domain.
func (v *View) Keys(domain string) []store.DKIMKey { return v.keys[domain] }

// Scripts tells of an owner's Sieve scripts; ok is false if there are none.
func (v *View) Scripts(o store.ScriptOwner) (s store.ScriptState, ok bool) {
	s, ok = v.scripts[o]
	return s, ok
}

// Scripted reports whether anybody has scripts.
func (v *View) Scripted() bool { return len(v.scripts) > 0 }

// Setting is a live setting, "" if it was never made.
func (v *View) Setting(key string) string { return v.settings[key] }

// lookup finds the account or old alias of an address: the whole local part first,
// then without +detail. Catch-alls are no part of it: they come last (S105).
func (v *View) lookup(a addr.Address) *store.Address {
	d := v.domains[string(a.Domain)]
	if d == nil {
		return nil
	}
	local := a.Local.Fold()
	if e := v.address[key{d.ID, string(local)}]; e != nil {
		return e
	}
	if base, detail := addr.SplitDetail(local, "+"); detail != "" || base != local {
		return v.address[key{d.ID, string(base)}]
	}
	return nil
}

// roleOf reports whether a local part is one that every domain must have
// (RFC 2142 §5; S21).
func roleOf(local string) bool {
	switch local {
	case "postmaster", "abuse", "hostmaster", DMARCReports, TLSReports:
		return true
	}
	return false
}

// IsPostmaster reports whether an address takes mail even from clients that are
// refused elsewhere: postmaster@ and abuse@ (RFC 5321 §4.5.1, RFC 2142 §2), and those of
// reports.
func IsPostmaster(a addr.Address) bool {
	l := a.Local.Fold()
	return l == "postmaster" || l == "abuse" || l == DMARCReports || l == TLSReports
}

// Local parts that every domain of ours has of itself, for reports of others about our
// mail (RFC 9990, RFC 8460). What comes there and is no report goes where postmaster@ leads.
const (
	DMARCReports = "dmarc-reports"
	TLSReports   = "tls-reports"
)

// TakesReports reports whether what comes to an address is looked at for being a report.
// Those to postmaster@ come by records that were published before there were others.
func TakesReports(a addr.Address) bool { return IsPostmaster(a) }
