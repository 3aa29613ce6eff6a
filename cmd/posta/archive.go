package main

import (
	"github.com/spf13/cobra"

	"posta/internal/command"
)

func (c *cli) archiveCommand() *cobra.Command {
	return c.group("archive", "archive", c.archiveSet(),
		c.leaf("ls", "archive.ls", 0, false, func(cmd *cobra.Command, _ []string) error {
			var out []command.ArchiveRule
			return c.list(cmd, "archive.ls", struct{}{}, &out, "head.archive", func() (rows [][]string) {
				for _, a := range out {
					ways := ""
					if a.In {
						ways = c.lang.Say("archive.in")
					}
					if a.Out {
						if ways != "" {
							ways += ", "
						}
						ways += c.lang.Say("archive.out")
					}
					rows = append(rows, []string{a.Of, ways, a.To, printable(a.Mailbox)})
				}
				return rows
			})
		}),
		c.leaf("rm ACCOUNT|DOMAIN|*", "archive.rm", 1, false, func(cmd *cobra.Command, args []string) error {
			return c.change(cmd, "archive.rm", command.Name{Name: args[0]}, "done.archive.rm", args[0])
		}),
	)
}

func (c *cli) archiveSet() *cobra.Command {
	var a command.ArchiveRule
	cmd := c.leaf("set ACCOUNT|DOMAIN|* --to ACCOUNT", "archive.set", 1, false, func(cmd *cobra.Command, args []string) error {
		if a.To == "" {
			return c.usage(cmd.UseLine())
		}
		if a.Of = args[0]; !a.In && !a.Out {
			a.In, a.Out = true, true
		}
		return c.change(cmd, "archive.set", a, "done.archive.set", args[0], a.To)
	})
	f := cmd.Flags()
	f.StringVar(&a.To, "to", "", c.lang.Say("flag.archive.to"))
	f.StringVar(&a.Mailbox, "mailbox", "", c.lang.Say("flag.archive.mailbox"))
	f.BoolVar(&a.In, "in", false, c.lang.Say("flag.archive.in"))
	f.BoolVar(&a.Out, "out", false, c.lang.Say("flag.archive.out"))
	return cmd
}
