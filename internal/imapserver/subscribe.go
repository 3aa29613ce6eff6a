package imapserver

import (
	"context"
	"strings"

	"posta/internal/imap"
	"posta/internal/mailbox"
)

func (c *conn) subscribe(ctx context.Context, d *imap.Decoder) error {
	return c.setSubscribed(ctx, d, true)
}

func (c *conn) unsubscribe(ctx context.Context, d *imap.Decoder) error {
	return c.setSubscribed(ctx, d, false)
}

// setSubscribed: only a mailbox that exists can be subscribed to, so that the
// list has a bound; a subscription outlives its mailbox (RFC 9051 §6.3.7).
func (c *conn) setSubscribed(ctx context.Context, d *imap.Decoder, on bool) error {
	name, err := d.OneMailbox()
	if err != nil {
		return err
	}
	name = strings.TrimSuffix(name, string(mailbox.Separator))
	if on {
		if _, err := c.mailboxNamed(ctx, name); err != nil {
			return err
		}
	}
	return c.srv.Store.SetSubscribed(ctx, c.account, name, on)
}
