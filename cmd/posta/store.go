package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/app"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/control"
	"posta/internal/rescue"
)

func (c *cli) storeCommand() *cobra.Command {
	var o rescue.Options
	rebuild := c.leaf("rebuild", "store.rebuild", 0, false, func(cmd *cobra.Command, _ []string) error {
		return c.rebuild(cmd.Context(), o)
	})
	rebuild.Flags().BoolVar(&o.All, "all", false, c.lang.Say("flag.store.all"))
	return c.group("store", "store",
		c.leaf("verify", "store.verify", 0, false, func(cmd *cobra.Command, _ []string) error {
			var v command.Verified
			if err := c.do(cmd.Context(), "store.verify", struct{}{}, &v); err != nil {
				return err
			}
			return c.verified(v, func() { c.say("done.store.verify", v.Messages, v.Octets) })
		}),
		rebuild,
	)
}

// verified shows the result of a check: exit status 1 when something is broken.
func (c *cli) verified(v command.Verified, good func()) error {
	switch {
	case c.json:
		if err := c.printJSON(v); err != nil {
			return err
		}
	case len(v.Breaches) == 0:
		good()
	default:
		for _, b := range v.Breaches {
			fmt.Fprintf(c.out, "%s: %s\n", b.Invariant, printable(b.Detail))
		}
		c.say("done.store.breaches", int64(len(v.Breaches))+v.More)
	}
	if len(v.Breaches) > 0 {
		return found{exitFindings}
	}
	return nil
}

// rebuild works on a folder that nobody has open: what a server would see of it
// meanwhile is half a house.
func (c *cli) rebuild(ctx context.Context, o rescue.Options) (err error) {
	cfg, err := c.idleConfig(ctx)
	if err != nil {
		return err
	}
	if cfg.Store.PostgreSQL != "" {
		return fmt.Errorf("%w: %w", errUsage, rescue.ErrForeign)
	}
	if _, err := os.Stat(cfg.Data); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	state, r, err := app.OpenLost(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	o.Lifetime, o.Principal = time.Duration(cfg.Queue.Lifetime), "uid:"+strconv.Itoa(os.Getuid())
	out, err := r.Rebuild(ctx, o)
	if c.json {
		err = errors.Join(err, c.printJSON(out))
	} else {
		for _, p := range out.Problems {
			fmt.Fprintln(c.out, printable(p))
		}
		c.say("done.store.rebuilt", out.Records, out.Present, out.Mended, out.Deleted, out.Recovered, out.Held, out.Past)
		if out.Hold > 0 {
			c.say("done.store.hold", out.Hold)
		}
		c.say("done.store.rebuild", out.Messages, out.Accounts)
	}
	if err == nil && len(out.Problems) > 0 {
		err = found{exitFindings}
	}
	return err
}

// idleConfig is the configuration of a folder on which no server runs.
func (c *cli) idleConfig(ctx context.Context) (*config.Config, error) {
	cfg, err := c.loadConfig()
	if err != nil {
		return nil, err
	}
	err = control.Client{Socket: filepath.Join(cfg.Data, app.Socket)}.Do(ctx, "domain.ls", struct{}{}, nil)
	if errors.Is(err, control.ErrNoServer) {
		return cfg, nil
	}
	return nil, fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.running", cfg.Data))
}
