package imapserver

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"posta/internal/imap"
	"posta/internal/lineio"
	"posta/internal/store"
)

// idle announces changes until the client says DONE (RFC 9051 §6.3.13). The
// connection's goroutine waits for that line; meanwhile a second one has the
// selected mailbox and the writing side, and the first waits for its end before
// it goes on.
func (c *conn) idle(ctx context.Context, d *imap.Decoder) error {
	if err := d.End(); err != nil {
		return err
	}
	c.cont("idling")
	if c.sel != nil {
		if err := c.sync(ctx, true); err != nil {
			return err
		}
	}
	if err := c.rest(); err != nil {
		return lost(err)
	}
	line, err := c.waitDone(ctx)
	if err != nil {
		return lost(err)
	}
	if !strings.EqualFold(line, "DONE") {
		return imap.Bad("IDLE ends with DONE")
	}
	return nil
}

// waitDone reads one line while the announcer writes. c.io is the reader's: the
// announcer writes to the connection underneath.
func (c *conn) waitDone(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var announcer sync.WaitGroup
	if c.sel != nil {
		c.lent = true
		nc := c.io.NetConn()
		announcer.Go(func() { c.announce(ctx, nc) })
	}
	c.io.SetTimeouts(c.limits.Idle, c.limits.Literal)
	line, err := c.io.ReadLine(imap.BeforeLogin.Bytes)
	done := string(line)
	cancel()
	announcer.Wait()
	c.lent = false
	c.io.SetTimeouts(c.limits.Literal, c.limits.Literal)
	c.io.Write(c.idleOut)
	c.idleOut = nil
	if errors.Is(err, lineio.ErrTooLong) {
		err = nil // it was not DONE
	}
	return done, err
}

// announce writes changes to the client as they come, at most one batch in
// announceMin, until ctx ends. A client that cannot be told must not believe that
// all is quiet: its connection is closed.
func (c *conn) announce(ctx context.Context, nc net.Conn) {
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-tick.C:
		}
		if err := c.announceOnce(ctx, nc); err != nil {
			if ctx.Err() == nil {
				c.log.WarnContext(ctx, "imap: IDLE cannot announce", "err", err)
				c.io.Abort()
			}
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(announceMin):
		}
	}
}

// announceOnce looks for changes and sends them.
func (c *conn) announceOnce(ctx context.Context, nc net.Conn) error {
	err := c.sync(ctx, true)
	if errors.Is(err, store.ErrNotFound) {
		c.status("*", &imap.Reply{Status: imap.BYE, Text: "the selected mailbox was deleted"})
	} else if err != nil {
		return err
	}
	if len(c.idleOut) > 0 {
		nc.SetWriteDeadline(time.Now().Add(c.limits.Literal))
		if _, err := nc.Write(c.idleOut); err != nil {
			return err
		}
		c.idleOut = c.idleOut[:0]
		if cap(c.idleOut) > 4096 {
			c.idleOut = nil
		}
	}
	return err
}
