package command

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/policy"
	"posta/internal/store"
)

// PolicyView is the policy as people see it.
type PolicyView struct {
	Level      string      `json:"level"`
	Text       string      `json:"text"` // as policy.put takes it
	Rows       []PolicyRow `json:"rows"`
	Exceptions int         `json:"exceptions"`
}

// PolicyRow is a check with what follows from its failure.
type PolicyRow struct {
	Check       finding.ID `json:"check"`
	OwnServer   string     `json:"own_server"`
	BigProvider string     `json:"big_provider"`
	Unverified  string     `json:"unverified"`
	Everyone    bool       `json:"everyone,omitempty"`
	Changed     bool       `json:"changed,omitempty"` // by the administrator
}

// PolicyText is the argument of policy.put.
type PolicyText struct {
	Text string `json:"text"`
}

// PolicySet is the argument of policy.set: one step, for everybody or for some
// recipients of ours. An empty Step takes the row's own value again.
type PolicySet struct {
	Check string `json:"check"`
	Step  string `json:"step,omitempty"`
	Class string `json:"class,omitempty"` // "own-server", "big-provider", "unverified"; "" is every stranger
	For   string `json:"for,omitempty"`   // an address or "@domain" of ours; "" is everybody
}

// PolicyChanged tells what a change of the policy did.
type PolicyChanged struct {
	Level string   `json:"level"`
	Own   int      `json:"own"` // steps that differ from the level's
	Diff  []string `json:"diff"`
	// Expired counts the accounts that cannot log in any more until their password is
	// changed, and could before; Overdue those that can until Until, whose password
	// is older than it may be from now on.
	Expired int       `json:"expired,omitempty"`
	Overdue int       `json:"overdue,omitempty"`
	Until   time.Time `json:"until,omitzero"`
}

var policyCommands = []Command{
	run("policy.show", store.Helpdesk, showPolicy),
	run("policy.put", store.Owner, func(ctx context.Context, h *House, p Principal, a PolicyText) (any, error) {
		next, err := policy.Parse(a.Text)
		if err != nil {
			return nil, fail(ErrUsage, "error.policy.text", err)
		}
		return h.changePolicy(ctx, p, "policy.put", func(*policy.Policy) (*policy.Policy, error) { return next, nil })
	}),
	run("policy.level", store.Owner, func(ctx context.Context, h *House, p Principal, a Name) (any, error) {
		l, ok := policy.ParseLevel(a.Name)
		if !ok {
			return nil, fail(ErrUsage, "error.policy.level", a.Name)
		}
		return h.changePolicy(ctx, p, "policy.level", func(old *policy.Policy) (*policy.Policy, error) {
			next := policy.Profile(l)
			next.Steps, next.Exceptions, next.Spam, next.Quarantine = old.Steps, old.Exceptions, old.Spam, old.Quarantine
			next.Sealers, next.Accounts.PasswordGrace = old.Sealers, old.Accounts.PasswordGrace
			return next, nil
		})
	}),
	run("policy.set", store.Owner, func(ctx context.Context, h *House, p Principal, a PolicySet) (any, error) {
		return h.changePolicy(ctx, p, "policy.set", func(old *policy.Policy) (*policy.Policy, error) {
			next, err := old.With(policy.Edit{Check: finding.ID(a.Check), Step: a.Step, Class: a.Class, For: a.For})
			if err != nil {
				return nil, fail(ErrUsage, "error.policy.text", err)
			}
			return next, nil
		})
	}),
	run("policy.test", store.Helpdesk, testPolicy),
}

// currentPolicy is the policy of the view that is live.
func (h *House) currentPolicy() (*policy.Policy, error) {
	p, err := h.policies().Of(h.Directory.View().Setting(policy.Setting))
	if err != nil {
		return nil, fail(ErrUsage, "error.policy.stored", err)
	}
	return p, nil
}

// policies never is nil, so that a House on an idle folder needs none.
func (h *House) policies() *policy.Live {
	if h.Policies != nil {
		return h.Policies
	}
	return policy.NewLive(policy.Strict)
}

func showPolicy(_ context.Context, h *House, _ Principal, a struct {
	Profile string `json:"profile,omitempty"`
}) (any, error) {
	p, err := h.currentPolicy()
	if err != nil {
		return nil, err
	}
	if a.Profile != "" {
		l, ok := policy.ParseLevel(a.Profile)
		if !ok {
			return nil, fail(ErrUsage, "error.policy.level", a.Profile)
		}
		p = policy.Profile(l)
	}
	return ViewOf(p), nil
}

