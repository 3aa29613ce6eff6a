package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/command"
)

func (c *cli) queueCommand() *cobra.Command {
	return c.group("queue", "queue",
		c.queueList("ls", "queue.ls", 0),
		c.queueList("show ID", "queue.show", 1),
		c.queueEdit("retry"), c.queueEdit("hold"), c.queueEdit("release"), c.queueEdit("drop"),
	)
}

func (c *cli) queueList(use, key string, n int) *cobra.Command {
	var q command.QueueQuery
	cmd := c.leaf(use, key, n, false, func(cmd *cobra.Command, args []string) error {
		if n == 1 {
			q.ID = args[0]
		}
		var out []command.QueueItem
		return c.list(cmd, "queue.ls", q, &out, "head.queue", func() (rows [][]string) {
			for _, e := range out {
				rows = append(rows, []string{
					e.ID, e.State, e.From, e.To, size(e.Size), strconv.Itoa(e.Attempts),
					e.Due.Local().Format(time.DateTime), e.Last,
				})
			}
			return rows
		})
	})
	cmd.Flags().StringVar(&q.Domain, "domain", "", c.lang.Say("flag.queue.domain"))
	cmd.Flags().StringVar(&q.Address, "address", "", c.lang.Say("flag.queue.address"))
	return cmd
}

func (c *cli) queueEdit(verb string) *cobra.Command {
	var q command.QueueQuery
	cmd := c.leaf(verb+" [ID]", "queue."+verb, 0, true, func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			q.ID = args[0]
		}
		var out command.Count
		if err := c.do(cmd.Context(), "queue."+verb, q, &out); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		c.say("done.queue", out.Changed)
		return nil
	})
	cmd.Flags().StringVar(&q.Domain, "domain", "", c.lang.Say("flag.queue.domain"))
	cmd.Flags().StringVar(&q.Address, "address", "", c.lang.Say("flag.queue.address"))
	return cmd
}
