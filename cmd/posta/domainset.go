package main

import (
	"slices"

	"github.com/spf13/cobra"

	"posta/internal/command"
)

func (c *cli) domainSet() *cobra.Command {
	var language, mode string
	var mx []string
	cmd := c.leaf("set DOMAIN", "domain.set", 1, false, func(cmd *cobra.Command, args []string) error {
		e := command.DomainEdit{Name: args[0]}
		f := cmd.Flags()
		if f.Changed("language") {
			e.Language = &language
		}
		if f.Changed("mta-sts") {
			e.MTASTS = &mode
		}
		if f.Changed("mx") {
			hosts := slices.DeleteFunc(mx, func(s string) bool { return s == "" })
			e.MX = &hosts
		}
		if e.Language == nil && e.MTASTS == nil && e.MX == nil {
			return c.usage(cmd.UseLine())
		}
		return c.change(cmd, "domain.set", e, "done.domain.set", args[0])
	})
	cmd.Flags().StringVar(&language, "language", "", c.lang.Say("flag.domain.language"))
	cmd.Flags().StringVar(&mode, "mta-sts", "", c.lang.Say("flag.domain.mta-sts"))
	cmd.Flags().StringSliceVar(&mx, "mx", nil, c.lang.Say("flag.domain.mx"))
	return cmd
}
