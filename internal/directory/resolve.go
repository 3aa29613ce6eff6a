package directory

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"posta/internal/addr"
	"posta/internal/mailbox"
	"posta/internal/rules"
	"posta/internal/smtp"
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

// Refused is the error of an address that a rule refuses.
type Refused struct {
	Reply smtp.Reply
	Moved bool   // it has moved: 551
	Rule  string // that says so
}

// Error gives the reply and the rule.
func (e *Refused) Error() string { return "directory: " + e.Rule + ": " + e.Reply.String() }

// Target is one end of an address's expansion.
type Target struct {
	Account mailbox.AccountID // not 0: this account's mailboxes
	Detail  string            // +detail of the address that led here, "" if none
	Remote  addr.Address      // else: to be sent on to this address
	Via     []string          // aliases passed through, for the trace

	Drop      bool          // else: to be dropped (/dev/null)
	Transport string        // for Remote: how it is delivered (mail.Effect.Transport); Remote may be ours then
	List      addr.Address  // else: to be given to this list of ours
	From      *addr.Address // owner-alias that led here: the reverse-path from there on; nil: as it was
}

// Resolve follows an address to its ends: accounts of ours and remote addresses,
// each once. Errors are ErrNotLocal, ErrUnknown, ErrLoop, ErrTooMany and *Refused.
//
// Order: another name of a domain, the rule of the full address, accounts and aliases
// of the directory, the addresses that every domain has; patterns, the catch-all and
// the fallback only where none of those is there (S105).
func (v *View) Resolve(a addr.Address) ([]Target, error) {
	if a.Domain == "" {
		return v.postmasterOf(a)
	}
	if !v.Local(a.Domain) {
		return nil, ErrNotLocal
	}
	r := newResolution(v)
	r.begin(a)
	switch {
	case len(r.out) > MaxTargets || r.steps > maxSteps:
		return nil, ErrTooMany
	case len(r.out) > 0:
		return r.out, nil
	case r.refused != nil:
		return nil, r.refused
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

// resolution is one walk through rules and aliases.
type resolution struct {
	view    *View
	first   addr.Address // folded: the one address that most walks see
	asked   asked        // of first
	seen    map[addr.Address]asked
	taken   map[end]bool // of out, once there are many
	out     []Target
	refused *Refused // the first
	known   bool     // the address exists, even if it leads nowhere
	steps   int
	log     *[]Step // nil where nobody wants to know
}

// asked says what was asked of an address already.
type asked uint8

const (
	askedRule asked = 1 << iota // its rule, which there was
	askedOwn                    // everything else
)

func newResolution(v *View) resolution {
	return resolution{view: v}
}

// trail is how a walk came to an address.
type trail struct {
	via  []string
	from *addr.Address
}

// through is the trail behind an alias.
func (t trail) through(a addr.Address) trail {
	t.via = append(slices.Clone(t.via), a.String())
	return t
}

// end is what makes two targets the same.
type end struct {
	account   mailbox.AccountID
	remote    addr.Address // folded
	transport string
	drop      bool
}

func (r *resolution) say(s Stage, key, value string) {
	if r.log != nil {
		*r.log = append(*r.log, Step{s, key, value})
	}
}

// begin follows the first address.
func (r *resolution) begin(a addr.Address) { r.follow(a, trail{}) }

// follow goes on from an address. One that comes again, by way of its own rule, is the
// account of that name: so "ana: ana, copy" keeps ana's mail, and loops end.
func (r *resolution) follow(a addr.Address, t trail) {
	a, ours := r.place(a, t)
	if !ours {
		return
	}
	folded := a.Fold()
	if r.steps++; r.steps > maxSteps || len(r.out) > MaxTargets {
		return
	}
	been := r.been(folded)
	if been&askedRule == 0 {
		if f := r.view.searchRule(a, r.log); f.Value != "" {
			r.note(folded, askedRule)
			r.expand(f, a, r.owned(a, t))
			return
		}
	}
	if been&askedOwn != 0 {
		r.say(StageLoop, folded.String(), "")
		return
	}
	r.note(folded, askedOwn)
	if r.own(a, t) || been&askedRule != 0 {
		return
	}
	if f := r.view.lastRule(a, r.log); f.Value != "" {
		r.note(folded, askedRule)
		r.expand(f, a, t)
	}
}

// place gives an address the domain that it really has, and sends on what is not ours.
func (r *resolution) place(a addr.Address, t trail) (addr.Address, bool) {
	if d := r.view.nameOf(a.Domain); d != a.Domain {
		r.say(StageName, string(a.Domain), string(d))
		a.Domain = d
	}
	if r.view.domains[string(a.Domain)] == nil {
		r.say(StageSent, string(a.Domain), a.String())
		r.add(Target{Remote: a, Via: t.via, From: t.from})
		return a, false
	}
	if r.log != nil && len(t.via) == 0 {
		r.say(StageDomain, string(a.Domain), "ours")
	}
	return a, true
}

// own looks for what has exactly this address, rules aside.
func (r *resolution) own(a addr.Address, t trail) bool {
	local := a.Local.Fold()
	e := r.view.lookup(a)
	switch {
	case e == nil && roleOf(string(local)):
		if id := r.view.admin(r.view.domains[string(a.Domain)].ID); id != 0 {
			r.known = true
			r.say(StageRole, string(local), r.view.accounts[id].Login)
			r.add(Target{Account: id, Via: t.through(a).via, From: t.from})
		}
		return true // before any catch-all
	case e == nil && r.view.reflector(local):
		r.known = true // nobody reads it: see Reflects
		r.say(StageRole, string(local), a.String())
	case e == nil:
		r.say(StageAccount, a.Fold().String(), "")
		return false
	case e.Kind == store.ToAccount:
		r.known = true
		if acc := r.view.accounts[e.Account]; acc != nil {
			_, detail := addr.SplitDetail(a.Local, "+")
			r.say(StageAccount, a.Fold().String(), acc.Login)
			r.add(Target{Account: e.Account, Detail: detail, Via: t.via, From: t.from})
		}
	default:
		r.known = true
		r.say(StageAlias, a.Fold().String(), strings.Join(e.Targets, ", "))
		t = r.owned(a, t).through(a)
		for _, to := range e.Targets {
			if next, err := addr.ParseAddress(to); err == nil {
				r.follow(next, t)
			}
		}
	}
	return true
}

// owned is the trail behind an alias that has an owner: owner-NAME, where there is such
// an address, is the reverse-path of what the alias sends on, so that bounces reach who
// can mend it.
func (r *resolution) owned(a addr.Address, t trail) trail {
	base, _ := addr.SplitDetail(a.Local.Fold(), "+")
	if strings.HasPrefix(string(base), "owner-") {
		return t
	}
	owner := addr.Address{Local: "owner-" + base, Domain: a.Domain}
	if r.view.ruleOf(owner).Value == "" && r.view.lookup(owner) == nil {
		return t
	}
	r.say(StageOwner, a.String(), owner.String())
	t.from = &owner
	return t
}

// expand goes on to the targets of a rule that an address matched.
func (r *resolution) expand(f found, a addr.Address, t trail) {
	r.known = true
	t = t.through(a)
	for to := range rules.Targets(f.Value) {
		if r.steps++; r.steps > maxSteps || len(r.out) > MaxTargets {
			return
		}
		switch to.Form {
		case rules.Null:
			r.add(Target{Drop: true, Via: t.via})
		case rules.Program:
			r.add(Target{Remote: a, Transport: "pipe:" + to.Text, Via: t.via, From: t.from})
		case rules.Moved:
			r.refuse(f, smtp.New(551, "5.7.1", "User has moved; please try <"+to.Text+">"), true)
		case rules.Refuse:
			if reply, err := rules.ReplyOf(to.Text); err == nil {
				r.refuse(f, reply, false)
			}
		case rules.ToDomain:
			r.follow(addr.Address{Local: a.Local, Domain: addr.Domain(to.Text)}, t)
		default:
			next, err := addr.ParseAddress(to.Expand(f.user, f.detail))
			switch {
			case err != nil: // a detail that no address may have
			case to.Form == rules.ToUser:
				r.asUser(next, t)
			default:
				r.follow(next, t)
			}
		}
	}
}

// asUser goes to the account of an address, without its rule.
func (r *resolution) asUser(a addr.Address, t trail) {
	a, ours := r.place(a, t)
	if folded := a.Fold(); ours && r.been(folded)&askedOwn == 0 {
		r.note(folded, askedOwn)
		r.own(a, t)
	}
}

func (r *resolution) refuse(f found, reply smtp.Reply, moved bool) {
	if r.refused == nil {
		r.refused = &Refused{Reply: reply, Moved: moved, Rule: f.Name()}
	}
}

// been is what was asked of an address already.
func (r *resolution) been(a addr.Address) asked {
	if a == r.first {
		return r.asked
	}
	return r.seen[a]
}

// note keeps what was asked of an address.
func (r *resolution) note(a addr.Address, what asked) {
	if r.first.IsZero() {
		r.first = a
	}
	if a == r.first {
		r.asked |= what
		return
	}
	if r.seen == nil {
		r.seen = map[addr.Address]asked{}
	}
	r.seen[a] |= what
}

// few is up to how many targets are compared one by one.
const few = 16

// add takes a target that is not there yet.
func (r *resolution) add(t Target) {
	e := endOf(t)
	switch {
	case r.taken[e] || r.taken == nil && slices.ContainsFunc(r.out, func(o Target) bool { return endOf(o) == e }):
		return
	case r.taken != nil:
		r.taken[e] = true
	case len(r.out) == few:
		r.taken = map[end]bool{e: true}
		for _, o := range r.out {
			r.taken[endOf(o)] = true
		}
	}
	r.out = append(r.out, t)
}

func endOf(t Target) end { return end{t.Account, t.Remote.Fold(), t.Transport, t.Drop} }

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
