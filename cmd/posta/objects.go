package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/store"
)

func (c *cli) domainCommand() *cobra.Command {
	return c.group("domain", "domain", c.domainSet(),
		c.leaf("add DOMAIN", "domain.add", 1, false, func(cmd *cobra.Command, args []string) error {
			return c.change(cmd, "domain.add", command.Name{Name: args[0]}, "done.domain.add", args[0])
		}),
		c.leaf("remove DOMAIN", "domain.remove", 1, false, func(cmd *cobra.Command, args []string) error {
			return c.change(cmd, "domain.remove", command.Name{Name: args[0]}, "done.domain.remove", args[0])
		}),
		c.leaf("ls", "domain.ls", 0, false, func(cmd *cobra.Command, _ []string) error {
			var out []command.Domain
			return c.list(cmd, "domain.ls", struct{}{}, &out, "head.domain", func() (rows [][]string) {
				for _, d := range out {
					rows = append(rows, []string{d.Name, fmt.Sprint(d.Accounts), fmt.Sprint(d.Aliases), d.Language})
				}
				return rows
			})
		}),
	)
}

// change gives a command and says that it is done.
func (c *cli) change(cmd *cobra.Command, name string, args any, done string, words ...any) error {
	var out any
	if err := c.do(cmd.Context(), name, args, &out); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(out)
	}
	c.say(done, words...)
	return nil
}

// list gives a reading command and prints its result as a table or JSON.
func (c *cli) list(cmd *cobra.Command, name string, args, out any, heading string, rows func() [][]string) error {
	if err := c.do(cmd.Context(), name, args, out); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(out)
	}
	c.table(heading, rows())
	return nil
}

// passwordFlag reads a password from a file, or from standard input with "-":
// never from the command line, where every user of the machine can see it.
func passwordFlag(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	b, err := readInput(path, 4096)
	return strings.TrimRight(string(b), "\r\n"), err
}

// readInput reads a file, or standard input with "-", and no more than most octets.
func readInput(path string, most int64) ([]byte, error) {
	in := os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s: larger than %d octets", path, most)
	}
	return b, err
}

func (c *cli) accountCommand() *cobra.Command {
	return c.group("account", "account", c.accountAdd(), c.accountPassword(), c.accountSet(),
		c.leaf("remove ADDRESS", "account.remove", 1, false, func(cmd *cobra.Command, args []string) error {
			return c.change(cmd, "account.remove", command.Name{Name: args[0]}, "done.account.remove", args[0])
		}),
		c.leaf("ls", "account.ls", 0, false, func(cmd *cobra.Command, _ []string) error {
			var out []command.Account
			return c.list(cmd, "account.ls", struct{}{}, &out, "head.account", func() (rows [][]string) {
				for _, a := range out {
					rows = append(rows, []string{a.Address, a.Name, a.Role, size(a.Used), quota(a.Quota), fmt.Sprint(a.Messages),
						c.passwordAge(a), sentOf(a), strings.Join(a.Addresses, " "), c.accountState(a)})
				}
				return rows
			})
		}),
		c.leaf("show ADDRESS", "account.show", 1, false, func(cmd *cobra.Command, args []string) error {
			var a command.Account
			if err := c.do(cmd.Context(), "account.show", command.Name{Name: args[0]}, &a); err != nil {
				return err
			}
			if c.json {
				return c.printJSON(a)
			}
			c.printAccount(a)
			return nil
		}),
	)
}

// accountState is why nobody can log in, or will not be able to; "" if one can.
func (c *cli) accountState(a command.Account) string {
	switch {
	case a.Disabled:
		return c.lang.Say("word.disabled")
	case a.Standing != nil && a.Expired:
		return c.lang.Say("word.expired")
	case a.Standing != nil && a.Overdue:
		return c.lang.Say("word.overdue")
	}
	return ""
}

// passwordAge is how old the password is, in days, and how old it may be.
func (c *cli) passwordAge(a command.Account) string {
	if a.Standing == nil || a.PasswordSet.IsZero() {
		return "-"
	}
	out := days(time.Since(a.PasswordSet))
	if !a.PasswordEnds.IsZero() {
		out += "/" + days(a.PasswordEnds.Sub(a.PasswordSet))
	}
	return out
}

// sentOf is how many messages went in the last day, and how many may.
func sentOf(a command.Account) string {
	if a.Standing == nil || a.Limit == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", a.Sent, a.Limit)
}

