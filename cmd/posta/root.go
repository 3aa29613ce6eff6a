package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/words"
)

// errUsage is wrapped by every complaint about the call itself.
var errUsage = errors.New("usage")

// cli is what the flags of the root say; every sub-command is a method of it.
type cli struct {
	lang       words.Lang
	configFile string
	dataDir    string
	json       bool
	out        io.Writer
	// dial is the way to the servers that an audit looks at. Nil: the network.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func newRoot() *cobra.Command {
	c := &cli{lang: chosenLanguage(os.Args[1:]), out: os.Stdout}
	root := c.group("posta", "root")
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetUsageTemplate(c.lang.Say("usage.template"))
	f := root.PersistentFlags()
	var lang string
	f.StringVar(&lang, "lang", "", c.lang.Say("flag.lang"))
	f.StringVar(&c.configFile, "config", defaultConfig(), c.lang.Say("flag.config"))
	f.StringVar(&c.dataDir, "data", "", c.lang.Say("flag.data"))
	f.BoolVar(&c.json, "json", false, c.lang.Say("flag.json"))
	f.BoolP("help", "h", false, c.lang.Say("flag.help"))
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(
		c.labCommand(), c.quickstartCommand(), c.serveCommand(), c.configCommand(), c.checkCommand(), c.policyCommand(), c.reflectorCommand(),
		c.domainCommand(), c.accountCommand(), c.aliasCommand(), c.routeCommand(), c.rewriteCommand(), c.accessCommand(), c.dkimCommand(), c.queueCommand(), c.destinationCommand(), c.reportCommand(), c.reputationCommand(), c.quarantineCommand(), c.traceCommand(), c.explainCommand(),
		c.dnsblCommand(), c.probeCommand(), c.spamCommand(), c.storeCommand(), c.backupCommand(), c.sendmailCommand(), c.versionCommand(),
		c.auditCommand(), c.sieveCommand(), c.archiveCommand(), c.importCommand(), c.exportCommand(),
		c.dnsCommand(),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, sub := range root.Commands() {
		if own := sub.Name(); own == "help" || own == "completion" {
			sub.Short = c.lang.Say("cmd." + own)
		}
	}
	return root
}

// chosenLanguage looks for --lang before the flags are parsed, since the flags'
// own help is in that language.
func chosenLanguage(args []string) words.Lang {
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--lang="); ok {
			return words.Parse(v)
		}
		if a == "--lang" && i+1 < len(args) {
			return words.Parse(args[i+1])
		}
	}
	return words.FromEnvironment()
}

func defaultConfig() string {
	if v := os.Getenv("POSTA_CONFIG"); v != "" {
		return v
	}
	if _, err := os.Stat("posta.toml"); err == nil {
		return "posta.toml"
	}
	return filepath.Join("/etc", "posta", "posta.toml")
}

// group is a command that only has sub-commands; key names its texts.
func (c *cli) group(use, key string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: c.lang.Say("cmd." + key)}
	if long := "cmd." + key + ".long"; words.Has(long) {
		cmd.Long = c.lang.Say(long)
	}
	cmd.AddCommand(subs...)
	return cmd
}

// leaf is a command that does something with a fixed number of arguments (or at
// least n, when more is set).
func (c *cli) leaf(use, key string, n int, more bool, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
	cmd := c.group(use, key)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) < n || (!more && len(args) > n) {
			return c.usage(cmd.UseLine())
		}
		return nil
	}
	cmd.RunE = run
	return cmd
}

// usage is a complaint about the call itself.
func (c *cli) usage(text string) error {
	return &command.Error{Kind: errUsage, Key: "error.usage", Args: []any{text}}
}

// printJSON writes a value for programs.
func (c *cli) printJSON(v any) error {
	e := json.NewEncoder(c.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// say writes a text of the catalogue and a line end.
func (c *cli) say(key string, args ...any) { fmt.Fprintln(c.out, c.lang.Say(key, args...)) }

// table writes rows under a heading from the catalogue, columns parted by "|".
func (c *cli) table(heading string, rows [][]string) {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(c.lang.Say(heading), "|", "\t"))
	for _, r := range rows {
		for i := range r {
			r[i] = printable(r[i])
		}
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	w.Flush()
}

// printable keeps what strangers sent from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return '?'
		}
		return r
	}, s)
}
