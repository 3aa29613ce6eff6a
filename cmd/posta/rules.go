package main

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/rules"
	"posta/internal/store"
)

// eachRule calls f with every rule of a kind that a pattern means.
func eachRule(do give, kind rules.Kind, pattern string, f func(command.Rule)) error {
	q := command.RuleQuery{Kind: kind.String(), Pattern: pattern}
	for {
		var page command.RulePage
		if err := do("rule.ls", q, &page); err != nil {
			return err
		}
		for _, r := range page.Rules {
			f(r)
		}
		if q.After = page.Next; q.After == "" {
			return nil
		}
	}
}

// listKinds lists the rules of some kinds.
func (c *cli) listKinds(key string, kinds ...rules.Kind) *cobra.Command {
	return c.leaf("ls [PATTERN]", key, 0, true, func(cmd *cobra.Command, args []string) error {
		do, done := c.conversation(cmd.Context())
		defer done()
		all := []command.Rule{}
		for _, k := range kinds {
			if err := eachRule(do, k, strings.Join(args, " "), func(r command.Rule) { all = append(all, r) }); err != nil {
				return err
			}
		}
		if c.json {
			return c.printJSON(all)
		}
		var rows [][]string
		for _, r := range all {
			rows = append(rows, []string{r.Kind, r.Key, r.Value, r.Who})
		}
		c.table("head.rule", rows)
		return nil
	})
}

// setRule puts one rule.
func (c *cli) setRule(cmd *cobra.Command, kind rules.Kind, key, value string) error {
	r := command.Rule{Kind: kind.String(), Key: key, Value: value}
	return c.change(cmd, "rule.edit", command.RuleEdit{Put: []command.Rule{r}}, "done.rule.set", key, value)
}

// removeRule takes one rule out.
func (c *cli) removeRule(cmd *cobra.Command, kind rules.Kind, key string) error {
	var out command.AccessChanged
	e := command.RuleEdit{Remove: []command.Rule{{Kind: kind.String(), Key: key}}}
	if err := c.do(cmd.Context(), "rule.edit", e, &out); err != nil {
		return err
	}
	if out.Removed == 0 {
		return &command.Error{Kind: command.ErrMissing, Key: "error.rule.missing", Args: []any{kind.String() + ":" + key}}
	}
	if c.json {
		return c.printJSON(out)
	}
	c.say("done.rule.rm", key)
	return nil
}

func (c *cli) routeCommand() *cobra.Command {
	var sender, account bool
	kind := func() rules.Kind {
		switch {
		case sender:
			return rules.Sender
		case account:
			return rules.Account
		}
		return rules.Transport
	}
	flags := func(cmd *cobra.Command) *cobra.Command {
		cmd.Flags().BoolVar(&sender, "sender", false, c.lang.Say("flag.route.sender"))
		cmd.Flags().BoolVar(&account, "account", false, c.lang.Say("flag.route.account"))
		cmd.MarkFlagsMutuallyExclusive("sender", "account")
		return cmd
	}
	return c.group("route", "route",
		c.listKinds("route.ls", rules.Transport, rules.Account, rules.Sender),
		flags(c.leaf("set KEY WAY", "route.set", 2, true, func(cmd *cobra.Command, args []string) error {
			return c.setRule(cmd, kind(), args[0], strings.Join(args[1:], " "))
		})),
		flags(c.leaf("rm KEY", "route.rm", 1, false, func(cmd *cobra.Command, args []string) error {
			return c.removeRule(cmd, kind(), args[0])
		})),
		c.ruleLoad("route.load", rules.MailerTable, rules.Transports, rules.Senders),
	)
}

func (c *cli) rewriteCommand() *cobra.Command {
	kinds := []rules.Kind{rules.Renamed, rules.AliasDomain, rules.Generic, rules.Masquerade}
	kindOf := func(name string) (rules.Kind, error) {
		k, ok := rules.ParseKind(name)
		if !ok || !slices.Contains(kinds, k) {
			return 0, &command.Error{Kind: errUsage, Key: "error.rule.kind", Args: []any{name, "domain, alias-domain, generic, masquerade"}}
		}
		return k, nil
	}
	return c.group("rewrite", "rewrite",
		c.listKinds("rewrite.ls", kinds...),
		c.leaf("set KIND KEY VALUE", "rewrite.set", 3, true, func(cmd *cobra.Command, args []string) error {
			k, err := kindOf(args[0])
			if err != nil {
				return err
			}
			return c.setRule(cmd, k, args[1], strings.Join(args[2:], " "))
		}),
		c.leaf("rm KIND KEY", "rewrite.rm", 2, false, func(cmd *cobra.Command, args []string) error {
			k, err := kindOf(args[0])
			if err != nil {
				return err
			}
			return c.removeRule(cmd, k, args[1])
		}),
		c.ruleLoad("rewrite.load", rules.DomainTable, rules.GenericTable),
	)
}

// maxRuleFile bounds a file to load, in octets; one that it includes is bounded apart.
const (
	maxRuleFile    = 1 << 30
	maxIncludeFile = 1 << 20
)

