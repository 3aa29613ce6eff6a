package command

import (
	"context"

	"posta/internal/finding"
	"posta/internal/store"
)

var checkCommands = []Command{
	run("check.self", store.Helpdesk, func(ctx context.Context, h *House, _ Principal, _ struct{}) (any, error) {
		if h.Self == nil {
			return nil, fail(ErrUsage, "error.check.running")
		}
		seen, err := h.observed(ctx)
		if err != nil {
			return nil, err
		}
		return append(append([]finding.Finding{}, h.Self()...), seen...), nil
	}),
}
