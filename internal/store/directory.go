package store

import (
	"context"
	"time"

	"posta/internal/mailbox"
)

// DomainID is given by the store and never used again.
type DomainID int64

// Domain is a local domain. Its tenant is 0 until tenants are made.
type Domain struct {
	ID      DomainID
	Tenant  int64
	Name    string // A-labels, lower case
	Created time.Time
}

// Role of an account in administration.
type Role uint8

// The roles, from nothing to all.
const (
	User Role = iota
	Helpdesk
	DomainAdmin
	Owner
)

// Account is a mailbox user; it has nothing to do with a system user.
type Account struct {
	ID       mailbox.AccountID
	Tenant   int64
	Domain   DomainID
	Login    string // its primary address, lower case: local@domain
	Name     string // for people
	Password string // Argon2id, PHC string; "" admits nobody
	Role     Role
	Quota    int64 // octets, 0 is no limit
	Disabled bool
	Created  time.Time
	// PasswordSet is when the password was given to it; the zero Time, which an older
	// version of the store left, is read back as Created.
	PasswordSet time.Time
	// MessagesPerDay is how many messages it may submit in a day: 0 is what the policy
	// says, NoLimit that it is not counted.
	MessagesPerDay int
}

// NoLimit is the MessagesPerDay of an account that the policy's limit does not hold
// for.
const NoLimit = -1

// PasswordTerm is how long passwords may be used. The zero value lets them be of any
// age.
type PasswordTerm struct {
	Age   time.Duration // 0: any
	Since time.Time     // from when on Age holds; zero: always
	Grace time.Duration // after Since, in which no password ends: people must hear of a new rule first
}

// PasswordDue is when the password is older than the term lets it be; the zero Time is
// never: it has none, or may be of any age.
func (a *Account) PasswordDue(t PasswordTerm) time.Time {
	if t.Age <= 0 || a.Password == "" {
		return time.Time{}
	}
	return a.PasswordSet.Add(t.Age)
}

// PasswordEnds is when nobody can log in with the password any more: when it is due,
// and not before the grace of the term is over; the zero Time is never.
func (a *Account) PasswordEnds(t PasswordTerm) time.Time {
	end := a.PasswordDue(t)
	if end.IsZero() || t.Since.IsZero() {
		return end
	}
	if grace := t.Since.Add(t.Grace); grace.After(end) {
		return grace
	}
	return end
}

// Expired reports whether its password is too old to log in with.
func (a *Account) Expired(t PasswordTerm, now time.Time) bool {
	end := a.PasswordEnds(t)
	return !end.IsZero() && !now.Before(end)
}

// AddressKind says what an address leads to.
type AddressKind uint8

// The kinds of address.
const (
	ToAccount AddressKind = iota // to Account's mailboxes
	ToTargets                    // an alias: to the Targets, local or remote
)

// Address leads mail for local@domain somewhere. The local part "" is the
// domain's catch-all, looked at last (DESIGN §2.4).
type Address struct {
	Domain  DomainID
	Local   string // lower case, without +detail
	Kind    AddressKind
	Account mailbox.AccountID
	Targets []string
}

// DKIMKey signs for a domain.
type DKIMKey struct {
	Domain    DomainID
	Selector  string
	Algorithm string // "rsa" or "ed25519"
	Private   []byte // PKCS #8, PEM
	Active    bool   // signs; otherwise only published
	Created   time.Time
}

// DirectoryView is a copy of the whole directory at one version.
type DirectoryView struct {
	Version   int64
	Domains   []Domain
	Accounts  []Account
	Addresses []Address
	Keys      []DKIMKey
	Scripts   map[ScriptOwner]ScriptState // of those who have any; nil if nobody has
	Settings  map[string]string           // live settings of the command layer, by dotted key
}

// Audit says who changes what; it is written in the change's own transaction.
type Audit struct {
	At        time.Time
	Principal string // "uid:1000", "ana@example.org", "system"
	Tenant    int64
	Command   string // "account.create"
	Object    string // "ana@example.org"
	Before    string // JSON, secrets left out; "" if it was not
	After     string // JSON; "" if it is gone
}

// Directory holds who is here. Reads are of the whole, at a version, since it is
// small beside the mail: callers keep a view in memory and reload it when the
// version has moved.
type Directory interface {
	DirectoryVersion(ctx context.Context) (int64, error)
	LoadDirectory(ctx context.Context) (*DirectoryView, error)
	// ChangeDirectory runs f in one transaction that raises the version and
	// writes the audit record that f returns. An error of f rolls it back. f may
	// run more than once.
	ChangeDirectory(ctx context.Context, f func(DirectoryTx) (Audit, error)) error
	// AuditLog lists the newest entries first.
	AuditLog(ctx context.Context, limit int) ([]Audit, error)
}

// DirectoryTx are the changes within one transaction. Put methods insert when
// the ID is zero (setting it) and update otherwise; ErrExists and ErrNotFound as
// one expects.
type DirectoryTx interface {
	View() (*DirectoryView, error)
	PutDomain(*Domain) error
	DeleteDomain(DomainID) error           // ErrConflict while accounts or addresses use it
	PutAccount(*Account) error             // a new account is given mailbox.Defaults
	DeleteAccount(mailbox.AccountID) error // ErrConflict while it has mail: its mailboxes are deleted first, in steps
	PutAddress(Address) error
	DeleteAddress(d DomainID, local string) error
	PutKey(DKIMKey) error
	DeleteKey(d DomainID, selector string) error
	PutSetting(key, value string) error // "" deletes

	// Scripts lists an owner's scripts, without Text; Script reads one (ErrNotFound).
	Scripts(o ScriptOwner) ([]Script, error)
	Script(o ScriptOwner, name string) (Script, error)
	PutScript(Script) error // by owner and name; an active one is the only one
	DeleteScript(o ScriptOwner, name string) error
}