// ruleLoad takes the rules of a file in one of some formats, the first by default.
func (c *cli) ruleLoad(key string, formats ...rules.Format) *cobra.Command {
	var format, domain string
	var replace, dry bool
	var names []string
	for _, f := range formats {
		names = append(names, string(f))
	}
	cmd := c.leaf("load FILE", key, 1, false, func(cmd *cobra.Command, args []string) error {
		f := rules.Format(format)
		if !slices.Contains(formats, f) {
			return &command.Error{Kind: errUsage, Key: "error.rule.format", Args: []any{format, strings.Join(names, ", ")}}
		}
		do, done := c.conversation(cmd.Context())
		defer done()
		list, err := readRules(do, args[0], f, domain)
		if err != nil {
			return err
		}
		im := ruleImport{do: do, dry: dry}
		if err := im.run(list, f.Kind(), replace); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(im.done)
		}
		text := "done.rule.load"
		if dry {
			text = "done.rule.dry"
		}
		c.say(text, im.done.Added, im.done.Changed, im.done.Removed, im.done.Same)
		return nil
	})
	cmd.Flags().StringVar(&format, "format", names[0], c.lang.Say("flag.rule.format", strings.Join(names, ", ")))
	cmd.Flags().StringVar(&domain, "domain", "", c.lang.Say("flag.rule.domain"))
	cmd.Flags().BoolVar(&replace, "replace", false, c.lang.Say("flag.rule.replace"))
	cmd.Flags().BoolVar(&dry, "dry-run", false, c.lang.Say("flag.rule.dry-run"))
	return cmd
}

// readRules reads a file; everything that is wrong in it is told at once.
func readRules(do give, file string, f rules.Format, domain string) ([]rules.Placed, error) {
	var domains []command.Domain
	if err := do("domain.ls", struct{}{}, &domains); err != nil {
		return nil, err
	}
	if domain == "" && len(domains) == 1 {
		domain = domains[0].Name
	}
	if domain == "" && f == rules.Aliases {
		return nil, &command.Error{Kind: errUsage, Key: "error.rule.domain"}
	}
	ours := map[string]bool{}
	for _, d := range domains {
		ours[d.Name] = true
	}
	var accounts []command.Account
	if err := do("account.ls", struct{}{}, &accounts); err != nil {
		return nil, err
	}
	logins := map[string]bool{}
	for i := range accounts {
		logins[accounts[i].Address] = true
	}
	text, err := readInput(file, maxRuleFile)
	if err != nil {
		return nil, err
	}
	list, err := rules.Parse(text, rules.File{
		Format: f, Domain: domain, Local: func(d string) bool { return ours[d] },
		Account: func(address string) bool { return logins[address] },
		Include: func(name string) ([]byte, error) { return readInput(name, maxIncludeFile) },
	})
	if problems, ok := errors.AsType[*rules.Problems](err); ok {
		return nil, &command.Error{Kind: errUsage, Key: "error.rule.file", Args: []any{file, len(problems.List) + problems.More, problems.Error()}}
	}
	return list, err
}

// ruleImport sends the difference between a file and the rules of its kind, in
// transactions of bounded size. Broken off, it may be repeated: what is the same is not
// sent.
type ruleImport struct {
	do   give
	dry  bool
	edit command.RuleEdit
	done ruleLoaded
}

// ruleLoaded is what came of loading a file.
type ruleLoaded struct {
	command.AccessChanged
	Same int `json:"same"`
}

// maxRuleOctets bounds one transaction beside the number of its rules, in octets: a rule
// may have ten thousand targets.
const maxRuleOctets = 8 << 20

func (im *ruleImport) run(list []rules.Placed, kind rules.Kind, replace bool) error {
	want := make(map[string]string, len(list))
	for _, r := range list {
		want[r.Key] = r.Value
	}
	var gone []string
	changed := map[string]bool{}
	err := eachRule(im.do, kind, "", func(r command.Rule) {
		switch v, ok := want[r.Key]; {
		case !ok:
			gone = append(gone, r.Key)
		case v == r.Value:
			im.done.Same++
			delete(want, r.Key)
		default:
			changed[r.Key] = true
		}
	})
	if err != nil {
		return err
	}
	if !replace {
		gone = nil
	}
	if im.dry {
		im.done.Changed, im.done.Added, im.done.Removed = len(changed), len(want)-len(changed), len(gone)
		return nil
	}
	octets := 0
	for _, k := range slices.Sorted(maps.Keys(want)) {
		im.edit.Put = append(im.edit.Put, command.Rule{Kind: kind.String(), Key: k, Value: want[k]})
		if octets += len(k) + len(want[k]); octets > maxRuleOctets || len(im.edit.Put) == store.MaxAccessStep {
			octets = 0
			if err := im.flush(); err != nil {
				return err
			}
		}
	}
	if err := im.flush(); err != nil {
		return err
	}
	for some := range slices.Chunk(gone, store.MaxAccessStep) {
		for _, k := range some {
			im.edit.Remove = append(im.edit.Remove, command.Rule{Kind: kind.String(), Key: k})
		}
		if err := im.flush(); err != nil {
			return err
		}
	}
	return nil
}

// flush sends what is gathered.
func (im *ruleImport) flush() error {
	if len(im.edit.Put)+len(im.edit.Remove) == 0 {
		return nil
	}
	var out command.AccessChanged
	err := im.do("rule.edit", im.edit, &out)
	im.edit = command.RuleEdit{}
	im.done.Added += out.Added
	im.done.Changed += out.Changed
	im.done.Removed += out.Removed
	return err
}
