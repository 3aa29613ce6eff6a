package scan

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/milter"
)

// Milter is a scanner that speaks the mail filter protocol.
type Milter struct{ client *milter.Client }

// NewMilter makes a scanner of a milter's address, see [milter.ParseAddress].
func NewMilter(address string, o milter.Options) (*Milter, error) {
	c, err := milter.New(address, o)
	if err != nil {
		return nil, err
	}
	return &Milter{c}, nil
}

// Defaults implements Scanner.
func (m *Milter) Defaults() Defaults {
	// A field that is too long for the protocol is of an attacker, so it defers.
	return Defaults{Kind: "milter", Timeout: 45 * time.Second, OnFailure: Defer, OnTooLarge: Defer}
}

// Close implements Scanner.
func (m *Milter) Close() error { return m.client.Close() }

// Ping negotiates and says good-bye.
func (m *Milter) Ping(ctx context.Context) (string, error) {
	s, err := m.client.Open(ctx)
	if err != nil {
		return "", err
	}
	defer s.Close()
	version, _, _ := s.Peer()
	return fmt.Sprintf("milter protocol %d", version), nil
}

// Scan plays the whole transaction.
func (m *Milter) Scan(ctx context.Context, f *Facts, msg Message, tmp TempDir) (Report, error) {
	e := f.Envelope
	t := &milter.Transaction{
		Client: netip.AddrPortFrom(e.Client.IP, e.Client.Port), Name: f.Name, Helo: e.Client.HELO,
		From: mailPath(e), Macros: macros(f, msg.Header), Header: msg.Header, Body: msg.body,
	}
	for _, r := range e.Recipients {
		t.To = append(t.To, rcptPath(r))
	}
	var body *spool
	res, err := m.client.Play(ctx, t, func() io.Writer { return renew(&body, tmp) })
	if err != nil {
		body.free()
		return Report{}, err
	}
	return milterReport(res, body), nil
}

// renew makes a spool in the place of one that a first attempt may have begun.
func renew(s **spool, tmp TempDir) *spool {
	(*s).free()
	*s = &spool{dir: tmp}
	return *s
}

// milterReport is a milter's answer as a report. When it refuses everybody, the
// run ends by itself: the refusals are of the recipients.
func milterReport(res milter.Result, body *spool) Report {
	r := Report{Action: actionOf(res.Verdict), Reply: res.Verdict.Reply, Edits: res.Edits, body: body}
	everybody := len(res.Rcpt) > 0
	for i, v := range res.Rcpt {
		if v.Action == milter.Reject || v.Action == milter.TempFail {
			r.Rcpt = append(r.Rcpt, RcptReport{i, actionOf(v), v.Reply})
		} else {
			everybody = false
		}
	}
	switch {
	case everybody:
		r.Action, r.Reply = mail.Accept, r.Rcpt[0].Reply
	case r.Action >= mail.Discard:
		r.Rcpt = nil
	}
	for _, e := range res.Edits {
		if e.Kind == milter.Quarantine {
			r.Action, r.Reason = mail.Quarantine, clean(e.Reason)
		}
	}
	if r.Reason == "" && !r.Reply.IsZero() {
		r.Reason = clean(r.Reply.Text)
	}
	return r
}

func actionOf(v milter.Verdict) mail.Action {
	return [...]mail.Action{
		milter.Continue: mail.Accept, milter.Accept: mail.Accept, milter.Discard: mail.Discard,
		milter.TempFail: mail.Defer, milter.Reject: mail.Reject,
	}[v.Action]
}

// mailPath is the MAIL of an envelope.
func mailPath(e *mail.Envelope) milter.Path {
	p := milter.Path{Address: e.ReversePath.String()}
	add := func(given bool, param string) {
		if given {
			p.Params = append(p.Params, param)
		}
	}
	add(e.Size > 0, "SIZE="+strconv.FormatInt(e.Size, 10))
	add(e.Binary, "BODY=BINARYMIME")
	add(e.EightBit && !e.Binary, "BODY=8BITMIME")
	add(e.UTF8, "SMTPUTF8")
	add(e.RequireTLS, "REQUIRETLS")
	add(e.RetFull, "RET=FULL")
	return p
}

// rcptPath is the RCPT of a recipient.
func rcptPath(r mail.Recipient) milter.Path {
	p := milter.Path{Address: r.Address.String()}
	if r.Notify == 0 {
		return p
	}
	var words []string
	for i, w := range []string{"NEVER", "SUCCESS", "FAILURE", "DELAY"} {
		if r.Notify&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	p.Params = []string{"NOTIFY=" + strings.Join(words, ",")}
	return p
}

// macros are sendmail's, as far as we know what they tell.
func macros(f *Facts, header []byte) milter.Macros {
	m := connectionMacros(f)
	e := f.Envelope
	m["i"] = e.ID.String()
	m["mail_mailer"], m["rcpt_mailer"] = "esmtp", "local"
	m["msg_id"] = message.Header(header).Get("Message-ID")
	return m
}

// connectionMacros are those that do not change with the transaction, save that
// TLS and the login come in the course of the connection.
func connectionMacros(f *Facts) milter.Macros {
	c := &f.Envelope.Client
	m := milter.Macros{
		"j": f.Hostname, "v": "Posta", "daemon_name": daemonName(c.Door),
		"tls_version": strings.Replace(c.TLS.Version, "TLS1", "TLSv1", 1), "cipher": c.TLS.Cipher,
		"auth_authen": c.Login,
	}
	if c.Login != "" {
		m["auth_type"] = "PLAIN"
		if f.AuthType != "" {
			m["auth_type"] = f.AuthType
		}
	}
	if c.Local.IsValid() {
		m["daemon_addr"] = c.Local.Addr().Unmap().String()
		m["daemon_port"] = strconv.Itoa(int(c.Local.Port()))
	}
	clientMacros(m, f)
	return m
}

// clientMacros tell who the client is. A name counts if it is confirmed.
func clientMacros(m milter.Macros, f *Facts) {
	c := &f.Envelope.Client
	if !c.IP.IsValid() {
		m["client_name"], m["client_ptr"], m["_"] = "localhost", "localhost", "localhost"
		return
	}
	ip := c.IP.String()
	m["client_addr"], m["client_port"] = ip, strconv.Itoa(int(c.Port))
	m["client_ptr"], m["client_name"], m["_"] = "unknown", "["+ip+"]", "["+ip+"]"
	if f.PTR != "" {
		m["client_ptr"], m["_"] = f.PTR, f.PTR+" ["+ip+"] (may be forged)"
	}
	if f.Name != "" {
		m["client_name"], m["client_ptr"], m["_"] = f.Name, f.Name, f.Name+" ["+ip+"]"
	}
}

// daemonName is what sendmail calls the doors; OpenDKIM can sign by it.
func daemonName(d mail.Door) string {
	switch d {
	case mail.Submission:
		return "MSA"
	case mail.LMTP:
		return "LMTP"
	}
	return "MTA"
}
