package command

import (
	"context"
	"errors"
	"strings"

	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/rules"
	"posta/internal/store"
)

// Rule is a rule of addresses, rewriting or transports as people see it (package rules).
type Rule struct {
	Kind  string `json:"kind"` // "address", "transport"…
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
	Note  string `json:"note,omitempty"`
	Who   string `json:"who,omitempty"`
}

// RuleQuery selects rules of a kind whose key contains Pattern or, when it has a * or ?,
// is as it says. Lists come in pages in the order of the keys.
type RuleQuery struct {
	Kind    string `json:"kind"`
	Pattern string `json:"pattern,omitempty"`
	After   string `json:"after,omitempty"` // Next of the page before
	Limit   int    `json:"limit,omitempty"` // 0 means 2,000, which is the most
}

// RulePage is one page of rules; Next is "" at the end.
type RulePage struct {
	Rules []Rule `json:"rules"`
	Next  string `json:"next,omitempty"`
}

// RuleEdit changes many rules in one transaction: at most store.MaxAccessStep of Put and
// Remove together.
type RuleEdit struct {
	Put    []Rule `json:"put,omitempty"`
	Remove []Rule `json:"remove,omitempty"` // by kind and key
}

// maxRuleEdit bounds the arguments of rule.edit, in octets.
const maxRuleEdit = 32 << 20

var ruleCommands = []Command{
	run("rule.ls", store.Helpdesk, listRules),
	bounded(run("rule.edit", store.Owner, func(ctx context.Context, h *House, p Principal, e RuleEdit) (any, error) {
		return h.changeRules(ctx, p, "rule.edit", e)
	}), maxRuleEdit),
}

func listRules(ctx context.Context, h *House, _ Principal, q RuleQuery) (any, error) {
	kind, ok := rules.ParseKind(q.Kind)
	if !ok {
		return nil, fail(ErrUsage, "error.rule.kind", q.Kind, kindList())
	}
	if q.Limit <= 0 || q.Limit > maxAccessPage {
		q.Limit = maxAccessPage
	}
	matches, err := accessPattern(q.Pattern)
	if err != nil {
		return nil, err
	}
	out := RulePage{Rules: []Rule{}}
	prefix := kind.String() + ":"
	for after := prefix + q.After; ; {
		page, err := h.Store.Rules().ListAccess(ctx, after, maxAccessPage)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			after = e.Key
			key, ok := strings.CutPrefix(e.Key, prefix)
			if !ok {
				return out, nil
			}
			if !matches(key) {
				continue
			}
			out.Rules = append(out.Rules, Rule{kind.String(), key, e.Value, e.Note, e.Who})
			if len(out.Rules) == q.Limit {
				out.Next = key
				return out, nil
			}
		}
		if len(page) < maxAccessPage {
			return out, nil
		}
	}
}

func kindList() string {
	var names []string
	for _, k := range rules.Kinds() {
		names = append(names, k.String())
	}
	return strings.Join(names, ", ")
}

// changeRules validates changes and makes them in one transaction; they are live when it
// returns.
func (h *House) changeRules(ctx context.Context, p Principal, cmd string, e RuleEdit) (*AccessChanged, error) {
	if n := len(e.Put) + len(e.Remove); n > store.MaxAccessStep {
		return nil, fail(ErrUsage, "error.access.many", n, store.MaxAccessStep)
	}
	v := h.Directory.View()
	var put []store.AccessEntry
	var keys []string
	seen := map[string]bool{}
	once := func(name string) error {
		if seen[name] {
			return fail(ErrUsage, "error.access.twice", name)
		}
		seen[name] = true
		keys = append(keys, name)
		return nil
	}
	for _, r := range e.Put {
		row, err := h.ruleRow(v, p, r)
		if err == nil {
			err = once(row.Key)
		}
		if err != nil {
			return nil, err
		}
		put = append(put, row)
	}
	for _, r := range e.Remove {
		rule, err := ruleKey(r)
		if err == nil {
			err = once(rule.Name())
		}
		if err != nil {
			return nil, err
		}
	}
	out, err := h.changeRows(ctx, h.Store.Rules(), p, cmd, put, keys)
	if err != nil {
		return nil, err
	}
	return out, h.Directory.Refresh(ctx)
}