// printAccount says all of an account, a line for each thing.
func (c *cli) printAccount(a command.Account) {
	rows := [][2]string{
		{"address", a.Address}, {"also", strings.Join(a.Addresses, " ")}, {"name", a.Name}, {"role", a.Role}, {"language", a.Language},
		{"used", size(a.Used)}, {"quota", quota(a.Quota)}, {"messages", fmt.Sprint(a.Messages)}, {"sent", sentOf(a)}, {"state", c.accountState(a)},
	}
	if s := a.Standing; s != nil {
		rows = append(rows, [2]string{"password", c.passwordAge(a)})
		if !s.PasswordSet.IsZero() {
			rows = append(rows, [2]string{"set", s.PasswordSet.UTC().Format(time.RFC3339)})
		}
		if !s.PasswordEnds.IsZero() {
			rows = append(rows, [2]string{"ends", s.PasswordEnds.UTC().Format(time.RFC3339)})
		}
	}
	for _, r := range rows {
		if r[1] != "" {
			fmt.Fprintf(c.out, "%s: %s\n", c.lang.Say("account."+r[0]), printable(r[1]))
		}
	}
}

func (c *cli) accountAdd() *cobra.Command {
	var a command.NewAccount
	var file, quotaText string
	cmd := c.leaf("add ADDRESS", "account.add", 1, false, func(cmd *cobra.Command, args []string) (err error) {
		a.Address = args[0]
		if a.Quota, err = parseQuota(quotaText); err != nil {
			return err
		}
		if a.Password, err = passwordFlag(file); err != nil {
			return err
		}
		return c.made(cmd, "account.add", a, "done.account.add")
	})
	cmd.Flags().StringVar(&a.Name, "name", "", c.lang.Say("flag.account.name"))
	cmd.Flags().StringVar(&a.Role, "role", "", c.lang.Say("flag.account.role"))
	cmd.Flags().StringVar(&quotaText, "quota", "", c.lang.Say("flag.account.quota"))
	cmd.Flags().StringVar(&file, "password-file", "", c.lang.Say("flag.account.password-file"))
	return cmd
}

// made gives a command that may make a password and shows it, once.
func (c *cli) made(cmd *cobra.Command, name string, args any, done string) error {
	var out command.Made
	if err := c.do(cmd.Context(), name, args, &out); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(out)
	}
	c.say(done, out.Address)
	if out.Password != "" {
		c.say("done.password", out.Password)
	}
	return nil
}

func (c *cli) accountPassword() *cobra.Command {
	var file string
	cmd := c.leaf("password ADDRESS", "account.password", 1, false, func(cmd *cobra.Command, args []string) error {
		pw, err := passwordFlag(file)
		if err != nil {
			return err
		}
		return c.made(cmd, "account.password", command.Password{Address: args[0], Password: pw}, "done.account.password")
	})
	cmd.Flags().StringVar(&file, "password-file", "", c.lang.Say("flag.account.password-file"))
	return cmd
}

func (c *cli) accountSet() *cobra.Command {
	var name, role, quotaText, messages, language string
	var disabled bool
	cmd := c.leaf("set ADDRESS", "account.set", 1, false, func(cmd *cobra.Command, args []string) error {
		e := command.Edit{Address: args[0]}
		f := cmd.Flags()
		if f.Changed("name") {
			e.Name = &name
		}
		if f.Changed("role") {
			e.Role = &role
		}
		if f.Changed("disabled") {
			e.Disabled = &disabled
		}
		if f.Changed("quota") {
			q, err := parseQuota(quotaText)
			if err != nil {
				return err
			}
			e.Quota = &q
		}
		if f.Changed("messages-per-day") {
			n, err := c.parseMessages(messages)
			if err != nil {
				return err
			}
			e.MessagesPerDay = &n
		}
		if f.Changed("language") {
			e.Language = &language
		}
		return c.change(cmd, "account.set", e, "done.account.set", args[0])
	})
	cmd.Flags().StringVar(&name, "name", "", c.lang.Say("flag.account.name"))
	cmd.Flags().StringVar(&role, "role", "", c.lang.Say("flag.account.role"))
	cmd.Flags().StringVar(&quotaText, "quota", "", c.lang.Say("flag.account.quota"))
	cmd.Flags().StringVar(&messages, "messages-per-day", "", c.lang.Say("flag.account.messages"))
	cmd.Flags().StringVar(&language, "language", "", c.lang.Say("flag.account.language"))
	cmd.Flags().BoolVar(&disabled, "disabled", false, c.lang.Say("flag.account.disabled"))
	return cmd
}

// parseMessages reads a number, "none" or "policy".
func (c *cli) parseMessages(s string) (int, error) {
	switch s {
	case "none":
		return store.NoLimit, nil
	case "policy":
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.account.messages.flag", s))
	}
	return n, nil
}

func parseQuota(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	var q config.Size
	if err := q.UnmarshalText([]byte(s)); err != nil {
		return 0, fmt.Errorf("%w: %w", errUsage, err)
	}
	return int64(q), nil
}

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

func quota(n int64) string {
	if n == 0 {
		return "-"
	}
	return size(n)
}
