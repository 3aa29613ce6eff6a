package command

import (
	"context"
	"errors"
	"slices"
	"strings"

	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/mailbox"
	"posta/internal/rules"
	"posta/internal/store"
)

// Alias is an address that leads to others. The address "@example.org" is the domain's
// catch-all, "example.org" alone its fallback and "." that of all domains; one with * or
// ? in it is a pattern. Targets are as package rules reads them.
type Alias struct {
	Address string   `json:"address"`
	Targets []string `json:"targets"`
}

// AliasQuery selects aliases; the zero value is all.
type AliasQuery struct {
	Directory bool `json:"directory,omitempty"` // without the rules, which rule.ls gives in pages
}

var aliasCommands = []Command{
	bounded(run("alias.add", store.Owner, putAlias), maxRuleEdit),
	run("alias.remove", store.Owner, removeAlias),
	run("alias.ls", store.Helpdesk, listAliases),
}

// aliasKind is what kind of rule an alias is.
func aliasKind(address string) rules.Kind {
	switch local, _, ok := strings.Cut(address, "@"); {
	case !ok:
		return rules.Fallback
	case strings.ContainsAny(strings.TrimSuffix(local, "+*"), "*?") || strings.ContainsAny(address[len(local):], "*?"):
		return rules.Glob
	}
	return rules.Address
}

// aliasRule reads an alias. A pattern that is new comes behind all others.
func aliasRule(v *directory.View, a Alias) (rules.Rule, error) {
	kind, key := aliasKind(a.Address), a.Address
	if kind == rules.Glob {
		key = globKey(v, a.Address)
	}
	value := strings.Join(a.Targets, ", ")
	if len(a.Targets) > 0 && strings.HasPrefix(strings.ToLower(a.Targets[0]), "error:") {
		value = strings.Join(a.Targets, " ")
	}
	r, err := rules.New(kind, key, value, "")
	if err != nil {
		return r, fail(ErrUsage, "error.rule.value", a.Address, err)
	}
	return r, nil
}

// globStep is left between patterns, so that one can be put between two.
const globStep = 10

// globKey is the key of a pattern: the one that it has, or the next in the order.
func globKey(v *directory.View, pattern string) string {
	last := 0
	for _, g := range v.Rules().Globs() {
		place, p, _ := strings.Cut(g.Key, " ")
		if strings.EqualFold(p, pattern) {
			return g.Key
		}
		n := 0
		for _, c := range place {
			n = 10*n + int(c-'0')
		}
		last = max(last, n)
	}
	return rules.GlobKey(last+globStep, pattern)
}

func putAlias(ctx context.Context, h *House, p Principal, a Alias) (any, error) {
	if len(a.Targets) == 0 {
		return nil, fail(ErrUsage, "error.alias.empty", a.Address)
	}
	if n := len(a.Targets); n > directory.MaxTargets {
		return nil, fail(ErrUsage, "error.alias.large", a.Address, n, directory.MaxTargets)
	}
	if err := h.Directory.Refresh(ctx); err != nil {
		return nil, err
	}
	v := h.Directory.View()
	r, err := aliasRule(v, a)
	if err != nil {
		return nil, err
	}
	if id := sameAs(v, r); id != 0 {
		return h.putName(ctx, p, r, id)
	}
	if wouldLoop(v, r) {
		return nil, fail(ErrUsage, "error.alias.loop", a.Address)
	}
	e := RuleEdit{Put: []Rule{{Kind: r.Kind.String(), Key: r.Key, Value: r.Value}}}
	if _, err := h.changeRules(ctx, p, "alias.add", e); err != nil {
		return nil, err
	}
	// What the directory itself had under the address is hidden by the rule, and goes.
	if err := h.dropName(ctx, p, r.Key); err != nil && !errors.Is(err, ErrMissing) {
		return nil, err
	}
	return Alias{a.Address, targetsOf(r.Value)}, nil
}

// targetsOf are the targets of a value as a list.
func targetsOf(value string) []string {
	var out []string
	for t := range rules.Targets(value) {
		out = append(out, t.String())
	}
	return out
}

// sameAs is the account that an alias is just another name of: one that may also log in
// and send by it. 0 is none.
func sameAs(v *directory.View, r rules.Rule) mailbox.AccountID {
	a, err := addr.ParseAddress(r.Key)
	if err != nil || r.Kind != rules.Address || strings.ContainsAny(string(a.Local), "+*%") {
		return 0
	}
	acc := v.ByLogin(r.Value)
	if acc == nil || acc.Login != strings.ToLower(r.Value) || acc.Login == r.Key || v.DomainNamed(a.Domain) == nil {
		return 0
	}
	if own := v.ByLogin(r.Key); own != nil && own.Login == r.Key {
		return 0
	}
	return acc.ID
}

