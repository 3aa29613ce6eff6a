package probe

import (
	"context"
	"net/netip"
	"strings"

	"posta/internal/smtp"
)

// perConnection is how many forms are asked in one connection: fewer than the errors
// after which servers grow slow or hang up (Postfix: 10 and 20).
const perConnection = 8

// RelayForm is one of the ways in which a server can be asked to send elsewhere.
type RelayForm struct {
	Name string
	// Sender and Recipient hold {me}, an address of the outside; {x} and {dom}, local part and domain of the outside
	// recipient; {srv}, the server's name; {ip}, its address as a literal; {local}, postmaster at the server's own domain.
	Sender, Recipient string
}

// RelayForms lists them, those that were abused most first (checks.md CH-SMTP-10;
// RFC 5321 §3.6.1 and appendix F; the forms that nmap and abuse.net try).
func RelayForms() []RelayForm {
	return []RelayForm{
		{"plain", "{me}", "{x}@{dom}"},
		{"bounce", "", "{x}@{dom}"},
		{"own domain", "{local}", "{x}@{dom}"},
		{"percent", "{me}", "{x}%{dom}@{srv}"},
		{"source route", "{me}", "@{srv}:{x}@{dom}"},
		{"percent at the address", "{me}", "{x}%{dom}@{ip}"},
		{"quoted", "{me}", `"{x}@{dom}"`},
		{"quoted percent", "{me}", `"{x}%{dom}"`},
		{"two ats at the address", "{me}", "{x}@{dom}@{ip}"},
		{"quoted at the address", "{me}", `"{x}@{dom}"@{ip}`},
		{"two ats", "{me}", "{x}@{dom}@{srv}"},
		{"quoted at the server", "{me}", `"{x}@{dom}"@{srv}`},
		{"source route by address", "{me}", "@{ip}:{x}@{dom}"},
		{"bang", "{me}", "{dom}!{x}"},
		{"bang at the address", "{me}", "{dom}!{x}@{ip}"},
		{"bang at the server", "{me}", "{dom}!{x}@{srv}"},
		{"local sender", "user@{srv}", "{x}@{dom}"},
		{"sender by address", "user@{ip}", "{x}@{dom}"},
		{"recipient by address", "{me}", "{x}@[192.0.2.1]"},
		{"recipient by IPv6 address", "{me}", "{x}@[IPv6:2001:db8::1]"},
		{"final dot", "{me}", "{x}@{dom}."},
		{"source route of two", "{me}", "@{srv},@{dom}:{x}@{dom}"},
		{"null octet", "{me}", "{x}@{dom}\x00"},
		{"upper case", "{me}", "{X}@{DOM}"},
		{"international", "{me}", "{x}@xn--e1afmkfd.{dom}"},
	}
}

// Relayed is one form that was asked.
type Relayed struct {
	Form      string     `json:"form"`
	Sender    string     `json:"sender"`
	Recipient string     `json:"recipient"`
	Reply     smtp.Reply `json:"-"`
	Text      string     `json:"reply"`
	// Accepted says that RCPT was answered 2yz: the server would take mail from anybody to anybody in this form. Whether it
	// then sends it is not tried.
	Accepted bool `json:"accepted"`
}

// OpenRelay says whether a form was accepted; Unknown when none was and not all those
// wanted could be asked.
func (r *SMTP) OpenRelay() Answer {
	for _, f := range r.Relay {
		if f.Accepted {
			return Yes
		}
	}
	if len(r.Relay) == 0 || r.RelayError != nil {
		return Unknown
	}
	return No
}

// relay asks form after form, RCPT and RSET and never DATA, and stops at the first
// 421 or the first form that is accepted: one is proof enough.
func (p *prober) relay(ctx context.Context, r *SMTP, opt *SMTPOptions) {
	forms := RelayForms()
	forms = forms[:min(opt.Relay, len(forms))]
	fill := p.filler(r, opt)
	for len(forms) > 0 {
		n := min(perConnection, len(forms))
		if r.RelayError = p.relayOnce(ctx, r, forms[:n], fill); r.RelayError != nil || r.OpenRelay() == Yes {
			return
		}
		forms = forms[n:]
	}
}

func (p *prober) relayOnce(ctx context.Context, r *SMTP, forms []RelayForm, fill *strings.Replacer) error {
	s, err := p.greeted(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	for _, f := range forms {
		x := Relayed{Form: f.Name, Sender: fill.Replace(f.Sender), Recipient: fill.Replace(f.Recipient)}
		if err := s.relayForm(&x); err != nil {
			return err
		}
		r.Relay = append(r.Relay, x)
		if x.Reply.Code == 421 {
			p.close()
			return ErrClosing
		}
		if _, err := s.quietly("RSET", NoteReset); err != nil || x.Accepted {
			return err
		}
	}
	_, _ = s.quietly("QUIT", NoteQuit) // all is known
	return nil
}

// relayForm asks one form. MAIL and RCPT go together where the server says that they may
// (RFC 2920 §3.1).
func (s *session) relayForm(x *Relayed) error {
	mail, rcpt := "MAIL FROM:<"+x.Sender+">", "RCPT TO:<"+x.Recipient+">"
	s.say(mail, NoteMail)
	if s.pipelining {
		s.say(rcpt, NoteRelay)
	}
	reply, lines, err := s.reply(s.p.cfg.Timeouts.Command)
	if err != nil {
		return err
	}
	for i, l := range lines {
		s.heard(l, outcomeNote(i, l))
	}
	refused := !reply.OK()
	if !refused && !s.pipelining {
		s.say(rcpt, NoteRelay)
	}
	if !refused || s.pipelining && reply.Code != 421 {
		second, lines, err := s.reply(s.p.cfg.Timeouts.Command)
		if err != nil {
			return err
		}
		x.Accepted = !refused && second.OK()
		s.relayHeard(lines, x.Accepted)
		if !refused || second.Code == 421 { // else it says only that MAIL was refused
			reply = second
		}
	}
	x.Reply, x.Text = reply, reply.String()
	return nil
}

func (s *session) relayHeard(lines []string, accepted bool) {
	for i, l := range lines {
		note := outcomeNote(i, l)
		if accepted {
			note = NoteRelayed
		}
		s.heard(l, note)
	}
}

// filler puts names into the forms.
func (p *prober) filler(r *SMTP, opt *SMTPOptions) *strings.Replacer {
	outside := opt.Outside
	if outside == "" {
		outside = "example.com"
	}
	server := r.Host
	if isAddress(server) {
		server = literal(r.Addr.Addr())
	}
	local := opt.Domain
	if local == "" {
		local = server
	}
	const x = "relay-test"
	return strings.NewReplacer("{me}", "probe@"+outside, "{x}", x, "{dom}", outside, "{srv}", server, "{ip}", literal(r.Addr.Addr()), "{local}", "postmaster@"+local,
		"{X}", strings.ToUpper(x), "{DOM}", strings.ToUpper(outside))
}

// literal is an address as the domain of a path (RFC 5321 §4.1.3).
func literal(ip netip.Addr) string {
	ip = ip.Unmap()
	if ip.Is6() {
		return "[IPv6:" + ip.String() + "]"
	}
	return "[" + ip.String() + "]"
}
