package command

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"posta/internal/finding"
	"posta/internal/store"
)

// AcceptedSetting is where the accepted findings stand in the settings.
const AcceptedSetting = "audit.accepted"

// maxAcceptance is how long a finding may be accepted: what is older is looked at
// again.
const maxAcceptance = 2 * 366 * 24 * time.Hour

// maxAccepted bounds how many findings are accepted at a time.
const maxAccepted = 1000

// Accepted is a finding of an audit that somebody answers for until a day: it is
// shown as accepted, and no mail is written about it.
type Accepted struct {
	Check   string    `json:"check"`
	Subject string    `json:"subject"` // "*" is every subject
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Until   time.Time `json:"until"`
}

// Holds tells whether it holds for a finding at a time.
func (a *Accepted) Holds(check, subject string, now time.Time) bool {
	return a.Check == check && (a.Subject == "*" || strings.EqualFold(a.Subject, subject)) && now.Before(a.Until)
}

// Accept is the argument of audit.accept.
type Accept struct {
	Check   string `json:"check"`
	Subject string `json:"subject"`
	Reason  string `json:"reason"`
	Until   string `json:"until"` // "2026-12-31": the last day that it holds
}

var acceptedCommands = []Command{
	run("audit.accept", store.Owner, acceptFinding),
	run("audit.unaccept", store.Owner, func(ctx context.Context, h *House, p Principal, a Accept) (any, error) {
		return nil, h.change(ctx, p, "audit.unaccept", a.Check+" "+a.Subject, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
			list, err := ReadAccepted(v.Settings[AcceptedSetting])
			if err != nil {
				return nil, nil, err
			}
			i := slices.IndexFunc(list, func(o Accepted) bool { return o.Check == a.Check && strings.EqualFold(o.Subject, a.Subject) })
			if i < 0 {
				return nil, nil, fail(ErrMissing, "error.accept.missing", a.Check, a.Subject)
			}
			before := list[i]
			return before, nil, putAccepted(tx, slices.Delete(list, i, i+1))
		})
	}),
	run("audit.accepted", store.Helpdesk, func(ctx context.Context, h *House, _ Principal, _ struct{}) (any, error) {
		v, err := h.Store.LoadDirectory(ctx)
		if err != nil {
			return nil, err
		}
		return ReadAccepted(v.Settings[AcceptedSetting])
	}),
}

// ReadAccepted reads the setting; "" is none.
func ReadAccepted(setting string) ([]Accepted, error) {
	out := []Accepted{}
	if setting == "" {
		return out, nil
	}
	if err := json.Unmarshal([]byte(setting), &out); err != nil {
		return nil, fail(ErrUsage, "error.accept.read", err)
	}
	return out, nil
}

func putAccepted(tx store.DirectoryTx, list []Accepted) error {
	if len(list) == 0 {
		return tx.PutSetting(AcceptedSetting, "")
	}
	return tx.PutSetting(AcceptedSetting, asJSON(list))
}

// DNSChecks are the names under which differences of DNS records are told, beside the
// checks of the catalogue: a record that is missing, another one in its place, one of
// ours that is not wanted any more.
func DNSChecks() []string { return []string{"zone.missing", "zone.different", "zone.extra"} }

func acceptFinding(ctx context.Context, h *House, p Principal, a Accept) (any, error) {
	if _, ok := finding.Lookup(finding.ID(a.Check)); !ok && !slices.Contains(DNSChecks(), a.Check) {
		return nil, fail(ErrMissing, "error.accept.check", a.Check)
	}
	if strings.TrimSpace(a.Reason) == "" || len(a.Reason) > 1000 || a.Subject == "" || len(a.Subject) > 400 {
		return nil, fail(ErrUsage, "error.accept.reason")
	}
	day, err := time.Parse(time.DateOnly, a.Until)
	now := h.now()
	until := day.AddDate(0, 0, 1)
	if err != nil || !until.After(now) || until.Sub(now) > maxAcceptance {
		return nil, fail(ErrUsage, "error.accept.until", a.Until)
	}
	out := Accepted{Check: a.Check, Subject: a.Subject, Reason: a.Reason, By: p.Name, At: now, Until: until}
	return out, h.change(ctx, p, "audit.accept", a.Check+" "+a.Subject, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		list, err := ReadAccepted(v.Settings[AcceptedSetting])
		if err != nil {
			return nil, nil, err
		}
		// What is over, and what this one says anew, goes.
		list = slices.DeleteFunc(list, func(o Accepted) bool {
			return !now.Before(o.Until) || o.Check == out.Check && strings.EqualFold(o.Subject, out.Subject)
		})
		if len(list) >= maxAccepted {
			return nil, nil, fail(ErrUsage, "error.accept.many", maxAccepted)
		}
		return nil, out, putAccepted(tx, append(list, out))
	})
}
