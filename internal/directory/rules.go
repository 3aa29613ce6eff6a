package directory

import (
	"iter"
	"slices"
	"strings"

	"posta/internal/addr"
	"posta/internal/mailbox"
	"posta/internal/rules"
	"posta/internal/store"
)

// ruleCopy is a Directory as the reader of the store's rules sees it.
type ruleCopy Directory

// Replace implements follow.Copy.
func (d *ruleCopy) Replace(all iter.Seq2[store.AccessEntry, error]) error {
	var failed error
	set := rules.Collect(func(yield func(rules.Rule) bool) {
		for e, err := range all {
			var r rules.Rule
			if err == nil {
				r, err = ruleOfRow(e)
			}
			if failed = err; err != nil || !yield(r) {
				return
			}
		}
	})
	if failed == nil {
		d.set(set)
	}
	return failed
}

// Take implements follow.Copy.
func (d *ruleCopy) Take(page []store.AccessEntry) error {
	changes := make([]rules.Change, len(page))
	for i, e := range page {
		var err error
		if changes[i], err = ruleOfRow(e); err != nil {
			return err
		}
	}
	d.set(d.view.Load().rules.With(changes))
	return nil
}

// set makes rules live.
func (d *ruleCopy) set(s *rules.Set) {
	v := *d.view.Load()
	v.rules = s
	d.view.Store(&v)
}

func ruleOfRow(e store.AccessEntry) (rules.Rule, error) {
	kind, key, err := rules.CutName(e.Key)
	return rules.Rule{Kind: kind, Key: key, Value: e.Value}, err
}

// Rules are the rules of the view; nil is none.
func (v *View) Rules() *rules.Set { return v.rules }

// WithRules is the view as it would be with rules changed; one without a value goes.
func (v *View) WithRules(changes []rules.Change) *View {
	next := *v
	next.rules = v.rules.With(changes)
	return &next
}

// maxKey is room for the key of any address: local part, detail, domain.
const maxKey = 64 + 2 + 1 + 255

// nameOf is the domain of ours whose other name d is, or its new name; else d itself.
// One step is gone: a name of a name is a mistake that nobody follows.
func (v *View) nameOf(d addr.Domain) addr.Domain {
	if v.rules.Len(rules.AliasDomain) == 0 && v.rules.Len(rules.Renamed) == 0 || v.domains[string(d)] != nil {
		return d
	}
	for _, k := range []rules.Kind{rules.AliasDomain, rules.Renamed} {
		if to := v.rules.Get(k, []byte(d)); to != "" {
			return addr.Domain(to)
		}
	}
	return d
}

// Renamed gives an address its new domain where the domain was renamed (domaintable).
func (v *View) Renamed(a addr.Address) addr.Address {
	if v.rules.Len(rules.Renamed) > 0 {
		if to := v.rules.Get(rules.Renamed, []byte(a.Domain)); to != "" {
			a.Domain = addr.Domain(to)
		}
	}
	return a
}

// found is a rule that matched an address, with what %1 and %2 are.
type found struct {
	rules.Rule
	user, detail string
}

// ruleOf finds the rule of a full address: as it is, then user++@dom for any detail and
// user+*@dom for one that may be empty, then without its detail (sendmail's order).
func (v *View) ruleOf(a addr.Address) found { return v.searchRule(a, nil) }

func (v *View) searchRule(a addr.Address, log *[]Step) found {
	if v.rules.Len(rules.Address) == 0 {
		return found{}
	}
	a = a.Fold()
	var buf [maxKey]byte
	ask := func(local addr.Localpart) string {
		k := addr.Address{Local: local, Domain: a.Domain}.AppendTo(buf[:0])
		value := v.rules.Get(rules.Address, k)
		if log != nil {
			*log = append(*log, Step{StageAddress, string(k), value})
		}
		return value
	}
	made := func(local addr.Localpart, value, user, detail string) found {
		return found{rules.Rule{Kind: rules.Address, Key: addr.Address{Local: local, Domain: a.Domain}.String(), Value: value}, user, detail}
	}
	base, detail := addr.SplitDetail(a.Local, "+")
	if value := ask(a.Local); value != "" {
		return made(a.Local, value, string(base), detail)
	}
	if base == a.Local {
		return found{}
	}
	for _, local := range []addr.Localpart{base + "++", base + "+*", base} {
		if local == base+"++" && detail == "" {
			continue
		}
		if value := ask(local); value != "" {
			return made(local, value, string(base), detail)
		}
	}
	return found{}
}

