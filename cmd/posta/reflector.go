package main

import (
	"github.com/spf13/cobra"

	"posta/internal/command"
)

// reflectorCommand shows or switches check-auth@.
func (c *cli) reflectorCommand() *cobra.Command {
	return c.leaf("reflector [on|off]", "reflector", 0, true, func(cmd *cobra.Command, args []string) error {
		var out command.Reflector
		var err error
		switch len(args) {
		case 0:
			err = c.do(cmd.Context(), "reflector.show", struct{}{}, &out)
		case 1:
			err = c.do(cmd.Context(), "reflector.set", command.Name{Name: args[0]}, &out)
		default:
			return c.usage(cmd.UseLine())
		}
		switch {
		case err != nil:
			return err
		case c.json:
			return c.printJSON(out)
		case out.On:
			c.say("reflector.on")
		default:
			c.say("reflector.off")
		}
		return nil
	})
}
