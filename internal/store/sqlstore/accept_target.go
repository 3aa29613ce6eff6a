package sqlstore

import (
	"errors"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// findTargets locks the accounts, finds or makes the mailbox of each delivery and
// checks quotas.
func findTargets(t *tx, a *store.Accept) ([]mailbox.ID, error) {
	for _, id := range accountsOf(a) {
		acc, err := t.account(id)
		if err != nil {
			return nil, err
		}
		if err := checkQuota(acc, a); err != nil {
			return nil, err
		}
	}
	targets := make([]mailbox.ID, len(a.Deliveries))
	for i := range a.Deliveries {
		d := &a.Deliveries[i]
		acc := t.counts.accounts[d.Account] // locked above
		id, err := findTarget(t, acc, d.Target)
		if err != nil {
			return nil, err
		}
		targets[i] = id
	}
	return targets, nil
}

// checkQuota refuses when what is to be counted does not fit the account.
func checkQuota(acc *account, a *store.Accept) error {
	need, counted := acc.octets, false
	for i := range a.Deliveries {
		if d := &a.Deliveries[i]; d.Account == acc.id {
			need += int64(len(d.Prefix)) + a.Blob.Size - d.Skip
			counted = counted || d.CheckQuota
		}
	}
	if counted && acc.quota > 0 && need > acc.quota {
		return wrap(store.ErrQuota, "account %d would hold %d of %d octets", acc.id, need, acc.quota)
	}
	return nil
}

func findTarget(t *tx, acc *account, to store.Target) (mailbox.ID, error) {
	switch {
	case to.ID != 0:
		_, b, err := t.mailboxOf(acc.id, to.ID)
		if err != nil {
			return 0, err
		}
		return b.id, nil
	case to.Role != mailbox.None:
		return mailboxByRole(t, acc, to.Role)
	}
	name, err := mailboxName(to.Name)
	if err != nil {
		return 0, err
	}
	return mailboxByNameOrNew(t, acc, name, mailbox.None)
}

// mailboxByRole finds the mailbox with a role. It is asked for each letter that
// comes in, so the answer is kept.
func mailboxByRole(t *tx, acc *account, r mailbox.Role) (mailbox.ID, error) {
	key := accountRole{acc.id, r}
	if id := t.counts.roles[key]; id != 0 {
		return id, nil
	}
	var id mailbox.ID
	b, err := t.loadBox("WHERE account = $1 AND role = $2", acc.id, r)
	if err == nil {
		id = b.id
	}
	if errors.Is(err, store.ErrNotFound) {
		name := defaultName(r)
		if name == "" {
			return 0, wrap(store.ErrInvalid, "no role %d", r)
		}
		id, err = mailboxByNameOrNew(t, acc, name, r)
	}
	if err != nil {
		return 0, err
	}
	t.counts.roles[key] = id
	return id, nil
}

func mailboxByNameOrNew(t *tx, acc *account, name string, r mailbox.Role) (mailbox.ID, error) {
	id, err := mailboxByName(t, acc.id, name)
	if errors.Is(err, store.ErrNotFound) {
		return makeMailbox(t, acc, name, r)
	}
	return id, err
}

// defaultName is how a mailbox with a role is called when it must be made.
func defaultName(r mailbox.Role) string {
	for _, d := range mailbox.Defaults {
		if d.Role == r {
			return d.Name
		}
	}
	if r == mailbox.Recovered {
		return "Recovered"
	}
	return ""
}
