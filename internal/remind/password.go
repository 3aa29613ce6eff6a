package remind

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"posta/internal/letter"
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
	Days  int               `json:"days"` // that passwords may be old; with others all are told anew
	Since time.Time         `json:"since,omitzero"`
	Set   time.Time         `json:"set"`
	ID    mailbox.AccountID `json:"id"`
}

func (t told) before(a *store.Account) bool {
	return t.Set.Before(a.PasswordSet) || t.Set.Equal(a.PasswordSet) && t.ID < a.ID
}

// passwords tells those whose password is near its end, and says when to look again.
func (r *Reminder) passwords(ctx context.Context, j *store.Job) (again time.Time, err error) {
	term := r.cfg.Term()
	if term.Age <= 0 {
		r.planned = false
		return time.Time{}, nil
	}
	var at told
	if len(j.Cursor) > 0 {
		if err := json.Unmarshal(j.Cursor, &at); err != nil {
			r.cfg.Log.WarnContext(ctx, "progress of the reminders not read", "err", err) // they are told anew
		}
	}
	if at.Days != daysOf(term) || !at.Since.Equal(term.Since) {
		at = told{Days: daysOf(term), Since: term.Since}
	}
	list := r.ending(at, term)
	for i, acc := range list {
		if err := ctx.Err(); err != nil {
			return again, err
		}
		if err := r.tellEnd(ctx, acc, term); err != nil {
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
func (r *Reminder) ending(at told, term store.PasswordTerm) []*store.Account {
	now := r.cfg.Now()
	var out []*store.Account
	for a := range r.cfg.Directory.View().Accounts() {
		if a.Disabled || a.PasswordDue(term).IsZero() || !at.before(a) || now.Before(warnAt(a, term)) || a.Expired(term, now) {
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

func daysOf(term store.PasswordTerm) int { return int(term.Age / (24 * time.Hour)) }

// warnAt is when an account is told: some days before its password is due, and when
// the rule is new and it is older already, at once.
func warnAt(a *store.Account, term store.PasswordTerm) time.Time {
	warn := a.PasswordDue(term).Add(-min(warnBefore, term.Age/2))
	if warn.Before(term.Since) {
		return term.Since
	}
	return warn
}

// tellEnd writes to one account.
func (r *Reminder) tellEnd(ctx context.Context, acc *store.Account, term store.PasswordTerm) error {
	lang := r.language(acc.Login)
	day := stamp(acc.PasswordEnds(term))
	// The hash, which nobody knows, keeps the id from being guessed.
	id := letter.IDOf(warnAt(acc, term), fmt.Sprint(acc.ID, " ", daysOf(term), " ", acc.Password))
	why := lang.Say("mail.password.end", acc.Login, day, daysOf(term))
	if due := acc.PasswordDue(term); due.Before(term.Since) {
		why = lang.Say("mail.password.new", acc.Login, day, daysOf(term), stamp(term.Since))
	}
	how := lang.Say("mail.password.ask")
	if r.cfg.PasswordPage != "" {
		how = lang.Say("mail.password.page", r.cfg.PasswordPage)
	}
	l, err := r.letter(id, acc.Login,
		lang.Say("mail.password.subject", acc.Login, day), lang.Say("mail.password.body", r.cfg.Hostname, why, how))
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "no reminder for an account", "account", acc.Login, "err", err)
		return nil
	}
	return r.deposit(ctx, l)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// domainOf is the domain of a login.
func domainOf(login string) string { return login[strings.LastIndexByte(login, '@')+1:] }
