package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"posta/internal/app"
	"posta/internal/durable"
)

// failpointsVar arms named failpoints for crash tests, e.g.
// "accept.committed=kill:3".
const failpointsVar = "POSTA_FAILPOINTS"

func (c *cli) serveCommand() *cobra.Command {
	return c.leaf("serve", "serve", 0, false, func(cmd *cobra.Command, _ []string) error {
		cfg, err := c.loadConfig()
		if err != nil {
			return err
		}
		fp, err := durable.ParseFailpoints(os.Getenv(failpointsVar))
		if err != nil {
			return err
		}
		log := app.NewLogger(cfg.Log)
		return app.Serve(cmd.Context(), cfg, app.Options{
			Log: log, Failpoints: fp, Reread: c.loadConfig,
			Ready: func(r *app.Running) {
				log.Info("ready", "hostname", cfg.Hostname, "doors", r.Addrs)
				go reloadOnHangup(cmd.Context(), r, func(err error) { log.Error("reload", "err", err) })
			},
		})
	})
}

// reloadOnHangup reloads on SIGHUP until the context ends.
func reloadOnHangup(ctx context.Context, r *app.Running, failed func(error)) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-hup:
			if err := r.Reload(ctx); err != nil {
				failed(err)
			}
		case <-ctx.Done():
			return
		}
	}
}
