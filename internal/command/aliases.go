package command

import (
	"context"
	"slices"
	"strings"

	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/store"
)

// Alias is an address that leads to others. The address "@example.org" is the
// domain's catch-all.
type Alias struct {
	Address string   `json:"address"`
	Targets []string `json:"targets"`
}

var aliasCommands = []Command{
	run("alias.add", store.Owner, putAlias),
	run("alias.remove", store.Owner, removeAlias),
	run("alias.ls", store.Helpdesk, listAliases),
}

// aliasKey parts an alias address; the local part of "@example.org" is "".
func aliasKey(v *store.DirectoryView, s string) (store.DomainID, string, error) {
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

func putAlias(ctx context.Context, h *House, p Principal, a Alias) (any, error) {
	if len(a.Targets) == 0 {
		return nil, fail(ErrUsage, "error.alias.empty", a.Address)
	}
	if n := len(a.Targets); n > directory.MaxTargets {
		return nil, fail(ErrUsage, "error.alias.large", a.Address, n, directory.MaxTargets)
	}
	targets := make([]string, 0, len(a.Targets))
	for _, t := range a.Targets {
		ad, err := addr.ParseAddress(t)
		if err != nil {
			return nil, fail(ErrUsage, "error.address.syntax", t, err)
		}
		targets = append(targets, ad.String())
	}
	out := Alias{a.Address, targets}
	return out, h.change(ctx, p, "alias.add", a.Address, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		d, local, err := aliasKey(v, a.Address)
		if err != nil {
			return nil, nil, err
		}
		var before any
		if e := findAddress(v, d, local); e != nil {
			if e.Kind == store.ToAccount && isLogin(v, e, a.Address) {
				return nil, nil, fail(ErrExists, "error.alias.account", a.Address)
			}
			before = Alias{a.Address, e.Targets}
		}
		e := store.Address{Domain: d, Local: local, Kind: store.ToTargets, Targets: targets}
		// A single account of ours is named directly, so that it may also log
		// in and send with this address.
		if acc, err := needAccount(v, strings.ToLower(targets[0])); err == nil && len(targets) == 1 && local != "" {
			e = store.Address{Domain: d, Local: local, Kind: store.ToAccount, Account: acc.ID}
		}
		return before, out, tx.PutAddress(e)
	})
}

func isLogin(v *store.DirectoryView, e *store.Address, address string) bool {
	acc, err := needAccount(v, strings.ToLower(address))
	return err == nil && acc.ID == e.Account
}

func removeAlias(ctx context.Context, h *House, p Principal, a Name) (any, error) {
	return nil, h.change(ctx, p, "alias.remove", a.Name, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		d, local, err := aliasKey(v, a.Name)
		if err != nil {
			return nil, nil, err
		}
		e := findAddress(v, d, local)
		if e == nil {
			return nil, nil, fail(ErrMissing, "error.alias.missing", a.Name)
		}
		if e.Kind == store.ToAccount && isLogin(v, e, a.Name) {
			return nil, nil, fail(ErrUsage, "error.alias.not", a.Name)
		}
		return Alias{a.Name, e.Targets}, nil, tx.DeleteAddress(d, local)
	})
}

func listAliases(ctx context.Context, h *House, _ Principal, _ struct{}) (any, error) {
	v, err := h.Store.LoadDirectory(ctx)
	if err != nil {
		return nil, err
	}
	names := map[store.DomainID]string{}
	for _, d := range v.Domains {
		names[d.ID] = d.Name
	}
	out := []Alias{}
	for i := range v.Addresses {
		e := &v.Addresses[i]
		al := Alias{Address: e.Local + "@" + names[e.Domain], Targets: e.Targets}
		if e.Kind == store.ToAccount {
			if isLogin(v, e, al.Address) {
				continue
			}
			for _, acc := range v.Accounts {
				if acc.ID == e.Account {
					al.Targets = []string{acc.Login}
				}
			}
		}
		out = append(out, al)
	}
	slices.SortFunc(out, func(a, b Alias) int { return strings.Compare(a.Address, b.Address) })
	return out, nil
}
