package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/moving"
)

// exportMail are the commands that write mail out.
func (c *cli) exportMail() []*cobra.Command {
	return []*cobra.Command{
		c.exportAs("maildir ACCOUNT DIR", "export.maildir", moving.ToMaildir),
		c.exportAs("mbox ACCOUNT DIR", "export.mbox", moving.ToMbox),
	}
}

func (c *cli) exportAs(use, key string, target func(string) (moving.Target, error)) *cobra.Command {
	var only []string
	cmd := c.leaf(use, key, 2, false, func(cmd *cobra.Command, args []string) error {
		dir, err := filepath.Abs(args[1])
		if err != nil {
			return err
		}
		t := &talk{c: c, ctx: cmd.Context()}
		defer t.close()
		var acc command.Account
		if err := t.do("account.show", command.Name{Name: args[0]}, &acc); err != nil {
			return err
		}
		to, err := target(dir)
		if errors.Is(err, fs.ErrExist) {
			return &command.Error{Kind: command.ErrUsage, Key: "error.moving.target", Args: []any{dir}}
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		out, err := moving.Export(cmd.Context(), moving.House{Do: t.do, Stream: t.stream}, acc.Address, only, to, nil)
		if err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		c.say("done.export", out.Messages, size(out.Octets), out.Folders, dir)
		if out.Unmarked > 0 {
			c.say("done.export.unmarked", out.Unmarked)
		}
		return nil
	})
	cmd.Flags().StringArrayVar(&only, "only", nil, c.lang.Say("flag.moving.only"))
	return cmd
}
