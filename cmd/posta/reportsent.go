package main

import (
	"cmp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/command"
)

// reportSentCommand is about the reports that we send to other domains.
func (c *cli) reportSentCommand() *cobra.Command {
	return c.group("sent", "report.sent", c.reportSentList(), c.reportSuppress(), c.reportUnsuppress())
}

func (c *cli) reportSentList() *cobra.Command {
	return c.leaf("ls", "report.sent.ls", 0, false, func(cmd *cobra.Command, _ []string) error {
		var out command.SentReports
		if err := c.do(cmd.Context(), "report.sent.ls", struct{}{}, &out); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		c.printSentReports(&out)
		return nil
	})
}

func (c *cli) printSentReports(out *command.SentReports) {
	var rows [][]string
	for _, s := range out.Sent {
		rows = append(rows, []string{s.Day, s.Kind, s.Domain, cmp.Or(strings.Join(s.To, " "), "-"), printable(s.Why)})
	}
	if len(rows) == 0 {
		c.say("done.report.sent.none")
	} else {
		c.table("head.report.sent", rows)
	}
	rows = nil
	for _, s := range out.Suppressed {
		until := ""
		if !s.Until.IsZero() {
			until = s.Until.Local().Format(time.DateOnly)
		}
		rows = append(rows, []string{s.Target, cmp.Or(s.By, "Posta"), until, printable(s.Reason)})
	}
	if len(rows) > 0 {
		c.table("head.report.suppressed", rows)
	}
}

func (c *cli) reportSuppress() *cobra.Command {
	var a command.SuppressReports
	cmd := c.leaf("suppress ADDRESS|DOMAIN|URL", "report.sent.suppress", 1, false, func(cmd *cobra.Command, args []string) error {
		a.Target = args[0]
		if err := c.do(cmd.Context(), "report.sent.suppress", a, nil); err != nil {
			return err
		}
		c.say("done.report.suppressed", a.Target)
		return nil
	})
	cmd.Flags().StringVar(&a.Reason, "reason", "", c.lang.Say("flag.report.reason"))
	return cmd
}

func (c *cli) reportUnsuppress() *cobra.Command {
	return c.leaf("unsuppress ADDRESS|DOMAIN|URL", "report.sent.unsuppress", 1, false, func(cmd *cobra.Command, args []string) error {
		if err := c.do(cmd.Context(), "report.sent.unsuppress", command.SuppressReports{Target: args[0]}, nil); err != nil {
			return err
		}
		c.say("done.report.unsuppressed", args[0])
		return nil
	})
}
