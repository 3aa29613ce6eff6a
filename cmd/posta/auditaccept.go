package main

import (
	"time"

	"github.com/spf13/cobra"

	"posta/internal/command"
)

// acceptCommands are the sub-commands of audit about findings that somebody answers
// for.
func (c *cli) acceptCommands() []*cobra.Command {
	var a command.Accept
	accept := c.leaf("accept CHECK SUBJECT", "audit.accept", 2, false, func(cmd *cobra.Command, args []string) error {
		a.Check, a.Subject = args[0], args[1]
		return c.change(cmd, "audit.accept", a, "done.audit.accept", a.Check, a.Subject, a.Until)
	})
	accept.Flags().StringVar(&a.Reason, "reason", "", c.lang.Say("flag.accept.reason"))
	accept.Flags().StringVar(&a.Until, "until", "", c.lang.Say("flag.accept.until"))
	unaccept := c.leaf("unaccept CHECK SUBJECT", "audit.unaccept", 2, false, func(cmd *cobra.Command, args []string) error {
		return c.change(cmd, "audit.unaccept", command.Accept{Check: args[0], Subject: args[1]}, "done.audit.unaccept", args[0], args[1])
	})
	accepted := c.leaf("accepted", "audit.accepted", 0, false, func(cmd *cobra.Command, _ []string) error {
		var out []command.Accepted
		return c.list(cmd, "audit.accepted", struct{}{}, &out, "head.audit.accepted", func() (rows [][]string) {
			for _, x := range out {
				until := x.Until.Add(-time.Second).UTC().Format(time.DateOnly)
				if !time.Now().Before(x.Until) {
					until += " " + c.lang.Say("word.over")
				}
				rows = append(rows, []string{x.Check, x.Subject, until, x.By, x.Reason})
			}
			return rows
		})
	})
	return []*cobra.Command{accept, unaccept, accepted}
}
