package imapserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"posta/internal/admit"
	"posta/internal/imap"
)

// privacyRequired is the answer to a password that would travel in clear.
func (c *conn) privacyRequired() *imap.Reply {
	return imap.No("PRIVACYREQUIRED", fmt.Sprintf("no password without TLS; use: openssl s_client -crlf -connect %s:993   or: openssl s_client -crlf -starttls imap -connect %s:143",
		c.srv.Hostname, c.srv.Hostname))
}

func (c *conn) login(ctx context.Context, d *imap.Decoder) error {
	if !c.secure {
		return c.privacyRequired()
	}
	user, password, err := d.Login()
	if err != nil {
		return err
	}
	return c.enter(ctx, user, password)
}

// enter verifies a login and opens the account. The authenticator delays a
// refusal itself.
func (c *conn) enter(ctx context.Context, user, password string) error {
	account, err := c.srv.Auth.Authenticate(ctx, c.io.Remote.Addr(), user, password)
	switch {
	case errors.Is(err, ErrTryLater):
		return imap.No("UNAVAILABLE", "the login cannot be verified now, try again later")
	case errors.Is(err, ErrRefused):
		if c.badLogins++; c.badLogins >= c.limits.FailedLogins {
			c.farewell = "too many failed logins"
		}
		return imap.No("AUTHENTICATIONFAILED", "address or password is wrong")
	case errors.Is(err, ErrExpired): // RFC 5530 §3
		if c.badLogins++; c.badLogins >= c.limits.FailedLogins {
			c.farewell = "too many failed logins"
		}
		return imap.No("EXPIRED", "the password is too old; "+admit.Renew(c.srv.PasswordPage)+" [auth.expired]")
	case err != nil:
		return err
	}
	c.account, c.state = account, Authenticated
	c.log = c.log.With("account", account)
	c.wake, c.unsubsc = c.srv.Store.Subscribe(account)
	c.io.SetLast(time.Time{})
	c.log.DebugContext(ctx, "imap: login")
	if c.srv.Notice != nil {
		if text := c.srv.Notice(account); text != "" {
			c.print("* OK [ALERT] " + text + "\r\n") // RFC 9051 §7.1: clients show it
		}
	}
	return &imap.Reply{Status: imap.OK, Code: "CAPABILITY " + c.capabilities(), Text: "welcome"}
}
