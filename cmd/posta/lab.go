package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"posta/internal/lab"
)

func (c *cli) labCommand() *cobra.Command {
	var keep string
	var check bool
	cmd := c.leaf("lab", "lab", 0, false, func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		l, err := lab.Start(ctx, lab.Options{Keep: keep, Lang: c.lang})
		if err != nil {
			return err
		}
		if check {
			return c.labCheck(ctx, l)
		}
		if c.json {
			err = c.printJSON(l.Info())
		} else {
			c.labText(l.Info())
		}
		// Until Ctrl-C, or until a part of the lab fails.
		if err == nil {
			err = l.Wait()
		}
		return cmp.Or(err, l.Close())
	})
	cmd.Flags().StringVar(&keep, "keep", "", c.lang.Say("flag.lab.keep"))
	cmd.Flags().BoolVar(&check, "check", false, c.lang.Say("flag.lab.check"))
	return cmd
}

// labText says in a few lines what there is and what to type.
func (c *cli) labText(i lab.Info) {
	ana := i.Users[0]
	var people []string
	for _, u := range i.Users {
		people = append(people, u.Address+" "+u.Password)
	}
	for _, row := range [][]any{
		{"lab.ready"},
		{"lab.doors", i.SMTP, i.Submission, i.Submissions, i.LMTP, i.IMAP, i.IMAPS, i.POP3, i.POP3S, i.HTTP, i.DNS},
		{"lab.people", strings.Join(people, ", ")},
		{"lab.files", i.CAFile, i.Data},
		{"lab.write", i.SMTP, ana.Address},
		{"lab.outside"},
		{"lab.read", i.IMAPS, ana.Address + ":" + ana.Password, i.CAFile},
		{"lab.why", i.HTTP},
		{"lab.stop"},
	} {
		key, _ := row[0].(string)
		c.say(key, row[1:]...)
	}
}

// labCheck plays every scenario and prints what came of each.
func (c *cli) labCheck(ctx context.Context, l *lab.Lab) error {
	results, err := l.Check(ctx)
	if err := cmp.Or(err, l.Close()); err != nil {
		return err
	}
	failed := 0
	var rows [][]string
	for _, r := range results {
		ok := c.lang.Say("lab.ok")
		switch {
		case !r.OK:
			ok = c.lang.Say("lab.failed")
			failed++
		case r.Skipped != "":
			ok, r.Got = "-", r.Skipped
		}
		rows = append(rows, []string{r.Name, cut(r.Got), cut(r.Want), ok})
	}
	if c.json {
		err = c.printJSON(results)
	} else {
		c.table("head.lab", rows)
		for _, r := range results {
			if r.Detail != "" {
				fmt.Fprintf(c.out, "\n%s", r.Detail)
			}
		}
		c.say("lab.sum", len(results), failed)
	}
	if err == nil && failed > 0 {
		return found{exitFindings}
	}
	return err
}

// maxCell is how wide a cell of the table becomes, in characters.
const maxCell = 60

func cut(s string) string {
	if utf8.RuneCountInString(s) <= maxCell {
		return s
	}
	return string([]rune(s)[:maxCell-1]) + "…"
}
