package command

import (
	"context"
	"slices"
	"strings"

	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/rules"
	"posta/internal/store"
)

// Domain is a local domain as people see it.
type Domain struct {
	Name     string `json:"name"`
	Accounts int    `json:"accounts"`
	Aliases  int    `json:"aliases"`
	Language string `json:"language,omitempty"` // of what we write to its people; "" is the node's
	STS      *STS   `json:"mta_sts,omitempty"`  // the MTA-STS policy that we serve for it, where one was set
}

// Name is the argument of commands on one thing.
type Name struct {
	Name string `json:"name"`
}

var domainCommands = []Command{
	run("domain.add", store.Owner, func(ctx context.Context, h *House, p Principal, a Name) (any, error) {
		d, err := addr.ParseDomain(a.Name)
		if err != nil || d.Labels() < 2 {
			return nil, fail(ErrUsage, "error.domain.name", a.Name)
		}
		out := Domain{Name: string(d)}
		return out, h.change(ctx, p, "domain.add", string(d), func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
			if findDomain(v, string(d)) != nil {
				return nil, nil, fail(ErrExists, "error.domain.exists", d)
			}
			return nil, out, tx.PutDomain(&store.Domain{Name: string(d), Created: h.now()})
		})
	}),
	run("domain.remove", store.Owner, func(ctx context.Context, h *House, p Principal, a Name) (any, error) {
		name := strings.ToLower(a.Name)
		return nil, h.change(ctx, p, "domain.remove", name, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
			d := findDomain(v, name)
			if d == nil {
				return nil, nil, fail(ErrMissing, "error.domain.missing", name)
			}
			sum := countDomain(v, d, h.rulesByDomain())
			if sum.Accounts+sum.Aliases > 0 {
				return nil, nil, fail(ErrUsage, "error.domain.used", name, sum.Accounts, sum.Aliases)
			}
			for _, k := range v.Keys {
				if k.Domain == d.ID {
					if err := tx.DeleteKey(d.ID, k.Selector); err != nil {
						return nil, nil, err
					}
				}
			}
			for _, setting := range []string{rotationSetting, stsSetting, directory.LanguageSetting} {
				if err := tx.PutSetting(setting+name, ""); err != nil {
					return nil, nil, err
				}
			}
			return sum, nil, tx.DeleteDomain(d.ID)
		})
	}),
	run("domain.ls", store.Helpdesk, func(ctx context.Context, h *House, p Principal, _ struct{}) (any, error) {
		v, err := h.Store.LoadDirectory(ctx)
		if err != nil {
			return nil, err
		}
		ruled := h.rulesByDomain()
		out := []Domain{}
		for i := range v.Domains {
			out = append(out, countDomain(v, &v.Domains[i], ruled))
		}
		slices.SortFunc(out, func(a, b Domain) int { return strings.Compare(a.Name, b.Name) })
		return out, nil
	}),
}

func findDomain(v *store.DirectoryView, name string) *store.Domain {
	i := slices.IndexFunc(v.Domains, func(d store.Domain) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	return &v.Domains[i]
}

// rulesByDomain counts the rules that lead from addresses of a domain, or to it as another
// name: a domain that has some is in use.
func (h *House) rulesByDomain() map[string]int {
	out := map[string]int{}
	set := h.Directory.View().Rules()
	for _, k := range []rules.Kind{rules.Address, rules.Fallback} {
		for r := range set.All(k) {
			out[r.Key[strings.LastIndexByte(r.Key, '@')+1:]]++
		}
	}
	for r := range set.All(rules.AliasDomain) {
		out[r.Value]++
	}
	return out
}

func countDomain(v *store.DirectoryView, d *store.Domain, ruled map[string]int) Domain {
	out := Domain{Name: d.Name, Aliases: ruled[d.Name], Language: languageOf(v, d.Name)}
	if text := v.Settings[stsSetting+d.Name]; text != "" {
		if s, err := STSOf(text); err == nil {
			out.STS = &s
		}
	}
	for _, a := range v.Accounts {
		if a.Domain == d.ID {
			out.Accounts++
		}
	}
	for _, a := range v.Addresses {
		if a.Domain == d.ID && a.Kind == store.ToTargets {
			out.Aliases++
		}
	}
	return out
}
