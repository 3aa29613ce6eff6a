package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"posta/internal/config"
	"posta/internal/finding"
)

func (c *cli) checkCommand() *cobra.Command {
	return c.group("check", "check",
		c.leaf("ls", "check.ls", 0, false, func(*cobra.Command, []string) error { return c.listChecks() }),
		c.leaf("self", "check.self", 0, false, func(cmd *cobra.Command, _ []string) error {
			var out []finding.Finding
			if err := c.do(cmd.Context(), "check.self", struct{}{}, &out); err != nil {
				return err
			}
			return c.showFindings(out)
		}),
		c.leaf("show ID", "check.show", 1, false, func(_ *cobra.Command, args []string) error { return c.showCheck(args[0]) }),
	)
}

// shownCheck is a check as programs read it.
type shownCheck struct {
	finding.Check
	Section  string
	Severity string
	finding.Text
	Links []string // where the standard is read
	Page  string   // of the documentation
}

func (c *cli) shown(k finding.Check) shownCheck {
	return shownCheck{
		Check: k, Section: k.ID.Section(), Severity: k.Severity.String(), Text: finding.TextOf(k.ID, string(c.lang)),
		Links: k.Links(), Page: c.lang.Say("doc.checks") + "#" + string(k.ID),
	}
}

// listChecks prints the catalogue by sections, in its own order.
func (c *cli) listChecks() error {
	all := finding.All()
	if c.json {
		var out []shownCheck
		for _, k := range all {
			out = append(out, c.shown(k))
		}
		return c.printJSON(out)
	}
	severity := func(k finding.Check) string { return c.lang.Say("severity." + k.Severity.String()) }
	head := strings.Split(c.lang.Say("head.check"), "|")
	widths := [2]int{utf8.RuneCountInString(head[0]), utf8.RuneCountInString(head[1])}
	for _, k := range all {
		widths[0] = max(widths[0], len(k.ID))
		widths[1] = max(widths[1], utf8.RuneCountInString(severity(k)))
	}
	line := func(id, severity, title string) {
		fmt.Fprintf(c.out, "%-*s  %-*s  %s\n", widths[0], id, widths[1], severity, title)
	}
	line(head[0], head[1], head[2])
	section := ""
	for _, k := range all {
		if s := k.ID.Section(); s != section {
			section = s
			fmt.Fprintf(c.out, "\n%s\n", finding.SectionTitle(s, string(c.lang)))
		}
		line(string(k.ID), severity(k), finding.TextOf(k.ID, string(c.lang)).Title)
	}
	return nil
}

// showCheck explains a check; for an id that does not exist it says which may
// have been meant.
func (c *cli) showCheck(id string) error {
	k, ok := finding.Lookup(finding.ID(id))
	if !ok {
		near := finding.Near(id)
		if len(near) == 0 {
			return fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.check", id))
		}
		names := make([]string, len(near))
		for i, n := range near {
			names[i] = string(n)
		}
		return fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.check.near", id, strings.Join(names, ", ")))
	}
	x := c.shown(k)
	if c.json {
		return c.printJSON(x)
	}
	fmt.Fprintf(c.out, "%s (%s: %s)\n\n%s.\n%s\n\n", k.ID, c.lang.Say("severity."+x.Severity), c.lang.Say("severity.means."+x.Severity), x.Title, x.Why)
	for _, row := range [][2]string{
		{"word.them", x.Them}, {"word.us", x.Us}, {"word.standard", k.Standard}, {"word.reference", k.Ref}, {"word.page", x.Page},
	} {
		fmt.Fprintf(c.out, "%s: %s\n", c.lang.Say(row[0]), row[1])
		if row[0] == "word.standard" {
			for _, link := range x.Links {
				fmt.Fprintf(c.out, "  %s\n", link)
			}
		}
	}
	return nil
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