// ruleKey reads which rule is meant.
func ruleKey(r Rule) (rules.Rule, error) {
	kind, ok := rules.ParseKind(r.Kind)
	if !ok {
		return rules.Rule{}, fail(ErrUsage, "error.rule.kind", r.Kind, kindList())
	}
	key, err := rules.NewKey(kind, r.Key, "")
	if err != nil {
		return rules.Rule{}, fail(ErrUsage, "error.rule.key", r.Key, err)
	}
	return rules.Rule{Kind: kind, Key: key}, nil
}

// ruleRow validates a rule and gives its row.
func (h *House) ruleRow(v *directory.View, p Principal, r Rule) (store.AccessEntry, error) {
	kind, ok := rules.ParseKind(r.Kind)
	if !ok {
		return store.AccessEntry{}, fail(ErrUsage, "error.rule.kind", r.Kind, kindList())
	}
	rule, err := rules.New(kind, r.Key, r.Value, "")
	if err != nil {
		return store.AccessEntry{}, fail(ErrUsage, "error.rule.value", r.Key, err)
	}
	if err := ruleHere(v, rule); err != nil {
		return store.AccessEntry{}, err
	}
	if name := h.missingProgram(rule); name != "" {
		return store.AccessEntry{}, fail(ErrMissing, "error.rule.program", r.Key, name, name)
	}
	if !oneLine(r.Note) {
		return store.AccessEntry{}, fail(ErrUsage, "error.access.note", maxNote)
	}
	return store.AccessEntry{Key: rule.Name(), Value: rule.Value, Note: r.Note, Who: p.Name, At: h.now()}, nil
}

// missingProgram is the first program of a rule that posta.toml does not name, "" if there
// is none: its mail would wait until it is.
func (h *House) missingProgram(r rules.Rule) string {
	if h.Runs == nil {
		return ""
	}
	switch r.Kind {
	case rules.Address, rules.Glob, rules.Fallback:
		for t := range rules.Targets(r.Value) {
			if t.Form == rules.Program && !h.Runs(t.Text) {
				return t.Text
			}
		}
	case rules.Transport, rules.Sender, rules.Account:
		if w, err := rules.ParseWay(r.Value); err == nil && w.By == rules.Piped && !h.Runs(w.Host) {
			return w.Host
		}
	}
	return ""
}

// ruleHere says why a rule cannot be in this house: its domain is not ours, it would
// take the mail of an account or refuse that of postmaster@ (RFC 5321 §4.5.1), or it
// renames a domain that we have.
func ruleHere(v *directory.View, r rules.Rule) error {
	switch r.Kind {
	case rules.Address, rules.Fallback:
		domain := r.Key[strings.LastIndexByte(r.Key, '@')+1:]
		if domain != "." && v.DomainNamed(addr.Domain(domain)) == nil {
			return fail(ErrMissing, "error.domain.foreign", domain, domain)
		}
	case rules.AliasDomain, rules.Renamed:
		if v.DomainNamed(addr.Domain(r.Key)) != nil {
			return fail(ErrUsage, "error.rule.own", r.Key)
		}
		if r.Kind == rules.AliasDomain && v.DomainNamed(addr.Domain(r.Value)) == nil {
			return fail(ErrMissing, "error.domain.foreign", r.Value, r.Value)
		}
	case rules.Account:
		if acc := v.ByLogin(r.Key); acc == nil || acc.Login != r.Key {
			return fail(ErrMissing, "error.account.missing", r.Key)
		}
	}
	a, err := addr.ParseAddress(r.Key)
	if r.Kind != rules.Address || err != nil {
		return nil
	}
	refuses := strings.HasPrefix(r.Value, "error:") || strings.HasSuffix(r.Value, ".REDIRECT")
	if refuses && directory.IsPostmaster(a) {
		return fail(ErrUsage, "error.rule.postmaster", r.Key)
	}
	if acc := v.ByLogin(r.Key); !refuses && acc != nil && acc.Login == r.Key && !rules.LeadsTo(r.Value, r.Key) {
		return fail(ErrExists, "error.rule.account", r.Key, r.Key)
	}
	return nil
}

// wouldLoop reports whether an address would lead only to itself with a rule.
func wouldLoop(v *directory.View, r rules.Rule) bool {
	a, err := addr.ParseAddress(r.Key)
	if err != nil {
		return false
	}
	v = v.WithRules([]rules.Change{r})
	if _, err := v.Resolve(a); !errors.Is(err, directory.ErrLoop) {
		return false
	}
	steps, _ := v.Walk(a)
	for _, s := range steps {
		if s.Stage == directory.StageLoop {
			return true
		}
	}
	// Gone round once, an address is asked for what is there beside its rule.
	return rules.LeadsTo(r.Value, r.Key)
}
