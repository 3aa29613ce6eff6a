package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/imapclient"
	"posta/internal/moving"
)

// importMail are the commands that bring mail in.
func (c *cli) importMail() []*cobra.Command {
	return []*cobra.Command{c.importMaildir(), c.importMbox(), c.importEML(), c.importIMAP()}
}

// importFlags are those of every import of mail.
func (c *cli) importFlags(cmd *cobra.Command, o *moving.Options) {
	f := cmd.Flags()
	f.StringVar(&o.Account, "to", "", c.lang.Say("flag.moving.to"))
	f.StringVar(&o.Into, "into", "", c.lang.Say("flag.moving.into"))
	f.StringArrayVar(&o.Only, "only", nil, c.lang.Say("flag.moving.only"))
	f.BoolVar(&o.Dry, "dry-run", false, c.lang.Say("flag.moving.dry"))
}

func (c *cli) importMaildir() *cobra.Command {
	var o moving.Options
	cmd := c.leaf("maildir DIR --to ACCOUNT", "import.maildir", 1, false, func(cmd *cobra.Command, args []string) error {
		dir, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		return c.moveIn(cmd, &moving.Maildir{Dir: dir}, o)
	})
	c.importFlags(cmd, &o)
	return cmd
}

func (c *cli) importMbox() *cobra.Command {
	var o moving.Options
	var folder string
	cmd := c.leaf("mbox FILE|DIR --to ACCOUNT", "import.mbox", 1, false, func(cmd *cobra.Command, args []string) error {
		path, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		return c.moveIn(cmd, &moving.Mbox{Path: path, Folder: folder}, o)
	})
	c.importFlags(cmd, &o)
	cmd.Flags().StringVar(&folder, "folder", "", c.lang.Say("flag.moving.folder"))
	return cmd
}

func (c *cli) importEML() *cobra.Command {
	var o moving.Options
	var folder string
	cmd := c.leaf("eml FILE|DIR... --to ACCOUNT", "import.eml", 1, true, func(cmd *cobra.Command, args []string) error {
		for i := range args {
			var err error
			if args[i], err = filepath.Abs(args[i]); err != nil {
				return err
			}
		}
		return c.moveIn(cmd, &moving.Letters{Paths: args, Folder: folder}, o)
	})
	c.importFlags(cmd, &o)
	cmd.Flags().StringVar(&folder, "folder", "", c.lang.Say("flag.moving.folder"))
	return cmd
}

func (c *cli) importIMAP() *cobra.Command {
	var o moving.Options
	var user, secret, ca string
	var starttls, plain bool
	cmd := c.leaf("imap HOST[:PORT] --user USER --password-file FILE|- --to ACCOUNT", "import.imap", 1, false, func(cmd *cobra.Command, args []string) error {
		if user == "" {
			return c.usage(cmd.UseLine())
		}
		cfg := imapclient.Config{Address: args[0], Implicit: !starttls && !plain, Plain: plain, User: user, Password: os.Getenv("POSTA_IMAP_PASSWORD"), Dial: c.dial}
		if _, _, err := net.SplitHostPort(cfg.Address); err != nil {
			port := "993"
			if !cfg.Implicit {
				port = "143"
			}
			cfg.Address = net.JoinHostPort(strings.Trim(cfg.Address, "[]"), port)
		}
		var err error
		if secret != "" {
			if cfg.Password, err = passwordFlag(secret); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
		}
		if cfg.TLS, err = trusting(ca); err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		src := &moving.IMAP{Config: cfg}
		return errors.Join(c.moveIn(cmd, src, o), src.Close())
	})
	c.importFlags(cmd, &o)
	f := cmd.Flags()
	f.StringVar(&user, "user", "", c.lang.Say("flag.moving.user"))
	f.StringVar(&secret, "password-file", "", c.lang.Say("flag.moving.password"))
	f.StringVar(&ca, "ca", "", c.lang.Say("flag.moving.ca"))
	f.BoolVar(&starttls, "starttls", false, c.lang.Say("flag.moving.starttls"))
	f.BoolVar(&plain, "insecure-plain", false, c.lang.Say("flag.moving.plain"))
	return cmd
}

// trusting is TLS that trusts the authorities of a file; "" are the system's.
func trusting(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s: no certificate in PEM form", file)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// moveIn imports a source, and tells what came of it.
func (c *cli) moveIn(cmd *cobra.Command, src moving.Source, o moving.Options) error {
	if o.Account == "" {
		return c.usage(cmd.UseLine())
	}
	t := &talk{c: c, ctx: cmd.Context()}
	defer t.close()
	// The account must be there before anything is read, and the house open.
	var acc command.Account
	if err := t.do("account.show", command.Name{Name: o.Account}, &acc); err != nil {
		return err
	}
	o.Account = acc.Address
	progress := &teller{c: c, every: 2 * time.Second}
	o.Told = progress.told
	report, err := moving.Import(cmd.Context(), moving.House{Do: t.do, Stream: t.stream}, src, o)
	if err != nil && report.Put+report.Known+report.Skipped == 0 {
		return err
	}
	if err := c.printMoved(&report, o.Dry); err != nil {
		return err
	}
	switch {
	case err != nil && errors.Is(err, context.Canceled):
		c.say("moving.broken")
		return found{exitLater}
	case err != nil:
		return err
	case report.Skipped > 0:
		return found{exitFindings}
	}
	return nil
}

func (c *cli) printMoved(r *moving.Report, dry bool) error {
	if c.json {
		return c.printJSON(r)
	}
	var rows [][]string
	for _, f := range r.Folders {
		made := ""
		if f.Made {
			made = c.lang.Say("moving.made")
		}
		rows = append(rows, []string{printable(f.Folder), printable(f.Mailbox), fmt.Sprint(f.Put), fmt.Sprint(f.Known), fmt.Sprint(f.Skipped), made})
	}
	c.table("head.moving", rows)
	for _, s := range r.Left {
		fmt.Fprintf(c.out, "%s: %s\n", printable(s.Where), c.lang.Say(s.Key, s.Args...))
	}
	key := "done.moving"
	if dry {
		key = "done.moving.dry"
	}
	c.say(key, r.Put, size(r.Octets), r.Known, r.Skipped, r.Took.Round(time.Second/10).String(), fmt.Sprintf("%.0f", r.Rate()))
	return nil
}

// teller tells of progress on standard error, now and then.
type teller struct {
	c     *cli
	every time.Duration
	mu    sync.Mutex
	last  time.Duration
}

func (t *teller) told(p moving.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.Took < t.last+t.every {
		return
	}
	t.last = p.Took
	if t.c.json {
		fmt.Fprintf(os.Stderr, "{\"done\":%.4f,\"put\":%d,\"known\":%d,\"skipped\":%d,\"rate\":%.1f,\"left\":%d}\n",
			p.Done, p.Put, p.Known, p.Skipped, p.Rate(), int64(p.Left().Seconds()))
		return
	}
	fmt.Fprintln(os.Stderr, t.c.lang.Say("moving.progress", fmt.Sprintf("%.1f", 100*p.Done), p.Put+p.Known+p.Skipped,
		fmt.Sprintf("%.0f", p.Rate()), p.Left().Round(time.Second).String()))
}
