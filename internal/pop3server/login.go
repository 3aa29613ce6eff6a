package pop3server

import (
	"context"
	"errors"
	"strings"
	"time"

	"posta/internal/admit"
	"posta/internal/lineio"
	"posta/internal/sasl"
)

func (c *conn) capa(_ context.Context, _ []string) error {
	c.ok("capabilities follow")
	caps := []string{"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "UTF8"}
	switch {
	case c.secure:
		caps = append(caps, "USER", "SASL "+strings.Join(sasl.Mechanisms(), " "))
	case c.state == Authorization:
		caps = append(caps, "STLS")
	}
	for _, s := range append(caps, "IMPLEMENTATION Posta", ".") {
		c.line(s)
	}
	return nil
}

// privacyRequired is the answer to a password that would travel in clear.
func (c *conn) privacyRequired() *reply {
	return refuse("SYS/PERM", "no password without TLS; use: openssl s_client -crlf -connect %s:995   or: openssl s_client -crlf -starttls pop3 -connect %s:110",
		c.srv.Hostname, c.srv.Hostname)
}

// stls begins TLS; what came in clear behind the command is thrown away.
func (c *conn) stls(ctx context.Context, args []string) error {
	if c.secure {
		return refuse("", "TLS is on already")
	}
	if len(args) > 0 {
		return refuse("", "STLS has no arguments")
	}
	c.ok("begin TLS now")
	if err := c.startTLS(ctx); err != nil {
		c.log.DebugContext(ctx, "pop3: TLS handshake failed", "err", err)
		return errQuit // nothing can be said any more
	}
	c.name = ""
	return nil
}

// utf8: messages go as they came in either mode (RFC 6856 §2.1).
func (c *conn) utf8(_ context.Context, _ []string) error {
	c.ok("UTF-8")
	return nil
}

// user takes any name: nothing tells whether it exists.
func (c *conn) user(_ context.Context, args []string) error {
	if !c.secure {
		return c.privacyRequired()
	}
	if args[0] == "" || len(args[0]) > sasl.MaxName {
		return refuse("", "USER: a name of 1 to %d octets expected", sasl.MaxName)
	}
	c.name = args[0]
	c.ok("the password, please")
	return nil
}

func (c *conn) pass(ctx context.Context, args []string) error {
	switch {
	case !c.secure:
		return c.privacyRequired()
	case c.name == "":
		return refuse("", "USER must come first")
	}
	name := c.name
	c.name = ""
	return c.enter(ctx, name, args[0])
}

// auth carries the dialogue of a SASL mechanism (RFC 5034).
func (c *conn) auth(ctx context.Context, args []string) error {
	if len(args) == 0 { // before RFC 5034 this listed the mechanisms
		c.ok("mechanisms follow")
		if c.secure {
			for _, m := range sasl.Mechanisms() {
				c.line(m)
			}
		}
		c.line(".")
		return nil
	}
	if !c.secure {
		return c.privacyRequired()
	}
	mech, ok := sasl.NewServer(args[0])
	if !ok || len(args) > 2 {
		return refuse("AUTH", "AUTH: mechanism PLAIN or LOGIN, and a response, expected")
	}
	var response []byte
	var err error
	if len(args) == 2 {
		if response, err = sasl.Decode([]byte(args[1])); err != nil {
			return refuse("AUTH", "AUTH: %v", err)
		}
	}
	for {
		challenge, cred, done, err := mech.Next(response)
		if err != nil {
			return refuse("AUTH", "AUTH: %v", err)
		}
		if done {
			if cred.Identity != "" && cred.Identity != cred.User {
				return refuse("AUTH", "nobody acts for another here")
			}
			return c.enter(ctx, cred.User, cred.Password)
		}
		c.line("+ " + string(sasl.AppendEncoded(nil, challenge)))
		line, err := c.io.ReadLine(maxAuth)
		if errors.Is(err, lineio.ErrTooLong) {
			return refuse("AUTH", "AUTH: %v", sasl.ErrTooLong)
		}
		if err != nil {
			return lost(err)
		}
		if response, err = sasl.Decode(line); err != nil {
			return refuse("AUTH", "AUTH: %v", err)
		}
	}
}

// enter verifies a login and opens INBOX as it is now. The authenticator delays a
// refusal itself.
func (c *conn) enter(ctx context.Context, user, password string) error {
	account, err := c.srv.Auth.Authenticate(ctx, c.io.Remote.Addr(), user, password)
	switch {
	case errors.Is(err, ErrTryLater):
		return refuse("SYS/TEMP", "the login cannot be verified now, try again later")
	case errors.Is(err, ErrRefused):
		c.badLogins++
		return refuse("AUTH", "address or password is wrong")
	case errors.Is(err, ErrExpired): // RFC 3206 §4: AUTH is a problem with the user's credentials
		c.badLogins++
		return refuse("AUTH", "%s", "the password is too old; "+admit.Renew(c.srv.PasswordPage)+" [auth.expired]")
	case err != nil:
		return err
	}
	c.account = account
	if err := c.openDrop(ctx); err != nil {
		return err
	}
	c.state = Transaction
	c.log = c.log.With("account", account)
	c.io.SetLast(time.Time{})
	n, octets := c.drop.total()
	c.ok("%d messages, %d octets", n, octets)
	return nil
}
