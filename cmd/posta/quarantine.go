package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/finding"
	"posta/internal/mail"
)

func (c *cli) quarantineCommand() *cobra.Command {
	return c.group("quarantine", "quarantine", c.quarantineList(), c.quarantineShow(), c.quarantineRelease(), c.quarantineDelete(), c.quarantineTerm(),
		c.leaf("tell", "quarantine.tell", 0, false, func(cmd *cobra.Command, _ []string) error {
			var out command.Told
			if err := c.do(cmd.Context(), "quarantine.tell", struct{}{}, &out); err != nil {
				return err
			}
			if c.json {
				return c.printJSON(out)
			}
			c.say("done.quarantine.told", out.Messages)
			return nil
		}))
}

func (c *cli) quarantineList() *cobra.Command {
	var q command.HeldQuery
	cmd := c.leaf("ls", "quarantine.ls", 0, false, func(cmd *cobra.Command, _ []string) error {
		var out []command.HeldItem
		return c.list(cmd, "quarantine.ls", q, &out, "head.quarantine", func() (rows [][]string) {
			for i := range out {
				it := &out[i]
				rows = append(rows, []string{
					strconv.FormatInt(it.ID, 10), it.Held.Local().Format(time.DateTime), it.Recipient, sender(it), it.Subject,
					size(it.Size), strings.Join(reasonIDs(it), " "), c.lang.Say("quarantine.state." + heldState(it)),
				})
			}
			return rows
		})
	})
	f := cmd.Flags()
	f.StringVar(&q.Recipient, "recipient", "", c.lang.Say("flag.quarantine.recipient"))
	f.StringVar(&q.Domain, "domain", "", c.lang.Say("flag.quarantine.domain"))
	f.StringVar(&q.Message, "message", "", c.lang.Say("flag.quarantine.message"))
	f.BoolVar(&q.Overdue, "overdue", false, c.lang.Say("flag.quarantine.overdue"))
	f.IntVar(&q.Limit, "limit", 0, c.lang.Say("flag.limit"))
	return cmd
}

func sender(it *command.HeldItem) string {
	if it.Author != "" {
		return it.Author
	}
	return "<" + it.From + ">"
}

func reasonIDs(it *command.HeldItem) []string {
	var out []string
	for _, r := range it.Reasons {
		out = append(out, r.Check)
	}
	return out
}

func heldState(it *command.HeldItem) string {
	switch {
	case it.Overdue:
		return "overdue"
	case !it.Reviewed.IsZero():
		return "reviewed"
	case !it.Told.IsZero():
		return "told"
	}
	return "new"
}

func (c *cli) quarantineShow() *cobra.Command {
	var raw bool
	cmd := c.leaf("show ID", "quarantine.show", 1, false, func(cmd *cobra.Command, args []string) error {
		ids, err := c.heldIDs(args)
		if err != nil {
			return err
		}
		var out command.HeldDetail
		if err := c.do(cmd.Context(), "quarantine.show", map[string]any{"id": ids[0], "raw": raw}, &out); err != nil {
			return err
		}
		switch {
		case c.json:
			return c.printJSON(out)
		case raw:
			_, err := c.out.Write(out.Raw)
			return err
		}
		c.printHeld(&out)
		return nil
	})
	cmd.Flags().BoolVar(&raw, "raw", false, c.lang.Say("flag.quarantine.raw"))
	return cmd
}

// printHeld shows one held message to a person.
func (c *cli) printHeld(m *command.HeldDetail) {
	line := func(key, v string) {
		if v != "" {
			fmt.Fprintf(c.out, "%-13s %s\n", c.lang.Say("quarantine.show."+key), printable(v))
		}
	}
	when := func(key string, t time.Time) {
		if !t.IsZero() {
			line(key, t.Local().Format(time.DateTime))
		}
	}
	if m.Message != (mail.ID{}).String() {
		line("message", m.Message)
	}
	line("for", m.Recipient)
	line("from", "<"+m.From+">")
	line("author", m.Author)
	line("subject", m.Subject)
	line("size", size(m.Size))
	when("held", m.Held)
	when("told", m.Told)
	when("reviewed", m.Reviewed)
	when("expires", m.Expires)
	for _, r := range m.Reasons {
		line("reason", strings.TrimSpace("["+r.Check+"] "+finding.TextOf(finding.ID(r.Check), string(c.lang)).Title+" "+r.Seen))
	}
	line("text", m.Preview)
	fmt.Fprintln(c.out)
	for l := range strings.SplitSeq(m.Header, "\n") {
		fmt.Fprintln(c.out, printable(strings.ReplaceAll(l, "\t", " ")))
	}
}

// heldIDs reads the numbers that ls shows.
func (c *cli) heldIDs(args []string) ([]int64, error) {
	var out []int64
	for _, a := range args {
		id, err := strconv.ParseInt(a, 10, 64)
		if err != nil || id <= 0 {
			return nil, &command.Error{Kind: errUsage, Key: "error.quarantine.none", Args: []any{a}}
		}
		out = append(out, id)
	}
	return out, nil
}

func (c *cli) quarantineRelease() *cobra.Command {
	var choice command.HeldChoice
	cmd := c.leaf("release ID…", "quarantine.release", 1, true, func(cmd *cobra.Command, args []string) (err error) {
		if choice.IDs, err = c.heldIDs(args); err != nil {
			return err
		}
		var out []command.Released
		if err := c.do(cmd.Context(), "quarantine.release", choice, &out); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		for _, r := range out {
			c.say("done.quarantine.released", r.ID, printable(r.Recipient), printable(strings.Join(r.Places, "; ")))
			for _, p := range r.Problems {
				c.say("done.quarantine.problem", r.ID, printable(c.problem(p)))
			}
		}
		return nil
	})
	cmd.Flags().BoolVar(&choice.Train, "train", false, c.lang.Say("flag.quarantine.train"))
	cmd.Flags().BoolVar(&choice.Allow, "allow", false, c.lang.Say("flag.quarantine.allow"))
	return cmd
}

// problem is a problem in the reader's language.
func (c *cli) problem(p command.Problem) string {
	if p.Key == "" {
		return p.Text
	}
	args := make([]any, len(p.Args))
	for i, a := range p.Args {
		args[i] = a
	}
	return c.lang.Say(p.Key, args...)
}

func (c *cli) quarantineDelete() *cobra.Command {
	return c.leaf("delete ID…", "quarantine.delete", 1, true, func(cmd *cobra.Command, args []string) error {
		ids, err := c.heldIDs(args)
		if err != nil {
			return err
		}
		var out command.Count
		if err := c.do(cmd.Context(), "quarantine.delete", command.HeldChoice{IDs: ids}, &out); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		c.say("done.quarantine.deleted", out.Changed)
		return nil
	})
}

func (c *cli) quarantineTerm() *cobra.Command {
	return c.leaf("term DOMAIN DAYS", "quarantine.term", 2, false, func(cmd *cobra.Command, args []string) error {
		days, err := strconv.Atoi(args[1])
		if err != nil {
			return c.usage(cmd.UseLine())
		}
		var out command.Term
		if err := c.do(cmd.Context(), "quarantine.term", command.Term{Domain: args[0], Days: days}, &out); err != nil {
			return err
		}
		switch {
		case c.json:
			return c.printJSON(out)
		case out.Days == 0:
			c.say("done.quarantine.term.policy", out.Domain)
		default:
			c.say("done.quarantine.term", out.Domain, out.Days)
		}
		return nil
	})
}
