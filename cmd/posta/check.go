package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"posta/internal/config"
	"posta/internal/finding"
	"posta/internal/policy"
)

func (c *cli) checkCommand() *cobra.Command {
	type shown struct {
		finding.Check
		Severity string
		finding.Text
	}
	show := func(k finding.Check) shown {
		return shown{k, k.Severity.String(), finding.TextOf(k.ID, string(c.lang))}
	}
	return c.group("check", "check",
		c.leaf("ls", "check.ls", 0, false, func(*cobra.Command, []string) error {
			var all []shown
			var rows [][]string
			for _, k := range finding.All() {
				all = append(all, show(k))
				rows = append(rows, []string{string(k.ID), c.lang.Say("severity." + k.Severity.String()), finding.TextOf(k.ID, string(c.lang)).Title})
			}
			if c.json {
				return c.printJSON(all)
			}
			c.table("head.check", rows)
			return nil
		}),
		c.leaf("self", "check.self", 0, false, func(cmd *cobra.Command, _ []string) error {
			var out []finding.Finding
			if err := c.do(cmd.Context(), "check.self", struct{}{}, &out); err != nil {
				return err
			}
			return c.showFindings(out)
		}),
		c.leaf("show ID", "check.show", 1, false, func(_ *cobra.Command, args []string) error {
			k, ok := finding.Lookup(finding.ID(args[0]))
			if !ok {
				return fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.check", args[0]))
			}
			if c.json {
				return c.printJSON(show(k))
			}
			t := finding.TextOf(k.ID, string(c.lang))
			fmt.Fprintf(c.out, "%s (%s)\n\n%s.\n%s\n\n%s: %s\n%s: %s\n%s: %s (%s)\n", k.ID, c.lang.Say("severity."+k.Severity.String()),
				t.Title, t.Why, c.lang.Say("word.them"), t.Them, c.lang.Say("word.us"), t.Us, c.lang.Say("word.standard"), k.Standard, k.Ref)
			return nil
		}),
	)
}

func (c *cli) policyCommand() *cobra.Command {
	return c.group("policy", "policy", c.leaf("show", "policy.show", 0, false, func(*cobra.Command, []string) error {
		if c.json {
			return c.printJSON(policy.Rules())
		}
		var rows [][]string
		step := func(s policy.Step) string {
			switch {
			case s.Published:
				return c.lang.Say("policy.published")
			case s.Mark != "":
				return s.Action.String() + " " + s.Mark
			}
			return s.Action.String()
		}
		for _, r := range policy.Rules() {
			row := []string{string(r.Check)}
			for l := range r.Strangers {
				text := step(r.Strangers[l])
				if r.Unverified[l] != (policy.Step{}) {
					text += " (" + c.lang.Say("policy.unverified") + ": " + step(r.Unverified[l]) + ")"
				}
				row = append(row, text)
			}
			rows = append(rows, row)
		}
		c.table("head.policy", rows)
		return nil
	}))
}

func (c *cli) configCommand() *cobra.Command {
	return c.group("config", "config",
		c.leaf("check", "config.check", 0, false, func(*cobra.Command, []string) error {
			if _, err := config.Load(c.configFile); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			c.say("done.config.check", c.configFile)
			return nil
		}),
		c.leaf("show", "config.show", 0, false, func(*cobra.Command, []string) error {
			cfg, err := c.loadConfig()
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(cfg.Redacted())
			}
			text, err := cfg.Text()
			fmt.Fprint(c.out, text)
			return err
		}),
	)
}

// showFindings prints findings with their mend; exit status 1 when there are any.
func (c *cli) showFindings(fs []finding.Finding) error {
	if c.json {
		if err := c.printJSON(fs); err != nil {
			return err
		}
	} else {
		for _, f := range fs {
			t := finding.TextOf(f.Check, string(c.lang))
			fmt.Fprintf(c.out, "[%s] %s %s\n  %s\n", f.Check, t.Title, f.Subject, t.Us)
			for _, e := range f.Evidence {
				fmt.Fprintf(c.out, "    %s: %s\n", printable(e.What), printable(e.Seen))
			}
		}
		if len(fs) == 0 {
			c.say("done.check.self")
		}
	}
	if len(fs) > 0 {
		return found{exitFindings}
	}
	return nil
}
