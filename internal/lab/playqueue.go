package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"posta/internal/command"
)

// queue holds what still waits of the messages of this play.
func (p *play) queue(ctx context.Context, s Section) error {
	return p.lists(ctx, s, "queue", "nothing else waits", p.waiting)
}

// lists compares the lines of a section, in any order, with a list of the house; it
// waits for a while until they agree.
func (p *play) lists(ctx context.Context, s Section, name, nothing string, list func(context.Context) ([]string, error)) error {
	var have []string
	err := eventually(ctx, func() (err error) {
		if have, err = list(ctx); err != nil {
			return err
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
			return &mismatch{p.where(s.Line), nothing, strings.Join(rest, " | ")}
		}
		return nil
	})
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s: %d", name, len(have))
	p.note(text, text)
	return nil
}

// waiting lists "recipient state last-reply" of the queue's entries.
func (p *play) waiting(ctx context.Context) ([]string, error) {
	var out []string
	for _, id := range slices.Compact(slices.Sorted(slices.Values(p.ids))) {
		got, err := p.house.do(ctx, "queue.ls", command.QueueQuery{ID: id})
		if err != nil {
			return nil, err
		}
		items, ok := got.([]command.QueueItem)
		if !ok {
			return nil, fmt.Errorf("queue.ls gave %T", got)
		}
		for _, i := range items {
			out = append(out, strings.TrimSpace(i.To+" "+i.State+" "+i.Last))
		}
	}
	return out, nil
}

// retry makes what waits of this play's messages due.
func (p *play) retry(ctx context.Context, _ Section) error {
	for _, id := range slices.Compact(slices.Sorted(slices.Values(p.ids))) {
		_, err := p.house.do(ctx, "queue.retry", command.QueueQuery{ID: id})
		if err != nil && !errors.Is(err, command.ErrMissing) {
			return err
		}
	}
	fmt.Fprintln(&p.log, "   (queue retry)")
	return nil
}
