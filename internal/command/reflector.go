package command

import (
	"context"

	"posta/internal/directory"
	"posta/internal/store"
)

// Reflector says whether check-auth@ answers.
type Reflector struct {
	On bool `json:"on"`
}

var reflectorCommands = []Command{
	run("reflector.show", store.Helpdesk, func(_ context.Context, h *House, _ Principal, _ struct{}) (any, error) {
		return Reflector{h.Directory.View().Setting(directory.ReflectorSetting) != "off"}, nil
	}),
	run("reflector.set", store.Owner, func(ctx context.Context, h *House, p Principal, a Name) (any, error) {
		if a.Name != "on" && a.Name != "off" {
			return nil, fail(ErrUsage, "error.reflector", a.Name)
		}
		err := h.change(ctx, p, "reflector.set", directory.ReflectorSetting, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
			before, after := v.Settings[directory.ReflectorSetting], a.Name
			if after == "on" {
				after = "" // which it is of itself
			}
			return before, after, tx.PutSetting(directory.ReflectorSetting, after)
		})
		return Reflector{a.Name == "on"}, err
	}),
}