// lastRule finds what takes the mail for an address that nothing else knows: a pattern,
// the catch-all of its domain, the fallback of the domain, or of all.
func (v *View) lastRule(a addr.Address, log *[]Step) found {
	a = a.Fold()
	base, detail := addr.SplitDetail(a.Local, "+")
	say := func(st Stage, key, value string) {
		if log != nil {
			*log = append(*log, Step{st, key, value})
		}
	}
	if r, ok := v.rules.Glob(a.String()); ok {
		say(StageGlob, r.Key, r.Value)
		return found{r, string(base), detail}
	}
	if v.rules.Len(rules.Glob) > 0 {
		say(StageGlob, a.String(), "")
	}
	for _, q := range []struct {
		stage Stage
		kind  rules.Kind
		key   string
	}{
		{StageCatchAll, rules.Address, "@" + string(a.Domain)},
		{StageFallback, rules.Fallback, string(a.Domain)},
		{StageFallback, rules.Fallback, "."},
	} {
		value := v.rules.Get(q.kind, []byte(q.key))
		if value == "" && q.kind == rules.Address { // one of before there were rules
			value = v.oldCatchAll(a.Domain)
		}
		if q.kind == rules.Address || v.rules.Len(q.kind) > 0 {
			say(q.stage, q.key, value)
		}
		if value != "" {
			return found{rules.Rule{Kind: q.kind, Key: q.key, Value: value}, string(base), detail}
		}
	}
	return found{}
}

// oldCatchAll is the catch-all that stands in the directory itself, as a value.
func (v *View) oldCatchAll(d addr.Domain) string {
	dom := v.domains[string(d)]
	if dom == nil {
		return ""
	}
	e := v.address[key{dom.ID, ""}]
	switch {
	case e == nil:
		return ""
	case e.Kind == store.ToTargets:
		return strings.Join(e.Targets, ", ")
	}
	if acc := v.accounts[e.Account]; acc != nil {
		return acc.Login
	}
	return ""
}

// CatchAll is what takes all mail for a domain of ours that nothing else knows.
type CatchAll struct {
	Domain   string
	Rule     string // as it stands: "@example.org lost@example.net"
	Forwards bool   // to another server, which may refuse what we have accepted
}

// CatchAlls lists the domains that have one: a catch-all, a fallback, or the pattern
// "*@" of the domain. One that refuses or drops is none.
func (v *View) CatchAlls() []CatchAll {
	var out []CatchAll
	for _, d := range slices.Sorted(slices.Values(v.Domains())) {
		a := addr.Address{Local: "any-name-at-all", Domain: addr.Domain(d)}
		f := v.lastRule(a, nil)
		if f.Value == "" || strings.HasPrefix(f.Value, "error:") || f.Value == "/dev/null" {
			continue
		}
		r := newResolution(v)
		r.expand(f, a, trail{})
		forwards := slices.ContainsFunc(r.out, func(t Target) bool { return !t.Remote.IsZero() && t.Transport == "" })
		if len(r.out) > 0 {
			out = append(out, CatchAll{d, f.Key + " " + f.Value, forwards})
		}
	}
	return out
}

// Way says by which way mail for a recipient elsewhere goes, in the order: the full
// address, its domain, a parent domain (the nearest first), who submits it, its sender,
// the sender's domain, everything. ok is false where no rule says anything.
func (v *View) Way(from addr.Address, account mailbox.AccountID, to addr.Address) (w rules.Way, by rules.Rule, ok bool) {
	for r := range v.waysOf(from, account, to) {
		if r.Value == "" {
			continue
		}
		if w, err := rules.ParseWay(r.Value); err == nil {
			return w, r, true
		}
	}
	return rules.Way{}, rules.Rule{}, false
}

