package sqlstore

import (
	"encoding/json"
	"errors"
	"fmt"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// directoryTx implements store.DirectoryTx.
type directoryTx struct{ t *tx }

func (d directoryTx) View() (*store.DirectoryView, error) { return loadDirectory(d.t) }

// taken says that an insert met what is there already.
func taken(n int64, err error, format string, args ...any) error {
	if err == nil && n == 0 {
		err = store.ErrExists
	}
	if err != nil {
		return wrap(err, format, args...)
	}
	return nil
}

// missing says that an update or delete met nothing.
func missing(n int64, err error, format string, args ...any) error {
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return wrap(err, format, args...)
	}
	return nil
}

// free checks that no other row has a value that must be unique. ON CONFLICT
// cannot do so in an UPDATE, and an error of the database would end a transaction
// in PostgreSQL.
func (d directoryTx) free(q string, args ...any) error {
	var id int64
	switch err := d.t.row(q, args...).scan(&id); {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return store.ErrExists
}

func (d directoryTx) PutDomain(p *store.Domain) error {
	if err := d.free("SELECT id FROM domain WHERE name = $1 AND id <> $2", p.Name, p.ID); err != nil {
		return wrap(err, "domain %s", p.Name)
	}
	if p.ID != 0 {
		n, err := d.t.exec("UPDATE domain SET tenant = $1, name = $2, created = $3 WHERE id = $4", p.Tenant, p.Name, p.Created, p.ID)
		return missing(n, err, "domain %s", p.Name)
	}
	id, err := d.t.id(seqDomain)
	if err != nil {
		return err
	}
	n, err := d.t.exec("INSERT INTO domain (id, tenant, name, created) VALUES ($1, $2, $3, $4)", id, p.Tenant, p.Name, p.Created)
	if err := taken(n, err, "domain %s", p.Name); err != nil {
		return err
	}
	p.ID = store.DomainID(id)
	return nil
}

func (d directoryTx) DeleteDomain(id store.DomainID) error {
	for _, q := range []string{
		"SELECT id FROM account WHERE domain = $1 LIMIT 1",
		"SELECT account FROM address WHERE domain = $1 LIMIT 1",
	} {
		if err := d.free(q, id); errors.Is(err, store.ErrExists) {
			return fmt.Errorf("domain %d has accounts or addresses: %w", id, store.ErrConflict)
		} else if err != nil {
			return err
		}
	}
	if _, err := d.t.exec("DELETE FROM dkim_key WHERE domain = $1", id); err != nil {
		return err
	}
	if _, err := d.t.exec("DELETE FROM script WHERE owner = $1", store.ScriptsOfDomain(id)); err != nil {
		return err
	}
	n, err := d.t.exec("DELETE FROM domain WHERE id = $1", id)
	return missing(n, err, "domain %d", id)
}

func (d directoryTx) PutAccount(p *store.Account) error {
	if err := d.free("SELECT id FROM account WHERE login = $1 AND id <> $2", p.Login, p.ID); err != nil {
		return wrap(err, "account %s", p.Login)
	}
	if err := d.hasDomain(p.Domain); err != nil {
		return wrap(err, "account %s", p.Login)
	}
	if p.ID == 0 {
		return d.newAccount(p)
	}
	n, err := d.t.exec(`UPDATE account SET tenant = $1, domain = $2, login = $3, name = $4, password = $5, role = $6, quota = $7,
		disabled = $8, created = $9, password_set = $10, messages_per_day = $11 WHERE id = $12`,
		p.Tenant, p.Domain, p.Login, p.Name, p.Password, p.Role, p.Quota, p.Disabled, p.Created, p.PasswordSet, p.MessagesPerDay, p.ID)
	if err := missing(n, err, "account %s", p.Login); err != nil {
		return err
	}
	var quota int64
	if err := d.t.row("SELECT quota FROM ledger WHERE account = $1", p.ID).scan(&quota); err != nil || quota == p.Quota {
		return err
	}
	l, err := d.t.account(p.ID)
	if err == nil {
		l.quota = p.Quota
	}
	return err
}

func (d directoryTx) hasDomain(id store.DomainID) error {
	var name string
	if err := d.t.row("SELECT name FROM domain WHERE id = $1", id).scan(&name); err != nil {
		return wrap(err, "domain %d", id)
	}
	return nil
}

func (d directoryTx) newAccount(p *store.Account) error {
	id, err := d.t.id(seqAccount)
	if err != nil {
		return err
	}
	n, err := d.t.exec(`INSERT INTO account (id, tenant, domain, login, name, password, role, quota, disabled, created, password_set, messages_per_day)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		id, p.Tenant, p.Domain, p.Login, p.Name, p.Password, p.Role, p.Quota, p.Disabled, p.Created, p.PasswordSet, p.MessagesPerDay)
	if err := taken(n, err, "account %s", p.Login); err != nil {
		return err
	}
	if _, err := d.t.exec("INSERT INTO ledger (account, modseq, octets, messages, validity, quota) VALUES ($1, 0, 0, 0, 0, $2)", id, p.Quota); err != nil {
		return err
	}
	l, err := d.t.account(mailbox.AccountID(id))
	if err != nil {
		return err
	}
	for _, m := range mailbox.Defaults {
		if _, err := insertMailbox(d.t, l, m.Name, m.Role); err != nil {
			return err
		}
	}
	p.ID = mailbox.AccountID(id)
	return nil
}

// DeleteAccount needs an account without mail: its mailboxes are deleted first,
// in steps, which a directory change cannot do (ErrConflict).
func (d directoryTx) DeleteAccount(id mailbox.AccountID) error {
	l, err := d.t.account(id)
	if err != nil {
		return err
	}
	if l.messages != 0 {
		return fmt.Errorf("account %d has %d messages: %w", id, l.messages, store.ErrConflict)
	}
	boxes, err := collect(d.t, one[mailbox.ID], "SELECT id FROM mailbox WHERE account = $1", id)
	if err != nil {
		return err
	}
	for _, b := range boxes {
		if _, err := d.t.exec("DELETE FROM placement WHERE mailbox = $1", b); err != nil {
			return err
		}
		d.t.forgetMailbox(b)
	}
	for _, q := range []string{
		"DELETE FROM mailbox WHERE account = $1",
		"DELETE FROM subscription WHERE account = $1",
		"DELETE FROM address WHERE account = $1 AND kind = 0",
		"DELETE FROM ledger WHERE account = $1",
		"DELETE FROM script WHERE owner = $1",
		"DELETE FROM account WHERE id = $1",
	} {
		if _, err := d.t.exec(q, id); err != nil {
			return err
		}
	}
	d.t.forgetAccount(id)
	return nil
}

func (d directoryTx) PutAddress(a store.Address) error {
	if err := d.hasDomain(a.Domain); err != nil {
		return wrap(err, "address %s", a.Local)
	}
	if a.Kind == store.ToAccount {
		var login string
		if err := d.t.row("SELECT login FROM account WHERE id = $1", a.Account).scan(&login); err != nil {
			return wrap(err, "address %s: account %d", a.Local, a.Account)
		}
	}
	targets, err := json.Marshal(a.Targets)
	if err != nil {
		return err
	}
	_, err = d.t.exec(`INSERT INTO address (domain, local, kind, account, targets) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (domain, local) DO UPDATE SET kind = excluded.kind, account = excluded.account, targets = excluded.targets`,
		a.Domain, a.Local, a.Kind, a.Account, string(targets))
	return err
}

func (d directoryTx) DeleteAddress(id store.DomainID, local string) error {
	n, err := d.t.exec("DELETE FROM address WHERE domain = $1 AND local = $2", id, local)
	return missing(n, err, "address %q of domain %d", local, id)
}

func (d directoryTx) PutKey(k store.DKIMKey) error {
	if err := d.hasDomain(k.Domain); err != nil {
		return wrap(err, "key %s", k.Selector)
	}
	_, err := d.t.exec(`INSERT INTO dkim_key (domain, selector, algorithm, private, active, created) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (domain, selector) DO UPDATE SET algorithm = excluded.algorithm, private = excluded.private,
		active = excluded.active, created = excluded.created`,
		k.Domain, k.Selector, k.Algorithm, k.Private, k.Active, k.Created)
	return err
}

func (d directoryTx) DeleteKey(id store.DomainID, selector string) error {
	n, err := d.t.exec("DELETE FROM dkim_key WHERE domain = $1 AND selector = $2", id, selector)
	return missing(n, err, "key %q of domain %d", selector, id)
}

func (d directoryTx) PutSetting(key, value string) error {
	if value == "" {
		_, err := d.t.exec("DELETE FROM setting WHERE name = $1", key)
		return err
	}
	_, err := d.t.exec("INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", key, value)
	return err
}
