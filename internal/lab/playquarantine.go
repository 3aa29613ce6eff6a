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
	var have []string
	err := eventually(ctx, func() error {
		items, err := p.held(ctx)
		if err != nil {
			return err
		}
		have = have[:0]
		for _, it := range items {
			have = append(have, heldLine(&it))
		}
		rest := slices.Clone(have)
		for n, l := range s.lines {
			if l == "(empty)" {
				continue
			}
			i := slices.IndexFunc(rest, func(e string) bool { return match(l, e) })
			if i < 0 {
				return &mismatch{p.where(n), l, strings.Join(have, " | ")}
			}
			rest = slices.Delete(rest, i, i+1)
		}
		if len(rest) > 0 {
			return &mismatch{p.where(s.Line), "nothing else is held", strings.Join(rest, " | ")}
		}
		return nil
	})
	if err != nil {
		return err
	}
	text := fmt.Sprintf("quarantine: %d", len(have))
	p.note(text, text)
	return nil
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