// waysOf walks through the rules that Way asks for, with the value "" where there is
// none.
func (v *View) waysOf(from addr.Address, account mailbox.AccountID, to addr.Address) iter.Seq[rules.Rule] {
	return func(yield func(rules.Rule) bool) {
		ask := func(k rules.Kind, key string) bool {
			if v.rules.Len(k) == 0 {
				return true
			}
			return yield(rules.Rule{Kind: k, Key: key, Value: v.rules.Get(k, []byte(key))})
		}
		if v.rules.Len(rules.Transport)+v.rules.Len(rules.Sender)+v.rules.Len(rules.Account) == 0 {
			return
		}
		if !ask(rules.Transport, to.Fold().String()) || !ask(rules.Transport, string(to.Domain)) {
			return
		}
		for rest := string(to.Domain); strings.IndexByte(rest, '.') >= 0; {
			rest = rest[strings.IndexByte(rest, '.')+1:]
			if !ask(rules.Transport, "."+rest) {
				return
			}
		}
		if acc := v.accounts[account]; acc != nil && !ask(rules.Account, acc.Login) {
			return
		}
		if !from.IsZero() && (!ask(rules.Sender, from.Fold().String()) || !ask(rules.Sender, "@"+string(from.Domain))) {
			return
		}
		ask(rules.Transport, ".")
	}
}

// RouteOf is the way of mail for a domain whoever sends it, which route asks for at each
// attempt: a rule for the domain or a parent, or with all the one for everything.
func (v *View) RouteOf(domain string, all bool) (rules.Way, bool) {
	if v.rules.Len(rules.Transport) == 0 {
		return rules.Way{}, false
	}
	key := domain
	if all {
		key = "."
	}
	for {
		if value := v.rules.Get(rules.Transport, []byte(key)); value != "" {
			if w, err := rules.ParseWay(value); err == nil {
				return w, true
			}
		}
		at := strings.IndexByte(strings.TrimPrefix(key, "."), '.')
		if all || at < 0 {
			return rules.Way{}, false
		}
		key = strings.TrimPrefix(key, ".")[at:]
	}
}

// Outward gives a target elsewhere its way. That of a domain over SMTP is left to route,
// which asks at each attempt, so that a change holds for what waits too. local: leads back
// to a user of ours; an error: way of this very recipient is a *Refused. The errors are
// those of Resolve.
func (v *View) Outward(from addr.Address, account mailbox.AccountID, t Target) ([]Target, error) {
	w, by, ok := v.Way(from, account, t.Remote)
	switch {
	case !ok:
	case w.By == rules.Local:
		return v.inward(w.Host, t)
	case w.By == rules.Refused:
		reply, err := rules.ReplyOf(w.Host)
		if err != nil {
			return nil, ErrUnknown
		}
		return nil, &Refused{Reply: reply, Rule: by.Name()}
	case w.By == rules.LMTP, w.By == rules.Piped, by.Kind != rules.Transport, strings.IndexByte(by.Key, '@') >= 0:
		t.Transport = w.String()
	}
	return []Target{t}, nil
}

// inward is where local:user leads: an address of ours, or a user of the first of our
// domains that has him; "" is the user of the address itself.
func (v *View) inward(user string, t Target) ([]Target, error) {
	if user == "" {
		user = string(t.Remote.Local.Fold())
	}
	domains := v.Domains()
	slices.Sort(domains)
	if a, err := addr.ParseAddress(user); err == nil {
		user, domains = string(a.Local), []string{string(a.Domain)}
	}
	for _, d := range domains {
		a := addr.Address{Local: addr.Localpart(user), Domain: addr.Domain(d)}
		if v.ruleOf(a).Value == "" && v.lookup(a) == nil {
			continue
		}
		out, err := v.Resolve(a)
		for i := range out {
			out[i].Via = append(append(slices.Clone(t.Via), t.Remote.String()), out[i].Via...)
		}
		return out, err
	}
	return nil, ErrUnknown
}
