package smtpserver

import (
	"context"
	"errors"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/mail"
	"posta/internal/smtp"
)

// mailFrom begins a transaction.
func mailFrom(ctx context.Context, c *conn, arg []byte) {
	b := c.budget()
	if c.used.messages >= b.Messages {
		c.end(smtp.TooManyMessages.Reply(), Exhausted)
		return
	}
	path, params, refused := readPath(c.qualify(string(arg)), "FROM:", smtp.MailSyntax, smtp.SenderSyntax)
	if !refused.IsZero() {
		c.wrong(refused)
		return
	}
	from, ok := path.Address()
	if !ok && path.Kind != addr.Null {
		if !c.near() {
			c.wrong(smtp.SenderLiteral.Reply())
			return
		}
		from = addr.Address{Local: path.Local, Domain: addr.Domain(c.srv.cfg.Hostname)}
	}
	p, err := smtp.ParseMailParams(params)
	if err != nil {
		c.wrong(paramRefusal(err))
		return
	}
	if r := c.mailParams(b, &p, eightBit(arg[:len(arg)-len(params)])); !r.IsZero() {
		c.wrong(r)
		return
	}
	now := time.Now()
	e := &mail.Envelope{
		ID:          mail.NewID(now),
		Received:    now,
		Client:      c.client,
		ReversePath: from,
		Size:        p.Size,
		EnvID:       p.EnvID,
		RetFull:     p.RetFull,
		EightBit:    p.Body != smtp.SevenBit,
		Binary:      p.Body == smtp.BinaryMIME,
		UTF8:        p.UTF8,
		RequireTLS:  p.RequireTLS,
	}
	r := c.session.Mail(ctx, e)
	if r != nil && !r.OK() {
		c.wrong(*r)
		return
	}
	c.envelope, c.state = e, inMail
	c.sayOr(r, smtp.MailOK)
}

// near tells a client of our own: programs on the machine and in the local
// network say bare user names and address literals as senders, which other
// servers may not (RFC 5321 §2.3.5), and their first mail is to arrive all the
// same.
func (c *conn) near() bool { return c.client.Class >= mail.LocalNetwork }

// qualify gives the bare user name that a near client says as its sender our host
// name, as every sendmail does (RFC 6409 §6.2 permits it).
func (c *conn) qualify(arg string) string {
	if !c.near() {
		return arg
	}
	open, end := strings.IndexByte(arg, '<'), strings.IndexByte(arg, '>')
	if open < 0 || end < open+2 || strings.ContainsAny(arg[open:end], "@ ") {
		return arg
	}
	return arg[:end] + "@" + c.srv.cfg.Hostname + arg[end:]
}

// mailParams refuses parameters that do not fit the door or each other.
func (c *conn) mailParams(b *Budget, p *smtp.MailParams, pathIsUTF8 bool) smtp.Reply {
	switch {
	case pathIsUTF8 && !p.UTF8:
		c.notice(NonASCIIBeforeSMTPUTF8, "MAIL")
		return smtp.SenderUTF8.Reply()
	case p.RequireTLS && !c.srv.cfg.RequireTLS:
		return smtp.MailParamUnknown.With("REQUIRETLS")
	case p.RequireTLS && !c.secure():
		return smtp.RequireTLSNeedsTLS.Reply()
	case p.Size > b.MessageBytes:
		return smtp.MessageTooLarge.With(b.MessageBytes)
	}
	return smtp.Reply{}
}

// readPath reads "FROM:<path> params" or "TO:<path> params".
func readPath(arg, prefix string, form, address smtp.Phrase) (p addr.Path, params string, refused smtp.Reply) {
	rest, ok := smtp.CutPrefixFold(arg, prefix)
	if !ok || !strings.HasPrefix(rest, "<") {
		return p, "", form.Reply()
	}
	p, params, err := addr.ScanPath(rest, true)
	if err != nil {
		return p, "", address.With(strings.TrimPrefix(err.Error(), "addr: "))
	}
	if params != "" && params[0] != ' ' {
		return p, "", form.Reply()
	}
	return p, params, smtp.Reply{}
}

// paramRefusal names the parameter that was not understood.
func paramRefusal(err error) smtp.Reply {
	pe, ok := errors.AsType[*smtp.ParamError](err)
	switch {
	case !ok:
		return smtp.MailParamBad.With("list")
	case pe.Known:
		return smtp.MailParamBad.With(shorten(pe.Keyword))
	}
	return smtp.MailParamUnknown.With(shorten(pe.Keyword))
}

func shorten(s string) string { return s[:min(len(s), 32)] }

func eightBit(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}

// sayOr says the session's own words, or the standard ones.
func (c *conn) sayOr(r *smtp.Reply, standard smtp.Phrase) {
	if r != nil {
		c.say(*r)
		return
	}
	c.say(standard.Reply())
}
