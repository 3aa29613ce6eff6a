package imapserver

import (
	"context"
	"errors"

	"posta/internal/imap"
	"posta/internal/lineio"
	"posta/internal/sasl"
)

// authenticate carries the dialogue of a SASL mechanism (RFC 9051 §6.2.2,
// RFC 4959): base64 lines, "*" to cancel.
func (c *conn) authenticate(ctx context.Context, d *imap.Decoder) error {
	if !c.secure {
		return c.privacyRequired()
	}
	name, initial, err := d.Authenticate()
	if err != nil {
		return err
	}
	mech, ok := sasl.NewServer(name)
	if !ok {
		return imap.No("CANNOT", "mechanism unknown; PLAIN and LOGIN are there")
	}
	var response []byte
	if initial != nil {
		if response, err = sasl.Decode(initial); err != nil {
			return saslRefusal(err)
		}
	}
	for {
		challenge, cred, done, err := mech.Next(response)
		if err != nil {
			return saslRefusal(err)
		}
		if done {
			if cred.Identity != "" && cred.Identity != cred.User {
				return imap.No("AUTHORIZATIONFAILED", "nobody acts for another here")
			}
			return c.enter(ctx, cred.User, cred.Password)
		}
		c.cont(string(sasl.AppendEncoded(nil, challenge)))
		line, err := c.io.ReadLine(2 * sasl.MaxResponse)
		if errors.Is(err, lineio.ErrTooLong) {
			return saslRefusal(sasl.ErrTooLong)
		}
		if err != nil {
			return lost(err)
		}
		if response, err = sasl.Decode(line); err != nil {
			return saslRefusal(err)
		}
	}
}

// saslRefusal: a cancelled or broken dialogue is BAD (RFC 9051 §6.2.2).
func saslRefusal(err error) *imap.Reply {
	if errors.Is(err, sasl.ErrCancelled) {
		return imap.Bad("cancelled")
	}
	return imap.Bad("AUTHENTICATE: %v", err)
}
