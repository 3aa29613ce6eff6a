package smtpserver

import (
	"context"
	"fmt"
	"strings"

	"posta/internal/mail"
	"posta/internal/smtp"
)

// helo is the greeting without extensions.
func helo(ctx context.Context, c *conn, arg []byte) {
	if c.hello(ctx, "HELO", arg, false) {
		c.say(smtp.HelloOK.With(c.srv.cfg.Hostname))
	}
}

// ehlo is EHLO and LHLO: the answer lists what we can do.
func ehlo(ctx context.Context, c *conn, arg []byte) {
	verb := "EHLO"
	if c.client.Door == mail.LMTP {
		verb = "LHLO"
	}
	if c.hello(ctx, verb, arg, true) {
		r := smtp.HelloOK.With(c.srv.cfg.Hostname + "\n" + strings.Join(c.extensions(), "\n"))
		c.say(r)
	}
}

// hello is common to both: a transaction ends (RFC 5321 §4.1.4), and the
// session hears the name.
func (c *conn) hello(ctx context.Context, verb string, arg []byte, extended bool) bool {
	if len(arg) == 0 {
		c.wrong(smtp.HelloEmpty.With(verb))
		return false
	}
	if !helloFits(arg) {
		c.wrong(smtp.HelloSyntax.Reply())
		return false
	}
	c.endTransaction()
	c.state = connected
	c.client.HELO, c.client.EHLO = string(arg), extended
	if r := c.session.Hello(ctx, &c.client); r != nil && !r.OK() {
		c.wrong(*r)
		return false
	}
	c.state = greeted
	return true
}

// helloFits: a name or an address literal has neither spaces nor 8-bit octets,
// and at most 255 of them (RFC 5321 §4.5.3.1.2). What the name is worth is
// judged elsewhere.
func helloFits(arg []byte) bool {
	for _, b := range arg {
		if b <= ' ' || b >= 0x7f {
			return false
		}
	}
	return len(arg) <= 255
}

// extensions are the lines of the answer to EHLO, as the door and its state
// have them.
func (c *conn) extensions() []string {
	cfg, b := &c.srv.cfg, &c.srv.calm
	list := []string{
		"PIPELINING",
		fmt.Sprintf("SIZE %d", b.MessageBytes),
		"8BITMIME",
		"SMTPUTF8",
		"ENHANCEDSTATUSCODES",
		"CHUNKING",
		"BINARYMIME",
		"DSN",
		fmt.Sprintf("LIMITS MAILMAX=%d RCPTMAX=%d", min(b.Messages, smtp.MaxLimit), min(b.Recipients, smtp.MaxLimit)),
	}
	if cfg.TLS != nil && !c.secure() {
		list = append(list, "STARTTLS")
	}
	if cfg.RequireTLS && c.secure() {
		list = append(list, "REQUIRETLS") // RFC 8689 §2: not before TLS
	}
	if c.client.Door == mail.Submission && c.secure() && c.client.Class != mail.Authenticated {
		list = append(list, "AUTH PLAIN LOGIN")
	}
	return list
}
