package app

import (
	"context"

	"posta/internal/config"
)

// Serve is Run as a service of the system does it.
func Serve(ctx context.Context, cfg *config.Config, opt Options) error {
	return Run(ctx, cfg, opt)
}
