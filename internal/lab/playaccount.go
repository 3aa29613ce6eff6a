package lab

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"posta/internal/policy"
	"posta/internal/store"
)

// agePassword says of somebody's password that it was set days ago ("ana 31"): the one
// thing that a story cannot wait for.
func (p *play) agePassword(ctx context.Context, who string) error {
	name, text, _ := strings.Cut(who, " ")
	days, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	login := name + "@" + ourDomain
	fmt.Fprintf(&p.log, "   (the password of %s is %d days old)\n", login, days)
	st := p.house.state
	err = st.Store.ChangeDirectory(ctx, func(tx store.DirectoryTx) (store.Audit, error) {
		v, err := tx.View()
		if err != nil {
			return store.Audit{}, err
		}
		for i := range v.Accounts {
			if a := &v.Accounts[i]; a.Login == login {
				a.PasswordSet = time.Now().Add(-time.Duration(days) * 24 * time.Hour)
				return store.Audit{At: time.Now(), Principal: "lab", Command: "account.password", Object: login}, tx.PutAccount(a)
			}
		}
		return store.Audit{}, fmt.Errorf("%s: %w", login, store.ErrNotFound)
	})
	if err != nil {
		return err
	}
	return st.Directory.Refresh(ctx)
}

// ageTerm says that the policy lets passwords be only so old since days ago, which a
// story cannot wait for either.
func (p *play) ageTerm(ctx context.Context, text string) error {
	days, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	fmt.Fprintf(&p.log, "   (passwords may be only so old since %d days ago)\n", days)
	st := p.house.state
	err = st.Store.ChangeDirectory(ctx, func(tx store.DirectoryTx) (store.Audit, error) {
		v, err := tx.View()
		if err != nil {
			return store.Audit{}, err
		}
		b := policy.ParseBegan(v.Settings[policy.TermSetting])
		if b.Days == 0 {
			return store.Audit{}, errors.New("passwords may be of any age here")
		}
		b.Since = time.Now().AddDate(0, 0, -days)
		return store.Audit{At: time.Now(), Principal: "lab", Command: "policy.level", Object: policy.TermSetting}, tx.PutSetting(policy.TermSetting, b.String())
	})
	if err != nil {
		return err
	}
	return st.Directory.Refresh(ctx)
}
