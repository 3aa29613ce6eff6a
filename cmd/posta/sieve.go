package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/blob"
	"posta/internal/command"
	"posta/internal/message"
	"posta/internal/sieve"
)

func (c *cli) sieveCommand() *cobra.Command {
	return c.group("sieve", "sieve", c.sieveList(), c.sieveShow(), c.sievePut(),
		c.sieveActivate("activate ACCOUNT NAME", "sieve.activate", true), c.sieveActivate("deactivate ACCOUNT", "sieve.deactivate", false),
		c.sieveRemove(), c.sieveRename(), c.sieveCheck(), c.sieveTest("test", false), c.sieveTest("trace", true), c.sieveRecipe())
}

// ownerFlag is --of: an account, a domain, or the house.
func (c *cli) ownerFlag(cmd *cobra.Command, of *string) {
	cmd.Flags().StringVar(of, "of", "", c.lang.Say("flag.sieve.of"))
}

func (c *cli) sieveList() *cobra.Command {
	return c.leaf("ls [ACCOUNT|DOMAIN]", "sieve.ls", 0, true, func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return c.usage(cmd.UseLine())
		}
		var out []command.SieveScript
		return c.list(cmd, "sieve.ls", command.SieveName{Of: strings.Join(args, "")}, &out, "head.sieve", func() (rows [][]string) {
			for _, s := range out {
				runs := ""
				if s.Active {
					runs = c.lang.Say("sieve.runs")
				}
				rows = append(rows, []string{printable(s.Name), fmt.Sprint(s.Size), runs})
			}
			return rows
		})
	})
}

func (c *cli) sieveShow() *cobra.Command {
	var of string
	cmd := c.leaf("show NAME", "sieve.show", 1, false, func(cmd *cobra.Command, args []string) error {
		var out command.SieveScript
		if err := c.do(cmd.Context(), "sieve.show", command.SieveName{Of: of, Name: args[0]}, &out); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		_, err := io.WriteString(c.out, strings.ReplaceAll(out.Text, "\r\n", "\n"))
		return err
	})
	c.ownerFlag(cmd, &of)
	return cmd
}

func (c *cli) sievePut() *cobra.Command {
	a := command.SievePut{}
	cmd := c.leaf("put NAME FILE|-", "sieve.put", 2, false, func(cmd *cobra.Command, args []string) error {
		text, err := readInput(args[1], command.MaxScriptSize)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		a.Name, a.Text = args[0], string(text)
		return c.change(cmd, "sieve.put", a, "done.sieve.put", printable(a.Name))
	})
	c.ownerFlag(cmd, &a.Of)
	cmd.Flags().BoolVar(&a.Activate, "activate", false, c.lang.Say("flag.sieve.activate"))
	return cmd
}

func (c *cli) sieveActivate(use, key string, on bool) *cobra.Command {
	n := 1
	if on {
		n = 2
	}
	return c.leaf(use, key, n, false, func(cmd *cobra.Command, args []string) error {
		a := command.SieveName{Of: args[0]}
		done := "done.sieve.deactivate"
		if on {
			a.Name, done = args[1], "done.sieve.activate"
			return c.change(cmd, "sieve.activate", a, done, a.Of, printable(a.Name))
		}
		return c.change(cmd, "sieve.activate", a, done, a.Of)
	})
}

func (c *cli) sieveRemove() *cobra.Command {
	var of string
	cmd := c.leaf("rm NAME", "sieve.rm", 1, false, func(cmd *cobra.Command, args []string) error {
		return c.change(cmd, "sieve.rm", command.SieveName{Of: of, Name: args[0]}, "done.sieve.rm", printable(args[0]))
	})
	c.ownerFlag(cmd, &of)
	return cmd
}

func (c *cli) sieveRename() *cobra.Command {
	var of string
	cmd := c.leaf("rename NAME NEW", "sieve.rename", 2, false, func(cmd *cobra.Command, args []string) error {
		return c.change(cmd, "sieve.rename", command.SieveRename{Of: of, From: args[0], To: args[1]}, "done.sieve.rename", printable(args[1]))
	})
	c.ownerFlag(cmd, &of)
	return cmd
}

