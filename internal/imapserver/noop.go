package imapserver

import (
	"context"

	"posta/internal/imap"
)

// noop serves NOOP and CHECK: what changed is announced after every command, and
// there is nothing of a mailbox that a CHECK could write.
func (c *conn) noop(_ context.Context, d *imap.Decoder) error { return d.End() }
