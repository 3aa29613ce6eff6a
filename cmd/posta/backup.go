package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/app"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/rescue"
	"posta/internal/store"
)

func (c *cli) backupCommand() *cobra.Command {
	var temp string
	verify := c.leaf("verify DIR", "backup.verify", 1, false, func(cmd *cobra.Command, args []string) error {
		v, err := rescue.VerifyBackup(cmd.Context(), args[0], temp)
		if err != nil {
			return c.tornIsFound(err)
		}
		return c.verified(v, func() { c.say("done.backup.verify", args[0], v.Messages) })
	})
	verify.Flags().StringVar(&temp, "temp", "", c.lang.Say("flag.backup.temp"))
	var hold bool
	restore := c.leaf("restore DIR", "backup.restore", 1, false, func(cmd *cobra.Command, args []string) error {
		return c.restore(cmd.Context(), args[0], hold)
	})
	restore.Flags().BoolVar(&hold, "hold-queue", false, c.lang.Say("flag.backup.hold"))
	return c.group("backup", "backup",
		c.leaf("create DIR", "backup.create", 1, false, func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			var out command.Saved
			if err := c.do(cmd.Context(), "backup.create", command.Folder{Dir: dir}, &out); err != nil {
				return err
			}
			if c.json {
				return c.printJSON(out)
			}
			c.say("done.backup.create", out.Dir, out.Messages)
			return nil
		}),
		verify, restore,
	)
}

// tornIsFound tells of a torn backup as a finding, not as a failure.
func (c *cli) tornIsFound(err error) error {
	if !errors.Is(err, rescue.ErrTorn) {
		return err
	}
	return c.verified(command.Verified{Breaches: []command.Breach{{Invariant: "backup.manifest", Detail: err.Error()}}}, nil)
}

// restore makes the data folder of the configuration, or of --data.
func (c *cli) restore(ctx context.Context, dir string, hold bool) error {
	cfg, err := c.loadConfig()
	if err != nil {
		return err
	}
	out, err := rescue.Restore(ctx, dir, app.RestorePlaces(cfg))
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if err != nil {
		return err
	}
	if hold {
		if err := holdQueue(ctx, cfg, dir); err != nil {
			return err
		}
	}
	if c.json {
		return c.printJSON(out)
	}
	c.say("done.backup.restore", out.Dir)
	return nil
}

func holdQueue(ctx context.Context, cfg *config.Config, dir string) (err error) {
	state, err := app.OpenState(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	_, err = rescue.HoldQueue(ctx, state.Store, store.Audit{
		At: time.Now(), Principal: "uid:" + strconv.Itoa(os.Getuid()), Command: "backup.restore", Object: dir,
	})
	return err
}
