package smtpserver

import (
	"context"
	"strings"

	"posta/internal/mail"
	"posta/internal/smtp"
)

// The commands that need a line or two.

func rset(_ context.Context, c *conn, _ []byte) {
	c.endTransaction()
	c.say(smtp.ResetOK.Reply())
}

func noop(_ context.Context, c *conn, _ []byte) { c.say(smtp.NoopOK.Reply()) }

func quit(_ context.Context, c *conn, _ []byte) { c.end(smtp.ByeOK.Reply(), Quit) }

// vrfy tells nothing: whether an address exists is learnt by sending to it
// (RFC 5321 §3.5.3, §7.3).
func vrfy(_ context.Context, c *conn, arg []byte) {
	if len(arg) == 0 {
		c.wrong(smtp.ArgumentNeeded.With("VRFY"))
		return
	}
	c.say(smtp.VerifyOK.Reply())
}

func help(_ context.Context, c *conn, _ []byte) { c.say(smtp.HelpText.With(c.srv.verbs)) }

// helpText lists the verbs of a door.
func (s *Server) helpText() string {
	var verbs []string
	for v := smtp.HELO; v <= smtp.AUTH; v++ {
		lmtp := s.cfg.Door == mail.LMTP
		switch {
		case v == smtp.EXPN,
			(v == smtp.HELO || v == smtp.EHLO) && lmtp,
			v == smtp.LHLO && !lmtp,
			v == smtp.STARTTLS && s.cfg.TLS == nil,
			v == smtp.AUTH && s.cfg.Door != mail.Submission:
			continue
		}
		verbs = append(verbs, v.String())
	}
	return strings.Join(verbs, " ")
}

func notOffered(verb string) func(context.Context, *conn, []byte) {
	return func(_ context.Context, c *conn, _ []byte) { c.wrong(smtp.NotImplemented.With(verb)) }
}

func unknown(_ context.Context, c *conn, _ []byte) {
	c.notice(UnknownCommand, "")
	c.used.unknown++
	c.wrong(smtp.CommandUnknown.Reply())
}

// httpVerb ends at once: a page in somebody's browser may be made to post mail
// through us, its headers would be errors and its body commands.
func httpVerb(_ context.Context, c *conn, _ []byte) {
	c.notice(HTTPVerb, "")
	c.end(smtp.NotMail.Reply(), Abused)
}

func proxyVerb(_ context.Context, c *conn, _ []byte) {
	c.notice(ProxyHeader, "")
	c.end(smtp.NotAProxy.Reply(), Abused)
}
