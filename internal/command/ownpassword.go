package command

import (
	"context"
	"time"

	"posta/internal/admit"
	"posta/internal/store"
)

// OwnPassword is the argument of account.own-password: a user's new password for
// himself. That he knew the old one is for the door to find out, which delays and
// counts wrong ones.
type OwnPassword struct {
	Old string `json:"old"`
	New string `json:"new"`
	// Set is when the old password was given: one that was changed since, by an
	// administrator who shut somebody out, is not changed again.
	Set time.Time `json:"set"`
}

var ownCommands = []Command{
	run("account.own-password", store.User, changeOwnPassword),
}

// changeOwnPassword gives the principal's own account another password.
func changeOwnPassword(ctx context.Context, h *House, p Principal, a OwnPassword) (any, error) {
	if err := checkPassword(a.New); err != nil {
		return nil, err
	}
	if a.New == a.Old {
		return nil, fail(ErrUsage, "error.password.same")
	}
	hash := admit.HashPassword(a.New)
	return nil, h.change(ctx, p, "account.own-password", p.Name, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		acc, err := needAccount(v, p.Name)
		if err != nil {
			return nil, nil, err
		}
		if acc.Disabled || acc.Password == "" || !acc.PasswordSet.Equal(a.Set) {
			return nil, nil, fail(ErrDenied, "error.password.changed")
		}
		acc.Password, acc.PasswordSet = hash, h.now()
		return nil, map[string]string{"password": "changed"}, tx.PutAccount(acc)
	})
}