// ViewOf lays a policy open.
func ViewOf(p *policy.Policy) PolicyView {
	out := PolicyView{Level: p.Level.String(), Text: p.String(), Exceptions: len(p.Exceptions)}
	for _, r := range policy.Rules() {
		row := PolicyRow{Check: r.Check, Everyone: r.Everyone}
		for _, c := range []struct {
			cell policy.Cell
			text *string
		}{
			{policy.Cell{Check: r.Check, Class: mail.OwnServer}, &row.OwnServer},
			{policy.Cell{Check: r.Check, Class: mail.BigProvider}, &row.BigProvider},
			{policy.Cell{Check: r.Check, Unverified: true}, &row.Unverified},
		} {
			step, changed := p.At(c.cell)
			*c.text, row.Changed = step.String(), row.Changed || changed
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// changePolicy stores what next makes of the policy; it is live when it returns, and
// the audit log has who, when, and both texts.
func (h *House) changePolicy(ctx context.Context, p Principal, cmd string, next func(*policy.Policy) (*policy.Policy, error)) (any, error) {
	var out PolicyChanged
	err := h.change(ctx, p, cmd, policy.Setting, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		old, err := h.policies().Of(v.Settings[policy.Setting])
		if err != nil && cmd != "policy.put" {
			return nil, nil, fail(ErrUsage, "error.policy.stored", err)
		}
		changed, err := next(old)
		if err != nil {
			return nil, nil, err
		}
		before, after := old.String(), changed.String()
		out = PolicyChanged{Level: changed.Level.String(), Own: len(changed.Steps), Diff: diffLines(before, after)}
		began := v.Settings[policy.TermSetting]
		was := old.Accounts.Term(began)
		began = policy.ParseBegan(began).Next(changed.Accounts.PasswordDays, h.now()).String()
		is := changed.Accounts.Term(began)
		out.Expired = max(0, h.count(v, is, (*store.Account).Expired)-h.count(v, was, (*store.Account).Expired))
		if out.Overdue = h.count(v, is, overdue); out.Overdue > 0 {
			out.Until = is.Since.Add(is.Grace)
		}
		return before, after, errors.Join(tx.PutSetting(policy.Setting, after), tx.PutSetting(policy.TermSetting, began))
	})
	return out, err
}

// SettlePasswordTerm notes since when passwords may be only so old, where the policy
// that is in force is not what the note says: the level of posta.toml was changed, and
// its accounts have their grace from now on. It is called when a server starts.
func (h *House) SettlePasswordTerm(ctx context.Context, p Principal) error {
	settled := func(v string, days int) (string, bool) {
		next := policy.ParseBegan(v).Next(days, h.now()).String()
		return next, next == v
	}
	now, err := h.currentPolicy()
	if err != nil {
		return nil // intake tells of it
	}
	days := now.Accounts.PasswordDays
	if _, ok := settled(h.Directory.View().Setting(policy.TermSetting), days); ok {
		return nil
	}
	return h.change(ctx, p, "policy.password-term", policy.TermSetting, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		before := v.Settings[policy.TermSetting]
		after, _ := settled(before, days)
		return before, after, tx.PutSetting(policy.TermSetting, after)
	})
}

// count is how many accounts that may log in are so now, by a term.
func (h *House) count(v *store.DirectoryView, t store.PasswordTerm, is func(*store.Account, store.PasswordTerm, time.Time) bool) (n int) {
	now := h.now()
	for i := range v.Accounts {
		if a := &v.Accounts[i]; !a.Disabled && is(a, t, now) {
			n++
		}
	}
	return n
}

// overdue reports whether a password is older than it may be, and can still be used.
func overdue(a *store.Account, t store.PasswordTerm, now time.Time) bool {
	due := a.PasswordDue(t)
	return !due.IsZero() && !now.Before(due) && !a.Expired(t, now)
}

// diffLines lists the lines that went ("-") and came ("+"); a policy's lines are in
// one order, so that this is all that a person wants to see.
func diffLines(before, after string) []string {
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	out := []string{}
	for _, l := range was {
		if l != "" && !slices.Contains(is, l) {
			out = append(out, "- "+l)
		}
	}
	for _, l := range is {
		if l != "" && !slices.Contains(was, l) {
			out = append(out, "+ "+l)
		}
	}
	return out
}
