package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"posta/internal/command"
)

// quarantine compares what is held of this play's messages.
func (p *play) quarantine(ctx context.Context, s Section) error {
	return p.lists(ctx, s, "quarantine", "nothing else is held", func(ctx context.Context) (lines []string, err error) {
		items, err := p.held(ctx)
		for i := range items {
			lines = append(lines, heldLine(&items[i]))
		}
		return lines, err
	})
}

// heldLine is "recipient checks subject".
func heldLine(it *command.HeldItem) string {
	var checks []string
	for _, r := range it.Reasons {
		checks = append(checks, r.Check)
	}
	return it.Recipient + " " + strings.Join(checks, ",") + " " + it.Subject
}

// held lists what the quarantine has of this play's messages.
func (p *play) held(ctx context.Context) ([]command.HeldItem, error) {
	var out []command.HeldItem
	for _, id := range slices.Compact(slices.Sorted(slices.Values(p.ids))) {
		got, err := p.house.do(ctx, "quarantine.ls", command.HeldQuery{Message: id})
		if err != nil {
			return nil, err
		}
		items, ok := got.([]command.HeldItem)
		if !ok {
			return nil, fmt.Errorf("quarantine.ls gave %T", got)
		}
		out = append(out, items...)
	}
	return out, nil
}

// release and remove are what the administrator does with what is held for an address.
func (p *play) release(ctx context.Context, s Section) error { return p.decide(ctx, s, "release") }
func (p *play) remove(ctx context.Context, s Section) error  { return p.decide(ctx, s, "delete") }

func (p *play) decide(ctx context.Context, s Section, verb string) error {
	items, err := p.held(ctx)
	if err != nil {
		return err
	}
	var c command.HeldChoice
	for _, it := range items {
		if strings.EqualFold(it.Recipient, s.Arg) {
			c.IDs = append(c.IDs, it.ID)
		}
	}
	if len(c.IDs) == 0 {
		return &mismatch{p.where(s.Line), "held for " + s.Arg, "nothing"}
	}
	if _, err := p.house.do(ctx, "quarantine."+verb, c); err != nil {
		return err
	}
	// What was decided once is not decided again.
	if _, err := p.house.do(ctx, "quarantine."+verb, c); !errors.Is(err, command.ErrMissing) {
		return fmt.Errorf("quarantine %s of what is gone: %v", verb, err)
	}
	fmt.Fprintf(&p.log, "   (quarantine %s %s)\n", verb, s.Arg)
	return nil
}
