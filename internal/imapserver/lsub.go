package imapserver

import (
	"context"

	"posta/internal/imap"
)

// lsub lists subscriptions for clients of IMAP4rev1. With "%" a level that is not
// subscribed to, but has subscriptions below, is shown \Noselect (RFC 3501 §6.3.9).
func (c *conn) lsub(ctx context.Context, d *imap.Decoder) error {
	ref, pattern, err := d.Lsub()
	if err != nil {
		return err
	}
	names, err := c.names(ctx)
	if err != nil {
		return err
	}
	args := imap.List{Reference: ref, Patterns: []string{pattern}}
	shown := map[string]bool{}
	for _, n := range names {
		if !n.subscribed {
			continue
		}
		if matchesAny(args, n.name) {
			c.writeList("LSUB", n, args)
			shown[n.name] = true
			continue
		}
		for up := parent(n.name); up != ""; up = parent(up) {
			if !shown[up] && matchesAny(args, up) && !subscribedTo(names, up) {
				c.writeList("LSUB", &listed{name: up, children: true}, args)
				shown[up] = true
			}
		}
	}
	return nil
}

func subscribedTo(names []*listed, name string) bool {
	for _, n := range names {
		if n.name == name {
			return n.subscribed
		}
	}
	return false
}
