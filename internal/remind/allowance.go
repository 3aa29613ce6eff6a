package remind

import (
	"context"
	"encoding/json"
	"fmt"

	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// near is the data of a job: who has sent how much. The ids of its two letters are made
// with it.
type near struct {
	Account mailbox.AccountID `json:"account"`
	Sent    int               `json:"sent"`
	Limit   int               `json:"limit"`
	IDs     [2]mail.ID        `json:"ids"`
}

// Allowance has an account and its administrator told, once it is durable that they
// will be, that most of its day is used. It may be called from any goroutine.
func (r *Reminder) Allowance(ctx context.Context, account mailbox.AccountID, sent, limit int) error {
	n := near{Account: account, Sent: sent, Limit: limit}
	for i := range n.IDs {
		n.IDs[i] = mail.NewID(r.cfg.Now())
	}
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return r.cfg.Store.AddJob(ctx, store.Job{Key: fmt.Sprintf("%s/%d", allowanceKind, account), Kind: allowanceKind, Data: data})
}

// allowance writes the two letters.
func (r *Reminder) allowance(ctx context.Context, j *store.Job) error {
	var n near
	if err := json.Unmarshal(j.Data, &n); err != nil {
		r.cfg.Log.ErrorContext(ctx, "a reminder that cannot be read is dropped", "job", j.Key, "err", err)
		return nil
	}
	v := r.cfg.Directory.View()
	acc := v.Account(n.Account)
	if acc == nil {
		return nil // it is gone
	}
	to := []string{acc.Login}
	if admin := "postmaster@" + domainOf(acc.Login); elsewhere(v, admin, acc.ID) {
		to = append(to, admin)
	}
	for i, address := range to {
		lang := r.language(address)
		l, err := r.letter(n.IDs[i], address,
			lang.Say("mail.allowance.subject", acc.Login, n.Sent, n.Limit),
			lang.Say("mail.allowance.body", r.cfg.Hostname, acc.Login, n.Sent, n.Limit))
		if err != nil {
			r.cfg.Log.WarnContext(ctx, "no reminder for an account", "account", address, "err", err)
			continue
		}
		if err := r.deposit(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// elsewhere reports whether an address leads to anybody but an account.
func elsewhere(v *directory.View, address string, account mailbox.AccountID) bool {
	a, err := addr.ParseAddress(address)
	if err != nil {
		return false
	}
	targets, err := v.Resolve(a)
	if err != nil {
		return false
	}
	for _, t := range targets {
		if t.Account != account {
			return true
		}
	}
	return false
}
