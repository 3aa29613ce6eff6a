package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"posta/internal/config"
	"posta/internal/finding"
	"posta/internal/program"
	"posta/internal/rescue"
	"posta/internal/sandbox"
	"posta/internal/store"
	"posta/internal/systemd"
)

// Serve is Run as a service of the system does it: sockets may come from systemd,
// root is dropped once the ports are bound, the file system is given up but for
// our own folders, and the service manager hears how we are.
func Serve(ctx context.Context, cfg *config.Config, opt Options) error {
	notify, err := systemd.NewNotifier(os.LookupEnv)
	if err != nil {
		return err
	}
	defer notify.Close()
	given, err := systemd.Sockets(os.LookupEnv, os.Getpid())
	if err != nil {
		return err
	}
	// Temporary files lie where the process may still write once it is confined.
	if err := os.Setenv("TMPDIR", filepath.Join(cfg.Data, tempDir)); err != nil {
		return err
	}
	root := os.Geteuid() == 0 && cfg.User != "root"
	if root {
		if err := sandbox.Own(cfg.User, cfg.Data); err != nil {
			return fmt.Errorf("user = %q: %w", cfg.User, err)
		}
	}
	opt.Listen = func(door, address string) (net.Listener, error) {
		if l := given[door]; l != nil {
			return l, nil
		}
		return listen(address)
	}
	opt.Bound = func() error {
		if !root {
			return nil
		}
		note, err := sandbox.Drop(cfg.User)
		if err != nil {
			return fmt.Errorf("user = %q: %w", cfg.User, err)
		}
		opt.Log.InfoContext(ctx, "privileges", "note", note)
		return nil
	}
	opt.Opened = func() ([]finding.Finding, error) { return confine(cfg, opt) }
	ready := opt.Ready
	opt.Ready = func(r *Running) {
		if ready != nil {
			ready(r)
		}
		tell(ctx, opt, notify.Ready("mail is taken"))
		go func() { // ends with ctx
			tell(ctx, opt, notify.Watch(ctx, alive(r.State.Store, cfg.Store.PostgreSQL != "", notify.Interval()/4)))
		}()
	}
	opt.Waiting = func(within time.Duration) {
		tell(ctx, opt, errors.Join(notify.Status("waits for the database or the bucket"), notify.ExtendTimeout(within)))
	}
	stop := context.AfterFunc(ctx, func() { tell(ctx, opt, notify.Stopping("sessions end")) })
	defer stop()
	return Run(ctx, cfg, opt)
}

// alive is what the watchdog asks: whether a write is possible. A database on
// another machine that is away, or silent for so long, is no fault of this process:
// one that was started anew could only wait for it too.
func alive(st store.Store, shared bool, patience time.Duration) func(context.Context) error {
	if !shared {
		return st.Ping
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		err := st.Ping(ctx)
		if errors.Is(err, store.ErrTemporary) || errors.Is(err, store.ErrUnknown) {
			return nil
		}
		return err
	}
}

// Become makes a process that root started that of the user whose the data folder
// is to be, before anything in it is made or changed by hand: files of root's the
// server could not open. It does nothing for others, where the user is root, and
// for a folder that is root's already.
func Become(cfg *config.Config) error {
	if os.Geteuid() != 0 || cfg.User == "root" {
		return nil
	}
	if err := sandbox.Own(cfg.User, cfg.Data); err != nil {
		return fmt.Errorf("user = %q: %w", cfg.User, err)
	}
	if _, err := sandbox.Drop(cfg.User); err != nil {
		return fmt.Errorf("user = %q: %w", cfg.User, err)
	}
	return nil
}

// tell logs that the service manager could not be told.
func tell(ctx context.Context, opt Options, err error) {
	if err != nil {
		opt.Log.WarnContext(ctx, "service manager", "err", err)
	}
}

// confine leaves the process only its own folders. Where the kernel cannot, it is
// a finding.
func confine(cfg *config.Config, opt Options) ([]finding.Finding, error) {
	own := sandbox.Paths{ReadWrite: []string{cfg.Data}}
	if cfg.Backups != "" {
		own.ReadWrite = append(own.ReadWrite, cfg.Backups)
	}
	files := named(cfg)
	if cfg.Path != "" && opt.Reread != nil {
		files = append(files, rescue.Source{Name: "posta.toml", Path: cfg.Path})
	}
	for _, f := range files {
		abs, err := filepath.Abs(f.Path)
		if err != nil {
			return nil, err
		}
		own.Replaced = append(own.Replaced, abs)
	}
	st, err := sandbox.Confine(sandbox.System().Plus(own).Plus(program.Paths(cfg.Runnable())))
	if err != nil {
		return nil, err
	}
	if !st.Confined {
		return []finding.Finding{finding.Of(finding.SandboxOff, finding.Fail, "", "reason", st.Reason)}, nil
	}
	opt.Log.Info("confined to our own folders", "landlock", st.ABI, "probes", len(st.Probes))
	return nil, nil
}
