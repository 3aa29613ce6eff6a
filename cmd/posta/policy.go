package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/finding"
	"posta/internal/policy"
)

func (c *cli) policyCommand() *cobra.Command {
	return c.group("policy", "policy", c.policyShow(), c.policyLevel(), c.policySet(), c.policyApply(), c.policyTest())
}

// policyShow prints the policy in force; a profile, and the shipped policy where
// there is no configuration, need no data folder.
func (c *cli) policyShow() *cobra.Command {
	var profile string
	var text bool
	cmd := c.leaf("show", "policy.show", 0, false, func(cmd *cobra.Command, _ []string) error {
		var v command.PolicyView
		if profile != "" {
			l, ok := policy.ParseLevel(profile)
			if !ok {
				return fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.policy.level", profile))
			}
			v = command.ViewOf(policy.Profile(l))
		} else if err := c.do(cmd.Context(), "policy.show", struct{}{}, &v); err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				return err
			}
			v = command.ViewOf(policy.Profile(policy.Strict))
		}
		switch {
		case c.json:
			return c.printJSON(v)
		case text:
			fmt.Fprint(c.out, v.Text)
		case profile == policy.Guia.String():
			c.printGuide(v)
		default:
			c.printPolicy(v)
		}
		return nil
	})
	cmd.Flags().StringVar(&profile, "profile", "", c.lang.Say("flag.profile"))
	cmd.Flags().BoolVar(&text, "text", false, c.lang.Say("flag.policy.text"))
	return cmd
}

func (c *cli) printPolicy(v command.PolicyView) {
	c.say("policy.level", v.Level, v.Exceptions)
	var rows [][]string
	for _, r := range v.Rows {
		note := ""
		if r.Changed {
			note = c.lang.Say("policy.changed")
		}
		rows = append(rows, []string{string(r.Check), r.OwnServer, r.BigProvider, r.Unverified, note})
	}
	c.table("head.policy", rows)
}

// printGuide says for each line of the guides' profile where it comes from, and
// where strict differs and why.
func (c *cli) printGuide(v command.PolicyView) {
	strict := map[finding.ID]command.PolicyRow{}
	for _, r := range command.ViewOf(policy.Profile(policy.Strict)).Rows {
		strict[r.Check] = r
	}
	line := func(key, value, was string) {
		g := policy.GuideOf(key, string(c.lang))
		fmt.Fprintf(c.out, "%-22s %s\n  %s: %s\n", key, value, g.Lines, g.Reason)
		if g.Differs != "" {
			fmt.Fprintf(c.out, "  %s\n", c.lang.Say("policy.strict", was, g.Differs))
		}
	}
	for _, r := range v.Rows {
		line(string(r.Check), c.cells(r), c.cells(strict[r.Check]))
	}
	p := policy.Profile(policy.Guia)
	line("accounts.password_days", strconv.Itoa(p.Accounts.PasswordDays), c.lang.Say("policy.never"))
	line("accounts.password_grace", c.lang.Say("policy.grace", days(p.Accounts.Grace())), "")
	line("accounts.messages_per_day", strconv.Itoa(p.Accounts.MessagesPerDay), c.lang.Say("policy.unlimited"))
	line("quarantine.digest", days(p.Quarantine.DigestAfter()), "")
	line("quarantine.overdue", days(p.Quarantine.OverdueAfter()), "")
}

// cells is a row on one line.
func (c *cli) cells(r command.PolicyRow) string {
	out := r.OwnServer
	if r.BigProvider != r.OwnServer {
		out += ", " + c.lang.Say("policy.big", r.BigProvider)
	}
	if r.Unverified != "accept" {
		out += ", " + c.lang.Say("policy.unverified") + " " + r.Unverified
	}
	return out
}

func days(d time.Duration) string { return strconv.Itoa(int(d/(24*time.Hour))) + "d" }

func (c *cli) policyLevel() *cobra.Command {
	return c.leaf("level NAME", "policy.level", 1, false, func(cmd *cobra.Command, args []string) error {
		return c.changePolicy(cmd, "policy.level", command.Name{Name: args[0]})
	})
}

func (c *cli) policySet() *cobra.Command {
	var a command.PolicySet
	var unset bool
	cmd := c.leaf("set CHECK STEP", "policy.set", 1, true, func(cmd *cobra.Command, args []string) error {
		if unset == (len(args) > 1) {
			return c.usage(cmd.UseLine())
		}
		a.Check, a.Step = args[0], strings.Join(args[1:], " ")
		return c.changePolicy(cmd, "policy.set", a)
	})
	cmd.Flags().StringVar(&a.Class, "class", "", c.lang.Say("flag.class"))
	cmd.Flags().StringVar(&a.For, "for", "", c.lang.Say("flag.for"))
	cmd.Flags().BoolVar(&unset, "unset", false, c.lang.Say("flag.unset"))
	return cmd
}

func (c *cli) policyApply() *cobra.Command {
	return c.leaf("apply FILE", "policy.apply", 1, false, func(cmd *cobra.Command, args []string) error {
		b, err := readInput(args[0], policy.MaxText)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		return c.changePolicy(cmd, "policy.put", command.PolicyText{Text: string(b)})
	})
}

// changePolicy gives a command and prints what it changed.
func (c *cli) changePolicy(cmd *cobra.Command, name string, args any) error {
	var out command.PolicyChanged
	if err := c.do(cmd.Context(), name, args, &out); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(out)
	}
	for _, l := range out.Diff {
		fmt.Fprintln(c.out, printable(l))
	}
	c.say("done.policy", out.Level, out.Own)
	if out.Expired > 0 {
		c.say("done.policy.expired", out.Expired)
	}
	if out.Overdue > 0 {
		c.say("done.policy.grace", out.Overdue, out.Until.UTC().Format(time.RFC3339))
	}
	return nil
}

// policyTest tries a changed policy on what real traffic left.
func (c *cli) policyTest() *cobra.Command {
	since := "14d"
	cmd := c.leaf("test FILE", "policy.test", 1, false, func(cmd *cobra.Command, args []string) error {
		b, err := readInput(args[0], policy.MaxText)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		from, err := moment(since, time.Now())
		if err != nil {
			return fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.since", since))
		}
		var out command.PolicyReport
		if err := c.do(cmd.Context(), "policy.test", command.PolicyTrial{Text: string(b), Since: from}, &out); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		c.printTrial(out)
		return nil
	})
	cmd.Flags().StringVar(&since, "since", since, c.lang.Say("flag.since"))
	return cmd
}

func (c *cli) printTrial(out command.PolicyReport) {
	var rows [][]string
	recipients := 0
	for _, ch := range out.Changes {
		recipients += ch.Count
		rows = append(rows, []string{
			strconv.Itoa(ch.Count), ch.Sender, ch.Was, c.lang.Say("action." + ch.Becomes), ch.Check,
			ch.Last.Local().Format(time.DateTime), strings.Join(ch.Traces[:min(len(ch.Traces), 3)], " "),
		})
	}
	if len(rows) > 0 {
		c.table("head.policy.test", rows)
	}
	c.say("policy.tested", out.Sessions, out.Since.Local().Format(time.DateTime), recipients)
}

// moment reads "14d", "36h" as so long ago, or a date.
func moment(s string, now time.Time) (time.Time, error) {
	if n, ok := strings.CutSuffix(s, "d"); ok {
		if days, err := strconv.Atoi(n); err == nil && days >= 0 && days <= 36500 {
			return now.AddDate(0, 0, -days), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.ParseInLocation(time.DateOnly, s, time.Local)
}