// putName makes an address another name of an account.
func (h *House) putName(ctx context.Context, p Principal, r rules.Rule, id mailbox.AccountID) (any, error) {
	out := Alias{r.Key, []string{r.Value}}
	err := h.change(ctx, p, "alias.add", r.Key, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		d, local, err := nameKey(v, r.Key)
		if err != nil {
			return nil, nil, err
		}
		var before any
		if e := findAddress(v, d, local); e != nil {
			before = Alias{r.Key, e.Targets}
		}
		return before, out, tx.PutAddress(store.Address{Domain: d, Local: local, Kind: store.ToAccount, Account: id})
	})
	if err != nil {
		return nil, err
	}
	if v := h.Directory.View(); v.Rules().Get(r.Kind, []byte(r.Key)) == "" {
		return out, nil
	}
	// A rule would hide it.
	_, err = h.changeRules(ctx, p, "alias.add", RuleEdit{Remove: []Rule{{Kind: r.Kind.String(), Key: r.Key}}})
	return out, err
}

// nameKey parts an address of the directory; the local part of "@example.org" is "".
func nameKey(v *store.DirectoryView, s string) (store.DomainID, string, error) {
	local, domain := "", strings.TrimPrefix(s, "@")
	if !strings.HasPrefix(s, "@") {
		ad, err := addr.ParseAddress(s)
		if err != nil {
			return 0, "", fail(ErrUsage, "error.alias.address", s, err)
		}
		ad = ad.Fold()
		local, domain = string(ad.Local), string(ad.Domain)
	}
	d := findDomain(v, strings.ToLower(domain))
	if d == nil {
		return 0, "", fail(ErrMissing, "error.domain.foreign", domain, domain)
	}
	return d.ID, local, nil
}

func isLogin(v *store.DirectoryView, e *store.Address, address string) bool {
	acc, err := needAccount(v, strings.ToLower(address))
	return err == nil && acc.ID == e.Account
}

// dropName removes an address of the directory that is not an account's login.
func (h *House) dropName(ctx context.Context, p Principal, address string) error {
	v, err := h.Store.LoadDirectory(ctx)
	if err != nil {
		return err
	}
	d, local, err := nameKey(v, address)
	if err != nil {
		return fail(ErrMissing, "error.alias.missing", address)
	}
	if e := findAddress(v, d, local); e == nil || e.Kind == store.ToAccount && isLogin(v, e, address) {
		return fail(ErrMissing, "error.alias.missing", address)
	}
	return h.change(ctx, p, "alias.remove", address, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		e := findAddress(v, d, local)
		if e == nil {
			return nil, nil, fail(ErrMissing, "error.alias.missing", address)
		}
		return Alias{address, e.Targets}, nil, tx.DeleteAddress(d, local)
	})
}

func removeAlias(ctx context.Context, h *House, p Principal, a Name) (any, error) {
	if err := h.Directory.Refresh(ctx); err != nil {
		return nil, err
	}
	kind, key := aliasKind(a.Name), a.Name
	if kind == rules.Glob {
		key = globKey(h.Directory.View(), a.Name)
	}
	key, err := rules.NewKey(kind, key, "")
	if err != nil {
		return nil, fail(ErrUsage, "error.alias.address", a.Name, err)
	}
	ruled := h.Directory.View().Rules().Get(kind, []byte(key)) != ""
	if ruled {
		if _, err := h.changeRules(ctx, p, "alias.remove", RuleEdit{Remove: []Rule{{Kind: kind.String(), Key: key}}}); err != nil {
			return nil, err
		}
	}
	err = h.dropName(ctx, p, key)
	if ruled && errors.Is(err, ErrMissing) {
		return nil, nil
	}
	if acc := h.Directory.View().ByLogin(key); errors.Is(err, ErrMissing) && acc != nil && acc.Login == key {
		return nil, fail(ErrUsage, "error.alias.not", a.Name)
	}
	return nil, err
}

func listAliases(ctx context.Context, h *House, _ Principal, q AliasQuery) (any, error) {
	v, err := h.Store.LoadDirectory(ctx)
	if err != nil {
		return nil, err
	}
	out := directoryAliases(v)
	if !q.Directory {
		if err := h.Directory.Refresh(ctx); err != nil {
			return nil, err
		}
		set := h.Directory.View().Rules()
		for _, k := range []rules.Kind{rules.Address, rules.Glob, rules.Fallback} {
			for r := range set.All(k) {
				out = append(out, Alias{ruleAddress(r), targetsOf(r.Value)})
			}
		}
	}
	slices.SortFunc(out, func(a, b Alias) int { return strings.Compare(a.Address, b.Address) })
	return out, nil
}

// ruleAddress is the address of an alias that is a rule.
func ruleAddress(r rules.Rule) string {
	if r.Kind == rules.Glob {
		_, pattern, _ := strings.Cut(r.Key, " ")
		return pattern
	}
	return r.Key
}

// directoryAliases are the other names of accounts, and the aliases of before there were
// rules.
func directoryAliases(v *store.DirectoryView) []Alias {
	names := map[store.DomainID]string{}
	for _, d := range v.Domains {
		names[d.ID] = d.Name
	}
	logins := map[mailbox.AccountID]string{}
	for i := range v.Accounts {
		logins[v.Accounts[i].ID] = v.Accounts[i].Login
	}
	out := []Alias{}
	for i := range v.Addresses {
		e := &v.Addresses[i]
		al := Alias{Address: e.Local + "@" + names[e.Domain], Targets: e.Targets}
		if e.Kind == store.ToAccount {
			if logins[e.Account] == al.Address {
				continue
			}
			al.Targets = []string{logins[e.Account]}
		}
		out = append(out, al)
	}
	return out
}
