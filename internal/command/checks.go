package command

import (
	"context"

	"posta/internal/finding"
	"posta/internal/store"
)

var checkCommands = []Command{
	run("check.self", store.Helpdesk, func(_ context.Context, h *House, _ Principal, _ struct{}) (any, error) {
		if h.Self == nil {
			return nil, fail(ErrUsage, "error.check.running")
		}
		out := h.Self()
		if out == nil {
			out = []finding.Finding{}
		}
		return out, nil
	}),
}
