package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"posta/internal/app"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/control"
	"posta/internal/store"
)

// loadConfig reads the configuration; --data overrides its folder. Without a
// file, --data alone is enough for commands that work on a folder.
func (c *cli) loadConfig() (*config.Config, error) {
	cfg, err := config.Load(c.configFile)
	if errors.Is(err, os.ErrNotExist) && c.dataDir != "" {
		cfg, err = config.Default(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	if c.dataDir != "" {
		cfg.Data = c.dataDir
	}
	return cfg, nil
}

// do gives a command to the running server, or carries it out on the data folder
// when none runs.
func (c *cli) do(ctx context.Context, name string, args, out any) error {
	do, done := c.conversation(ctx)
	defer done()
	return do(name, args, out)
}

// give gives one command.
type give func(name string, args, out any) error

// conversation is the way to give several commands: to the running server, or on
// the data folder when none runs, which is opened once. done closes what was opened.
func (c *cli) conversation(ctx context.Context) (do give, done func()) {
	var idle give
	closeIdle := func() {}
	do = func(name string, args, out any) error {
		if idle != nil {
			return idle(name, args, out)
		}
		cfg, err := c.loadConfig()
		if err != nil {
			return err
		}
		err = control.Client{Socket: filepath.Join(cfg.Data, app.Socket)}.Do(ctx, name, args, out)
		if !errors.Is(err, control.ErrNoServer) {
			return err
		}
		if idle, closeIdle, err = c.openIdle(ctx, cfg); err != nil {
			return err
		}
		return idle(name, args, out)
	}
	return do, func() { closeIdle() }
}

// openIdle opens the data folder itself; its lock keeps two from doing so.
func (c *cli) openIdle(ctx context.Context, cfg *config.Config) (give, func(), error) {
	none := func() {}
	if _, err := os.Stat(cfg.Data); err != nil {
		return nil, none, fmt.Errorf("%w: %w", errUsage, err)
	}
	who := command.Principal{Name: "uid:" + strconv.Itoa(os.Getuid()), Role: store.Owner}
	if err := app.Become(cfg); err != nil {
		return nil, none, err
	}
	house, closeHouse, err := app.OpenHouse(ctx, cfg)
	if err != nil {
		return nil, none, err
	}
	return givenTo(ctx, house, who), closeHouse, nil
}

// givenTo gives commands to a house that is open in this process.
func givenTo(ctx context.Context, house *command.House, who command.Principal) give {
	return func(name string, args, out any) error {
		raw, err := json.Marshal(args)
		if err != nil {
			return err
		}
		result, err := command.Do(ctx, house, who, name, raw)
		if err != nil || out == nil {
			return err
		}
		b, err := json.Marshal(result)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, out)
	}
}
