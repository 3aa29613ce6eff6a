package smtpserver

import (
	"context"

	"posta/internal/addr"
	"posta/internal/mail"
	"posta/internal/smtp"
)

// rcptTo adds a recipient. A refusal leaves the transaction as it is (RFC 5321
// §3.3).
func rcptTo(ctx context.Context, c *conn, arg []byte) {
	b := c.budget()
	path, params, refused := readPath(string(arg), "TO:", smtp.RcptSyntax, smtp.RcptAddress)
	if !refused.IsZero() {
		c.wrong(refused)
		return
	}
	to, reply := c.forwardPath(path)
	if !reply.IsZero() {
		c.wrong(reply)
		return
	}
	if eightBit(arg[:len(arg)-len(params)]) && !c.envelope.UTF8 {
		c.notice(NonASCIIBeforeSMTPUTF8, "RCPT")
		c.wrong(smtp.RcptUTF8.Reply())
		return
	}
	p, err := smtp.ParseRcptParams(params)
	if err != nil {
		c.wrong(paramRefusal(err))
		return
	}
	if len(c.envelope.Recipients) >= b.Recipients {
		c.say(smtp.RcptTooMany.Reply())
		return
	}
	rcpt := mail.Recipient{Address: to, Original: p.Orcpt, Notify: mail.Notify(p.Notify)}
	r := c.session.Rcpt(ctx, c.envelope, rcpt)
	if r != nil && !r.OK() {
		c.refuseRcpt(b, *r)
		return
	}
	c.envelope.Recipients = append(c.envelope.Recipients, rcpt)
	c.state = inRcpt
	c.sayOr(r, smtp.RcptOK)
}

// forwardPath is the address of a path; <postmaster> is ours (RFC 5321 §4.5.1).
func (c *conn) forwardPath(p addr.Path) (addr.Address, smtp.Reply) {
	switch p.Kind {
	case addr.Mailbox:
		a, _ := p.Address()
		return a, smtp.Reply{}
	case addr.Postmaster:
		return addr.Address{Local: "postmaster", Domain: addr.Domain(c.srv.cfg.Hostname)}, smtp.Reply{}
	case addr.Null:
		return addr.Address{}, smtp.RcptNull.Reply()
	}
	return addr.Address{}, smtp.RcptLiteral.Reply()
}

// refuseRcpt says a refusal, and ends with who tries one name after the other.
func (c *conn) refuseRcpt(b *Budget, r smtp.Reply) {
	c.say(r)
	if !r.Permanent() {
		return
	}
	if c.used.refused++; c.used.refused > b.Refused {
		c.overBudget(smtp.RcptTooManyRefused.Reply(), "refused recipients")
	}
}
