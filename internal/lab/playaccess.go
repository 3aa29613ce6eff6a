package lab

import (
	"context"
	"fmt"
	"strings"

	"posta/internal/command"
)

// access changes our access map as the administrator does, while mail flows. A
// scenario takes out at its end what it put in: others share the server.
func (p *play) access(ctx context.Context, s Section) error {
	var e command.AccessEdit
	for _, l := range s.lines {
		key, value, _ := strings.Cut(strings.TrimSpace(l), " ")
		if key == "-" {
			e.Remove = append(e.Remove, strings.TrimSpace(value))
			continue
		}
		e.Put = append(e.Put, command.AccessEntry{Key: key, Value: strings.TrimSpace(value), Note: p.s.Name})
	}
	if _, err := p.house.do(ctx, "access.edit", e); err != nil {
		return fmt.Errorf("%s: %w", p.where(s.Line), err)
	}
	return nil
}
