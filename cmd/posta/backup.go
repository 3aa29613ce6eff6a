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
	"posta/internal/sandbox"
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
	var o restoreOptions
	restore := c.leaf("restore DIR", "backup.restore", 1, false, func(cmd *cobra.Command, args []string) error {
		return c.restore(cmd.Context(), args[0], o)
	})
	restore.Flags().BoolVar(&o.hold, "hold-queue", false, c.lang.Say("flag.backup.hold"))
	restore.Flags().BoolVar(&o.replace, "replace-config", false, c.lang.Say("flag.backup.replace"))
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
				err = c.printJSON(out)
			} else {
				c.say("done.backup.create", out.Dir, out.Messages)
			}
			return errors.Join(err, c.damaged(out.Damaged))
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

// damaged tells of messages that a backup does not have, as a finding.
func (c *cli) damaged(n int64) error {
	if n == 0 {
		return nil
	}
	if !c.json {
		c.say("done.backup.damaged", n)
	}
	return found{exitFindings}
}

// restoreOptions are the flags of restore.
type restoreOptions struct {
	hold    bool // the queue
	replace bool // the configuration that stands
}

// restore makes the house of the configuration, or of --data.
func (c *cli) restore(ctx context.Context, dir string, o restoreOptions) error {
	cfg, err := c.restoreConfig(ctx, dir, o.replace)
	if err != nil {
		return err
	}
	if err := c.userExists(cfg.User); err != nil {
		return err
	}
	cfg.Path = c.configFile
	to := app.RestorePlaces(cfg)
	to.Files, to.Replace = app.ConfigFiles(cfg), o.replace
	out, err := rescue.Restore(ctx, dir, to)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if err != nil {
		return err
	}
	if o.hold {
		if err := holdQueue(ctx, cfg, dir); err != nil {
			return err
		}
	}
	if err := sandbox.Give(cfg.User, cfg.Data); err != nil {
		return err
	}
	if c.json {
		return errors.Join(c.printJSON(out), c.damaged(out.Damaged))
	}
	for _, f := range out.Written {
		c.say("done.backup.written", f)
	}
	for _, f := range out.Left {
		c.say("done.backup.left", f)
	}
	c.say("done.backup.restore", out.Dir)
	return c.damaged(out.Damaged)
}

// restoreConfig is the configuration that stands or, where none does or it is to
// be replaced, that of the backup.
func (c *cli) restoreConfig(ctx context.Context, dir string, replace bool) (*config.Config, error) {
	_, err := os.Stat(c.configFile)
	if err == nil && !replace {
		return c.loadConfig()
	}
	text, err := rescue.Config(ctx, dir)
	if err != nil {
		return nil, err
	}
	if text == nil {
		return c.loadConfig()
	}
	cfg, err := config.Parse(filepath.Join(dir, "posta.toml"), text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	if c.dataDir != "" {
		cfg.Data = c.dataDir
	}
	return cfg, nil
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
