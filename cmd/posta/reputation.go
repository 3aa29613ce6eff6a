package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/standing"
)

func (c *cli) reputationCommand() *cobra.Command {
	show := c.leaf("show", "reputation.show", 0, false, func(cmd *cobra.Command, _ []string) error {
		var out command.Reputation
		if err := c.do(cmd.Context(), "reputation.show", struct{}{}, &out); err != nil {
			return err
		}
		return c.showReputation(&out)
	})
	var note command.EnrolmentNote
	enrol := c.leaf("enrol NAME STATE", "reputation.enrol", 2, false, func(cmd *cobra.Command, args []string) error {
		note.Name, note.State = args[0], args[1]
		var out []command.Enrolment
		if err := c.do(cmd.Context(), "reputation.enrol", note, &out); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		c.showEnrolments(out)
		return nil
	})
	enrol.Flags().StringVar(&note.Note, "note", "", c.lang.Say("flag.enrolment.note"))
	return c.group("reputation", "reputation", show, enrol)
}

// showReputation prints where we are listed, what has changed, and the enrolments. The status is
// 1 when somebody should act.
func (c *cli) showReputation(r *command.Reputation) error {
	bad := 0
	for i := range r.Lists {
		if r.Lists[i].Bad() {
			bad++
		}
	}
	if c.json {
		if err := c.printJSON(r); err != nil {
			return err
		}
	} else {
		c.showStanding(r.Lists, bad)
		if len(r.Changes) > 0 {
			fmt.Fprintln(c.out)
			c.say("reputation.changes")
			for i := range r.Changes {
				s := &r.Changes[i]
				fmt.Fprintf(c.out, "  %s  %s  %s  %s\n", s.Since.Local().Format(time.DateTime), s.Subject, s.List, c.stands(s))
			}
		}
		fmt.Fprintln(c.out)
		c.showEnrolments(r.Enrolments)
	}
	if bad > 0 {
		return found{exitFindings}
	}
	return nil
}

func (c *cli) showStanding(lists []standing.State, bad int) {
	if len(lists) == 0 {
		c.say("reputation.none")
		return
	}
	last := lists[0].Checked
	for i := range lists {
		s := &lists[i]
		if s.Checked.After(last) {
			last = s.Checked
		}
		if !s.Listed {
			continue
		}
		fmt.Fprintf(c.out, "%s  %s: %s (%s)\n", s.Subject, s.List, c.stands(s), c.lang.Say("reputation.since", s.Since.Local().Format(time.DateTime)))
		for _, m := range s.Meanings {
			fmt.Fprintf(c.out, "  %s %s\n", strings.Join(s.Answers, " "), m)
		}
		if s.Text != "" {
			fmt.Fprintf(c.out, "  %s: %s\n", c.lang.Say("dnsbl.text"), printable(s.Text))
		}
		if s.Bad() && s.Delist != "" {
			fmt.Fprintf(c.out, "  %s: %s\n", c.lang.Say("dnsbl.delist"), s.Delist)
		}
	}
	c.say("reputation.sum", len(lists), bad, last.Local().Format(time.DateTime))
}

// stands puts a state into words.
func (c *cli) stands(s *standing.State) string {
	switch {
	case s.Bad():
		return c.lang.Say("reputation.listed")
	case s.Listed:
		return c.lang.Say("reputation.good")
	}
	return c.lang.Say("reputation.clear")
}

func (c *cli) showEnrolments(all []command.Enrolment) {
	var rows [][]string
	for _, e := range all {
		rows = append(rows, []string{e.Name, c.lang.Say("enrolment.state." + e.State), e.Note, c.lang.Say("enrolment." + e.Name), e.Page})
	}
	c.table("head.enrolment", rows)
}
