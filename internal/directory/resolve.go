package directory

import (
	"cmp"
	"errors"
	"slices"

	"posta/internal/addr"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// Errors of Resolve.
var (
	ErrNotLocal = errors.New("directory: not one of our domains")
	ErrUnknown  = errors.New("directory: no such address")
	ErrLoop     = errors.New("directory: the alias leads to itself only")
	ErrTooMany  = errors.New("directory: the alias leads to too many addresses")
)

// MaxTargets bounds what one address may expand to, and maxSteps the way there. What
// is above is refused as a whole: nobody is left out in silence.
const (
	MaxTargets = 10_000
	maxSteps   = 5 * MaxTargets
)

// Target is one end of an address's expansion.
type Target struct {
	Account mailbox.AccountID // not 0: this account's mailboxes
	Detail  string            // +detail of the address that led here, "" if none
	Remote  addr.Address      // else: to be sent on to this address
	Via     []string          // aliases passed through, for the trace

	Transport string        // for Remote, or alone: how it is delivered (mail.Effect.Transport)
	List      addr.Address  // else: to be given to this list of ours
	From      *addr.Address // owner-alias that led here: the reverse-path from there on; nil: as it was
}

// Resolve follows an address to its ends: accounts of ours and remote addresses,
// each once. Errors are ErrNotLocal, ErrUnknown, ErrLoop and ErrTooMany.
func (v *View) Resolve(a addr.Address) ([]Target, error) {
	if a.Domain == "" {
		return v.postmasterOf(a)
	}
	if !v.Local(a.Domain) {
		return nil, ErrNotLocal
	}
	r := resolution{view: v, seen: map[addr.Address]bool{}, taken: map[end]bool{}}
	r.follow(a, nil)
	switch {
	case len(r.out) > MaxTargets || r.steps > maxSteps:
		return nil, ErrTooMany
	case len(r.out) > 0:
		return r.out, nil
	case r.known:
		return nil, ErrLoop
	}
	return nil, ErrUnknown
}

// postmasterOf answers <Postmaster> without a domain (RFC 5321 §4.5.1).
func (v *View) postmasterOf(a addr.Address) ([]Target, error) {
	if a.Local.Fold() != "postmaster" {
		return nil, ErrUnknown
	}
	if id := v.admin(0); id != 0 {
		return []Target{{Account: id, Via: []string{"postmaster"}}}, nil
	}
	return nil, ErrUnknown
}

// resolution is one walk through the aliases.
type resolution struct {
	view  *View
	seen  map[addr.Address]bool
	taken map[end]bool
	out   []Target
	known bool // the address exists, even if it leads nowhere
	steps int
}

// end is what makes two targets the same.
type end struct {
	account mailbox.AccountID
	remote  addr.Address // folded
}

func (r *resolution) follow(a addr.Address, via []string) {
	folded := a.Fold()
	if r.steps++; r.steps > maxSteps || r.seen[folded] || len(r.out) > MaxTargets {
		return
	}
	r.seen[folded] = true
	if !r.view.Local(a.Domain) {
		r.add(Target{Remote: a, Via: via})
		return
	}
	_, detail := addr.SplitDetail(a.Local, "+")
	e, _ := r.view.lookup(a)
	switch {
	case e == nil && roleOf(string(folded.Local)):
		if id := r.view.admin(r.view.domains[string(a.Domain)].ID); id != 0 {
			r.known = true
			r.add(Target{Account: id, Via: append(slices.Clone(via), a.String())})
		}
	case e == nil && r.view.reflector(folded.Local):
		r.known = true // nobody reads it: see Reflects
	case e == nil:
		return
	case e.Kind == store.ToAccount:
		r.known = true
		if acc := r.view.accounts[e.Account]; acc != nil {
			r.add(Target{Account: e.Account, Detail: detail, Via: via})
		}
	default:
		r.known = true
		via = append(slices.Clone(via), a.String())
		for _, t := range e.Targets {
			if next, err := addr.ParseAddress(t); err == nil {
				r.follow(next, via)
			}
		}
	}
}

func (r *resolution) add(t Target) {
	if e := (end{t.Account, t.Remote.Fold()}); !r.taken[e] {
		r.taken[e] = true
		r.out = append(r.out, t)
	}
}

// admin is the account that reads postmaster@, abuse@ and hostmaster@ of a
// domain (0: of the house): its domain administrator, else the first owner.
func (v *View) admin(d store.DomainID) mailbox.AccountID {
	var best *store.Account
	rank := func(a *store.Account) int {
		switch {
		case a.Role == store.DomainAdmin && a.Domain == d:
			return 3
		case a.Role == store.Owner && a.Domain == d:
			return 2
		case a.Role == store.Owner:
			return 1
		}
		return 0
	}
	for _, a := range v.accounts {
		if a.Disabled || rank(a) == 0 {
			continue
		}
		if best == nil || cmp.Or(rank(a)-rank(best), int(best.ID-a.ID)) > 0 {
			best = a
		}
	}
	if best == nil {
		return 0
	}
	return best.ID
}

// MayUse reports whether an account may send as an address: one that leads to it
// alone, or any that expands to it.
func (v *View) MayUse(id mailbox.AccountID, a addr.Address) bool {
	targets, err := v.Resolve(a)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(targets, func(t Target) bool { return t.Account == id })
}
