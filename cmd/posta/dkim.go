package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/command"
)

func (c *cli) dkimCommand() *cobra.Command {
	return c.group("dkim", "dkim", c.dkimAdd(), c.dkimList(), c.dkimRotate(), c.dkimContinue(),
		c.leaf("cancel DOMAIN", "dkim.cancel", 1, false, func(cmd *cobra.Command, args []string) error {
			return c.change(cmd, "dkim.cancel", command.DomainName{Domain: args[0]}, "done.dkim.cancel", args[0])
		}),
		c.dkimImport(), c.dkimExport(),
	)
}

func (c *cli) dkimAdd() *cobra.Command {
	var a command.NewKeys
	cmd := c.leaf("add DOMAIN", "dkim.add", 1, false, func(cmd *cobra.Command, args []string) error {
		a.Domain = args[0]
		var out []command.Key
		return c.list(cmd, "dkim.add", a, &out, "head.dkim", func() [][]string { return c.keyRows(out) })
	})
	cmd.Flags().StringVar(&a.Prefix, "prefix", "", c.lang.Say("flag.dkim.prefix"))
	return cmd
}

// keyList is what posta dkim ls --json writes.
type keyList struct {
	Keys      []command.Key      `json:"keys"`
	Rotations []command.Rotation `json:"rotations"`
}

func (c *cli) dkimList() *cobra.Command {
	return c.leaf("ls [DOMAIN]", "dkim.ls", 0, true, func(cmd *cobra.Command, args []string) error {
		var a command.DomainName
		switch len(args) {
		case 0:
		case 1:
			a.Domain = args[0]
		default:
			return c.usage(cmd.UseLine())
		}
		var out keyList
		do, done := c.conversation(cmd.Context())
		defer done()
		if err := do("dkim.ls", a, &out.Keys); err != nil {
			return err
		}
		if err := do("dkim.rotations", a, &out.Rotations); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		c.table("head.dkim", c.keyRows(out.Keys))
		if len(out.Rotations) == 0 {
			return nil
		}
		fmt.Fprintln(c.out)
		var rows [][]string
		for _, r := range out.Rotations {
			rows = append(rows, []string{r.Domain, string(r.Stage), r.Since.UTC().Format(time.RFC3339), c.waits(r)})
		}
		c.table("head.dkim.rotation", rows)
		return nil
	})
}

func (c *cli) keyRows(keys []command.Key) (rows [][]string) {
	for _, k := range keys {
		state := "next"
		switch {
		case k.Active:
			state = "signs"
		case k.Revoked:
			state = "revoked"
		}
		rows = append(rows, []string{k.Domain, k.Selector, k.Algorithm, c.lang.Say("dkim.state." + state), k.Created.UTC().Format(time.DateOnly), k.Name, k.Record})
	}
	return rows
}

// waits says what a rotation waits for.
func (c *cli) waits(r command.Rotation) string {
	what := c.lang.Say("dkim.stage." + string(r.Stage))
	if !r.Until.IsZero() {
		return c.lang.Say("dkim.wait.until", r.Until.UTC().Format(time.RFC3339), what)
	}
	out := []string{c.lang.Say("dkim.wait.dns", what)}
	for _, l := range r.Lacks {
		out = append(out, c.lang.Say("dkim.lack."+l.What, l.Server, l.Name))
	}
	if !r.Looked {
		out = append(out, c.lang.Say("dkim.wait.first"))
	}
	return strings.Join(out, "; ")
}

func (c *cli) dkimRotate() *cobra.Command {
	return c.leaf("rotate DOMAIN", "dkim.rotate", 1, false, func(cmd *cobra.Command, args []string) error {
		do, done := c.conversation(cmd.Context())
		defer done()
		var r command.Rotation
		if err := do("dkim.rotate", command.DomainName{Domain: args[0]}, &r); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(r)
		}
		var keys []command.Key
		if err := do("dkim.ls", command.DomainName{Domain: args[0]}, &keys); err != nil {
			return err
		}
		c.say("done.dkim.rotate", args[0])
		c.table("head.dkim", c.keyRows(keys))
		return nil
	})
}

func (c *cli) dkimContinue() *cobra.Command {
	var a command.Continue
	cmd := c.leaf("continue DOMAIN", "dkim.continue", 1, false, func(cmd *cobra.Command, args []string) error {
		a.Domain = args[0]
		var r command.Rotation
		if err := c.do(cmd.Context(), "dkim.continue", a, &r); err != nil {
			return err
		}
		switch {
		case c.json:
			return c.printJSON(r)
		case r.Stage == "":
			c.say("done.dkim.ended", args[0])
		default:
			c.say("done.dkim.continue", args[0], r.Stage, printable(c.waits(r)))
		}
		return nil
	})
	cmd.Flags().BoolVar(&a.Now, "now", false, c.lang.Say("flag.dkim.continue.now"))
	return cmd
}

func (c *cli) dkimExport() *cobra.Command {
	var out string
	cmd := c.leaf("export DOMAIN SELECTOR", "dkim.export", 2, false, func(cmd *cobra.Command, args []string) error {
		var k command.ExportedKey
		if err := c.do(cmd.Context(), "dkim.export", command.KeyName{Domain: args[0], Selector: args[1]}, &k); err != nil {
			return err
		}
		switch {
		case c.json:
			return c.printJSON(k)
		case out == "":
			_, err := fmt.Fprint(c.out, k.PEM)
			return err
		}
		f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		_, err = f.WriteString(k.PEM)
		return errors.Join(err, f.Sync(), f.Close())
	})
	cmd.Flags().StringVar(&out, "out", "", c.lang.Say("flag.dkim.out"))
	return cmd
}
