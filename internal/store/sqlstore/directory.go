package sqlstore

import (
	"context"
	"encoding/json"

	"posta/internal/store"
)

// DirectoryVersion implements store.Directory.
func (s *Store) DirectoryVersion(ctx context.Context) (version int64, err error) {
	err = s.main.read(ctx, func(t *tx) error {
		return t.row("SELECT version FROM directory WHERE one = 1").scan(&version)
	})
	return version, err
}

// LoadDirectory implements store.Directory.
func (s *Store) LoadDirectory(ctx context.Context) (view *store.DirectoryView, err error) {
	err = s.main.read(ctx, func(t *tx) error {
		view, err = loadDirectory(t)
		return err
	})
	return view, err
}

func loadDirectory(t *tx) (*store.DirectoryView, error) {
	v := &store.DirectoryView{Settings: map[string]string{}}
	err := t.row("SELECT version FROM directory WHERE one = 1").scan(&v.Version)
	if err != nil {
		return nil, err
	}
	v.Domains, err = collect(t, func(r *rows, d *store.Domain) error {
		return r.scan(&d.ID, &d.Tenant, &d.Name, &d.Created)
	}, "SELECT id, tenant, name, created FROM domain ORDER BY name")
	if err != nil {
		return nil, err
	}
	v.Accounts, err = collect(t, func(r *rows, a *store.Account) error {
		return r.scan(&a.ID, &a.Tenant, &a.Domain, &a.Login, &a.Name, &a.Password, &a.Role, &a.Quota, &a.Disabled, &a.Created, &a.PasswordSet, &a.MessagesPerDay)
	}, `SELECT id, tenant, domain, login, name, password, role, quota, disabled, created,
		CASE password_set WHEN 0 THEN created ELSE password_set END, messages_per_day
		FROM account ORDER BY login`)
	if err != nil {
		return nil, err
	}
	v.Addresses, err = collect(t, scanAddress, "SELECT domain, local, kind, account, targets FROM address ORDER BY domain, local")
	if err != nil {
		return nil, err
	}
	v.Keys, err = collect(t, func(r *rows, k *store.DKIMKey) error {
		return r.scan(&k.Domain, &k.Selector, &k.Algorithm, &k.Private, &k.Active, &k.Created)
	}, "SELECT domain, selector, algorithm, private, active, created FROM dkim_key ORDER BY domain, selector")
	if err != nil {
		return nil, err
	}
	settings, err := collect(t, func(r *rows, kv *[2]string) error { return r.scan(&kv[0], &kv[1]) }, "SELECT name, value FROM setting")
	if err != nil {
		return nil, err
	}
	for _, kv := range settings {
		v.Settings[kv[0]] = kv[1]
	}
	return v, loadScripts(t, v)
}

func scanAddress(r *rows, a *store.Address) error {
	var targets string
	if err := r.scan(&a.Domain, &a.Local, &a.Kind, &a.Account, &targets); err != nil {
		return err
	}
	return json.Unmarshal([]byte(targets), &a.Targets)
}

// ChangeDirectory implements store.Directory. Changes come one after the other:
// the version's row is their lock.
func (s *Store) ChangeDirectory(ctx context.Context, f func(store.DirectoryTx) (store.Audit, error)) error {
	return s.main.write(ctx, func(t *tx) error {
		t.anyOrder = true
		if _, err := t.exec("UPDATE directory SET version = version + 1 WHERE one = 1"); err != nil {
			return err
		}
		a, err := f(directoryTx{t})
		if err != nil {
			return err
		}
		t.wake(0) // other nodes take the new view
		return writeAudit(t, a)
	})
}

func writeAudit(t *tx, a store.Audit) error {
	id, err := t.id(seqAudit)
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO audit (id, at, principal, tenant, command, object, was, becomes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		id, a.At, a.Principal, a.Tenant, a.Command, a.Object, a.Before, a.After)
	return err
}

// AuditLog implements store.Directory.
func (s *Store) AuditLog(ctx context.Context, limit int) (log []store.Audit, err error) {
	err = s.main.read(ctx, func(t *tx) error {
		log, err = collect(t, func(r *rows, a *store.Audit) error {
			return r.scan(&a.At, &a.Principal, &a.Tenant, &a.Command, &a.Object, &a.Before, &a.After)
		}, "SELECT at, principal, tenant, command, object, was, becomes FROM audit ORDER BY id DESC LIMIT $1", limit)
		return err
	})
	return log, err
}
