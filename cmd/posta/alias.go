package main

import (
	"strings"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/rules"
)

func (c *cli) aliasCommand() *cobra.Command {
	return c.group("alias", "alias",
		c.leaf("add ADDRESS TARGET...", "alias.add", 2, true, func(cmd *cobra.Command, args []string) error {
			return c.change(cmd, "alias.add", command.Alias{Address: args[0], Targets: args[1:]}, "done.alias.add", args[0], strings.Join(args[1:], ", "))
		}),
		c.leaf("remove ADDRESS", "alias.remove", 1, false, func(cmd *cobra.Command, args []string) error {
			return c.change(cmd, "alias.remove", command.Name{Name: args[0]}, "done.alias.remove", args[0])
		}),
		c.aliasLs(),
		c.ruleLoad("alias.load", rules.Aliases, rules.Virtual, rules.VirtUser, rules.Globs),
	)
}

// aliasLs lists the other names of accounts, and the rules page by page.
func (c *cli) aliasLs() *cobra.Command {
	return c.leaf("ls [PATTERN]", "alias.ls", 0, true, func(cmd *cobra.Command, args []string) error {
		do, done := c.conversation(cmd.Context())
		defer done()
		pattern := strings.ToLower(strings.Join(args, " "))
		var own, all []command.Alias
		if err := do("alias.ls", command.AliasQuery{Directory: true}, &own); err != nil {
			return err
		}
		for _, a := range own {
			if strings.Contains(a.Address, strings.Trim(pattern, "*")) {
				all = append(all, a)
			}
		}
		for _, k := range []rules.Kind{rules.Address, rules.Glob, rules.Fallback} {
			err := eachRule(do, k, pattern, func(r command.Rule) {
				a := command.Alias{Address: r.Key}
				if k == rules.Glob {
					_, a.Address, _ = strings.Cut(r.Key, " ")
				}
				for t := range rules.Targets(r.Value) {
					a.Targets = append(a.Targets, t.String())
				}
				all = append(all, a)
			})
			if err != nil {
				return err
			}
		}
		if c.json {
			return c.printJSON(all)
		}
		var rows [][]string
		for _, a := range all {
			rows = append(rows, []string{a.Address, strings.Join(a.Targets, ", ")})
		}
		c.table("head.alias", rows)
		return nil
	})
}
