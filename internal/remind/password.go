package remind

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
)

const (
	warnBefore = 7 * 24 * time.Hour // or half of a password's age, if that is less
	lookEvery  = time.Hour          // for passwords that are near their end
	stepAfter  = 50                 // letters, between two records of the progress
)

// told is how far the job came: whose passwords were set before it were told, or were
// too old to be told. What is set later stands behind it, so it only goes forward.
type told struct {
	Days int               `json:"days"` // that passwords may be old; with others all are told anew
	Set  time.Time         `json:"set"`
	ID   mailbox.AccountID `json:"id"`
}

func (t told) before(a *store.Account) bool {
	return t.Set.Before(a.PasswordSet) || t.Set.Equal(a.PasswordSet) && t.ID < a.ID
}

// passwords tells those whose password is near its end, and says when to look again.
func (r *Reminder) passwords(ctx context.Context, j *store.Job) (again time.Time, err error) {
	p := r.cfg.Policy()
	if p.PasswordDays <= 0 {
		r.planned = false
		return time.Time{}, nil
	}
	var at told
	if len(j.Cursor) > 0 {
		if err := json.Unmarshal(j.Cursor, &at); err != nil {
			r.cfg.Log.WarnContext(ctx, "progress of the reminders not read", "err", err) // they are told anew
		}
	}
	if at.Days != p.PasswordDays {
		at = told{Days: p.PasswordDays}
	}
	list := r.ending(at, p.MaxAge())
	for i, acc := range list {
		if err := ctx.Err(); err != nil {
			return again, err
		}
		if err := r.tellEnd(ctx, acc, p.MaxAge(), p.PasswordDays); err != nil {
			return again, err
		}
		at.Set, at.ID = acc.PasswordSet, acc.ID
		if i%stepAfter == stepAfter-1 || i == len(list)-1 {
			cursor, err := json.Marshal(at)
			if err != nil {
				return again, err
			}
			if err := r.cfg.Store.StepJob(ctx, j.ID, j.Fence, cursor, lease); err != nil {
				return again, err
			}
		}
	}
	return r.cfg.Now().Add(lookEvery), nil
}

// ending lists the accounts to be told, in the order in which their passwords were
// set: those whose time has come and whose password still lets them read it.
func (r *Reminder) ending(at told, maxAge time.Duration) []*store.Account {
	now := r.cfg.Now()
	var out []*store.Account
	for a := range r.cfg.Directory.View().Accounts() {
		end := a.PasswordEnds(maxAge)
		if a.Disabled || end.IsZero() || !at.before(a) || now.Before(warnAt(end, maxAge)) || a.Expired(maxAge, now) {
			continue
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *store.Account) int {
		if c := a.PasswordSet.Compare(b.PasswordSet); c != 0 {
			return c
		}
		return int(a.ID - b.ID)
	})
	return out
}

func warnAt(end time.Time, maxAge time.Duration) time.Time {
	return end.Add(-min(warnBefore, maxAge/2))
}

// tellEnd writes to one account.
func (r *Reminder) tellEnd(ctx context.Context, acc *store.Account, maxAge time.Duration, days int) error {
	end := acc.PasswordEnds(maxAge)
	day := end.UTC().Format("2006-01-02 15:04 UTC")
	// The hash, which nobody knows, keeps the id from being guessed.
	id := idOf(warnAt(end, maxAge), fmt.Sprint(acc.ID, " ", days, " ", acc.Password))
	l, err := r.letter(id, acc.Login, acc.Login,
		r.cfg.Language.Say("mail.password.subject", acc.Login, day),
		r.cfg.Language.Say("mail.password.body", r.cfg.Hostname, acc.Login, day, days))
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "no reminder for an account", "account", acc.Login, "err", err)
		return nil
	}
	return r.deposit(ctx, l)
}

// idOf is the id of what is said once: of a moment and a text that only it has.
func idOf(at time.Time, text string) mail.ID {
	id := mail.NewID(at)
	sum := sha256.Sum256([]byte(text))
	copy(id[6:], sum[:])
	return id
}

// domainOf is the domain of a login.
func domainOf(login string) string { return login[strings.LastIndexByte(login, '@')+1:] }