// compile reads a script and tells its errors, which are a finding.
func (c *cli) compile(file string) (*sieve.Script, error) {
	text, err := readInput(file, command.MaxScriptSize)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	s, err := sieve.Compile(text, sieve.Options{})
	errs, ok := errors.AsType[sieve.Errors](err)
	if !ok {
		return s, err
	}
	if c.json {
		if err := c.printJSON(errs); err != nil {
			return nil, err
		}
		return nil, found{exitFindings}
	}
	for _, e := range errs {
		fmt.Fprintf(c.out, "%s:%d:%d: %s\n", file, e.Line, e.Col, printable(e.Text))
	}
	return nil, found{exitFindings}
}

func (c *cli) sieveCheck() *cobra.Command {
	return c.leaf("check FILE|-", "sieve.check", 1, false, func(_ *cobra.Command, args []string) error {
		s, err := c.compile(args[0])
		if err != nil {
			return err
		}
		if c.json {
			return c.printJSON([]sieve.Error{})
		}
		c.say("done.sieve.check", strings.Join(s.Requires(), " "))
		return nil
	})
}

// sieveTest runs a script on a message in this process, without any effect.
func (c *cli) sieveTest(name string, trace bool) *cobra.Command {
	env := sieve.Env{}
	cmd := c.leaf(name+" SCRIPT MESSAGE|-", "sieve."+name, 2, false, func(_ *cobra.Command, args []string) error {
		s, err := c.compile(args[0])
		if err != nil {
			return err
		}
		raw, err := readInput(args[1], explainedOctet)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		m := crlfLines(raw)
		tree := message.ParseBytes(m, message.Budget{})
		env.Now, env.Trace = time.Now(), trace
		res := s.Run(&sieve.Message{Header: m[:tree.Body], Skip: tree.Body, Body: blob.Bytes(m), Tree: tree}, &env)
		return c.printRun(&res)
	})
	f := cmd.Flags()
	f.StringVar(&env.From, "from", "", c.lang.Say("flag.sieve.from"))
	f.StringVar(&env.To, "to", "", c.lang.Say("flag.sieve.to"))
	f.StringVar(&env.Owner, "owner", "", c.lang.Say("flag.sieve.owner"))
	return cmd
}

// crlfLines gives each line end the CR that mail has.
func crlfLines(b []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
}

// printRun tells what a script would do.
func (c *cli) printRun(r *sieve.Result) error {
	if c.json {
		out := struct {
			Actions []sieve.Action `json:"actions"`
			Trace   []string       `json:"trace,omitempty"`
			Error   string         `json:"error,omitempty"`
		}{Actions: r.Actions, Trace: r.Trace}
		if r.Err != nil {
			out.Error = r.Err.Error()
		}
		return c.printJSON(out)
	}
	for _, line := range r.Trace {
		fmt.Fprintln(c.out, "  "+printable(line))
	}
	for _, a := range r.Actions {
		fmt.Fprintln(c.out, printable(a.String()))
	}
	if r.Err != nil {
		c.say("sieve.failed", printable(r.Err.Error()))
		return found{exitFindings}
	}
	return nil
}

// sieveRecipe shows the scripts that come with Posta.
func (c *cli) sieveRecipe() *cobra.Command {
	return c.group("recipe", "sieve.recipe",
		c.leaf("ls", "sieve.recipe.ls", 0, false, func(*cobra.Command, []string) error {
			if c.json {
				return c.printJSON(sieve.Recipes())
			}
			var rows [][]string
			for _, r := range sieve.Recipes() {
				rows = append(rows, []string{r.Name, c.lang.Say("sieve.recipe." + r.Name)})
			}
			c.table("head.sieve.recipe", rows)
			return nil
		}),
		c.leaf("show NAME", "sieve.recipe.show", 1, false, func(_ *cobra.Command, args []string) error {
			for _, r := range sieve.Recipes() {
				if r.Name == args[0] {
					_, err := io.WriteString(c.out, r.Text)
					return err
				}
			}
			return &command.Error{Kind: command.ErrMissing, Key: "error.sieve.recipe", Args: []any{args[0]}}
		}),
	)
}
