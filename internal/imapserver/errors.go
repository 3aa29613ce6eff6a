package imapserver

import (
	"context"
	"errors"
	"fmt"

	"posta/internal/blob"
	"posta/internal/imap"
	"posta/internal/store"
)

// errLost wraps errors of the stream: nothing more can be read or said.
var errLost = errors.New("imapserver: connection lost")

// replyFor turns an error of a handler into the reply. What is not foreseen here
// is our fault: SERVERBUG, and logged with its cause. nil gives nil.
func (c *conn) replyFor(ctx context.Context, err error) *imap.Reply {
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*imap.Reply](err); ok {
		if r.Cause != nil {
			c.log.WarnContext(ctx, "imap: command refused", "reply", r.Error(), "err", r.Cause)
		}
		out := *r
		return &out
	}
	for _, known := range [...]struct {
		err        error
		code, text string
	}{
		{store.ErrNotFound, "NONEXISTENT", "no such mailbox"},
		{store.ErrExists, "ALREADYEXISTS", "there is a mailbox of that name"},
		{store.ErrQuota, "OVERQUOTA", "the account is over its quota"},
		{store.ErrInvalid, "CANNOT", "no mailbox can have that name"},
		{store.ErrConflict, "CANNOT", "the mailbox cannot be changed so"},
		{store.ErrFull, "UNAVAILABLE", "the server has no space left; try again later"},
		{blob.ErrFull, "UNAVAILABLE", "the server has no space left; try again later"},
		{blob.ErrTemporary, "UNAVAILABLE", "try again later"},
		{store.ErrTemporary, "UNAVAILABLE", "try again later"},
		{store.ErrUnknown, "UNAVAILABLE", "it is not known whether this was done; look, and try again"},
		{store.ErrReadOnly, "UNAVAILABLE", "the server takes no changes now; try again later"},
		{context.DeadlineExceeded, "UNAVAILABLE", "try again later"},
		{context.Canceled, "UNAVAILABLE", "the server is going down"},
	} {
		if errors.Is(err, known.err) {
			if known.code == "UNAVAILABLE" {
				c.log.WarnContext(ctx, "imap: command not done", "err", err)
			}
			return imap.No(known.code, known.text)
		}
	}
	c.log.ErrorContext(ctx, "imap: internal error", "err", err)
	return imap.No("SERVERBUG", "internal error")
}

func lost(err error) error { return fmt.Errorf("%w: %w", errLost, err) }
