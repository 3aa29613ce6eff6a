package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	t := &talk{c: c, ctx: ctx}
	return t.do, t.close
}

// talk gives commands to the running server, or to the data folder, which it opens
// once when none runs. Streams can be given once a command was.
type talk struct {
	c      *cli
	ctx    context.Context // it lives as long as one command of a person
	cfg    *config.Config
	house  *command.House // of the folder that was opened
	who    command.Principal
	opened func()
}

func (t *talk) close() {
	if t.opened != nil {
		t.opened()
	}
}

func (t *talk) server() control.Client {
	return control.Client{Socket: filepath.Join(t.cfg.Data, app.Socket)}
}

func (t *talk) do(name string, args, out any) (err error) {
	if t.cfg == nil {
		if t.cfg, err = t.c.loadConfig(); err != nil {
			return err
		}
	}
	if t.house == nil {
		if err := t.server().Do(t.ctx, name, args, out); !errors.Is(err, control.ErrNoServer) {
			return err
		}
		if t.house, t.who, t.opened, err = t.c.openIdle(t.ctx, t.cfg); err != nil {
			return err
		}
	}
	return givenTo(t.ctx, t.house, t.who)(name, args, out)
}

// stream gives a command that carries octets.
func (t *talk) stream(name string, args any, in io.Reader, out io.Writer) error {
	if t.house == nil {
		return t.server().Stream(t.ctx, name, args, in, out)
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	return command.DoStream(t.ctx, t.house, t.who, name, raw, in, out)
}

// openIdle opens the data folder itself; its lock keeps two from doing so.
func (c *cli) openIdle(ctx context.Context, cfg *config.Config) (*command.House, command.Principal, func(), error) {
	who := command.Principal{Name: "uid:" + strconv.Itoa(os.Getuid()), Role: store.Owner}
	if _, err := os.Stat(cfg.Data); err != nil {
		return nil, who, nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	if err := app.Become(cfg); err != nil {
		return nil, who, nil, err
	}
	house, closeHouse, err := app.OpenHouse(ctx, cfg)
	return house, who, closeHouse, err
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
