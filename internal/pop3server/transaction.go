package pop3server

import (
	"context"
	"fmt"

	"posta/internal/mailbox"
	"posta/internal/store"
)

func (c *conn) noop(_ context.Context, _ []string) error {
	c.ok("here")
	return nil
}

func (c *conn) stat(_ context.Context, _ []string) error {
	n, octets := c.drop.total()
	c.ok("%d %d", n, octets)
	return nil
}

func (c *conn) list(_ context.Context, args []string) error {
	return c.scan(args, func(l *letter) string { return fmt.Sprint(l.size) })
}

func (c *conn) uidl(_ context.Context, args []string) error {
	return c.scan(args, c.drop.uidl)
}

// scan answers LIST and UIDL: one message, or all that are not marked.
func (c *conn) scan(args []string, what func(*letter) string) error {
	if len(args) > 0 {
		n, l, err := c.letterOf(args[0])
		if err != nil {
			return err
		}
		c.ok("%d %s", n, what(l))
		return nil
	}
	n, octets := c.drop.total()
	c.ok("%d messages (%d octets)", n, octets)
	for i := range c.drop.letters {
		if l := &c.drop.letters[i]; !l.deleted {
			c.line(fmt.Sprintf("%d %s", i+1, what(l)))
		}
	}
	c.line(".")
	return nil
}

func (c *conn) dele(_ context.Context, args []string) error {
	if len(args) != 1 {
		return refuse("", "message number expected")
	}
	n, l, err := c.letterOf(args[0])
	if err != nil {
		return err
	}
	l.deleted = true
	c.ok("message %d goes at QUIT", n)
	return nil
}

func (c *conn) rset(_ context.Context, _ []string) error {
	for i := range c.drop.letters {
		c.drop.letters[i].deleted = false
	}
	n, octets := c.drop.total()
	c.ok("%d messages (%d octets)", n, octets)
	return nil
}

// quit ends the session; in the transaction state it removes what was marked, in
// one call, and says +OK when that is durable (RFC 1939 §6).
func (c *conn) quit(ctx context.Context, _ []string) error {
	var gone, read []mailbox.UID
	for i := range c.drop.letters {
		switch l := &c.drop.letters[i]; {
		case l.deleted:
			gone = append(gone, l.uid)
		case l.read && !l.seen:
			read = append(read, l.uid)
		}
	}
	if len(read) > 0 {
		if _, _, err := c.srv.Store.SetFlags(ctx, c.account, c.drop.box, read, store.FlagOp{Mode: store.Add, Flags: mailbox.Seen}, 0); err != nil {
			c.log.WarnContext(ctx, "pop3: messages not marked as read", "err", err)
		}
	}
	if len(gone) > 0 {
		if _, _, err := c.srv.Store.Expunge(ctx, c.account, c.drop.box, gone, false); err != nil {
			c.log.WarnContext(ctx, "pop3: messages not removed", "err", err)
			c.line("-ERR [SYS/TEMP] not all messages could be removed")
			return errQuit
		}
	}
	c.ok("until next time")
	return errQuit
}
