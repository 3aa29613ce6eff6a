package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	gosmtp "github.com/emersion/go-smtp"
)

// patience bounds each conversation of a peer.
const patience = 60 * time.Second

// peer is a client of the outside world, or a program on this machine.
type peer struct {
	Name string
	HELO string
	IP   netip.Addr // a documentation address; invalid: this machine, without PROXY
	Door string     // "smtp", "submission", "submissions", "lmtp", "sendmail"
	With string     // "raw", "net/smtp", "go-smtp"
	TLS  bool       // STARTTLS; on submissions always
	User string     // who logs in, "" nobody
	Sign bool       // sign as the well-kept peer does

	SignWith []string // or as these options say: "l=30", "s=prueba", "expired"
	Seal     []string // a domain, and what it found: make the first ARC set
	Tail     string   // a line that is added when all that is done
}

// connect opens a connection of a peer to our server. From a documentation
// address it goes to the PROXY listener and begins with its header.
func (l *Lab) connect(ctx context.Context, h *house, p *peer) (net.Conn, error) {
	door, network := p.Door, "tcp"
	if p.IP.IsValid() {
		if door != "smtp" {
			return nil, fmt.Errorf("peer %s: only the door smtp has a PROXY listener", p.Name)
		}
		door = proxyDoor
	}
	if door == "sendmail" {
		network = "unix"
	}
	c, err := new(net.Dialer).DialContext(ctx, network, h.addrs[door])
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if p.IP.IsValid() {
		if _, err := fmt.Fprintf(c, "PROXY TCP4 %s %s 40000 25\r\n", p.IP, ourIP); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if door == "submissions" {
		t := tls.Client(c, l.tlsConfig())
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return t, nil
	}
	return c, nil
}

// tlsConfig trusts the lab's authority and asks for our host's name.
func (l *Lab) tlsConfig() *tls.Config {
	return &tls.Config{RootCAs: l.ca.Pool(), ServerName: ourHost}
}

// letter is what a client is asked to send.
type letter struct {
	From string
	To   []string
	Data []byte // lines end in CRLF
}

// post sends a letter with the peer's client and gives the reply that decided,
// "250" when all was accepted and the client does not show the text.
func (l *Lab) post(ctx context.Context, h *house, p *peer, m letter) (string, error) {
	data, err := l.dress(p, m.Data)
	if err != nil {
		return "", err
	}
	m.Data = data
	c, err := l.connect(ctx, h, p)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if p.With == "go-smtp" {
		return l.postGoSMTP(c, p, m)
	}
	return l.postNetSMTP(c, p, m)
}

// postNetSMTP uses the client of the standard library.
func (l *Lab) postNetSMTP(conn net.Conn, p *peer, m letter) (string, error) {
	c, err := smtp.NewClient(conn, ourHost)
	if err != nil {
		return replied(err)
	}
	defer c.Close()
	steps := []func() error{func() error { return c.Hello(p.HELO) }}
	if p.TLS {
		steps = append(steps, func() error { return c.StartTLS(l.tlsConfig()) })
	}
	if p.User != "" {
		steps = append(steps, func() error {
			return c.Auth(smtp.PlainAuth("", p.User, l.password(p.User), ourHost))
		})
	}
	steps = append(steps, func() error { return c.Mail(m.From) })
	for _, to := range m.To {
		steps = append(steps, func() error { return c.Rcpt(to) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return replied(err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return replied(err)
	}
	if _, err := w.Write(m.Data); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return replied(err)
	}
	return "250", c.Quit()
}

// postGoSMTP uses emersion/go-smtp. It cannot choose its name before STARTTLS,
// so it is given a connection that has TLS already, or none.
func (l *Lab) postGoSMTP(conn net.Conn, p *peer, m letter) (string, error) {
	if p.TLS {
		return "", fmt.Errorf("peer %s: go-smtp does not choose its name before STARTTLS", p.Name)
	}
	c := gosmtp.NewClient(conn)
	defer c.Close()
	if err := c.Hello(p.HELO); err != nil {
		return replied(err)
	}
	if p.User != "" {
		if err := c.Auth(plain{p.User, l.password(p.User)}); err != nil {
			return replied(err)
		}
	}
	if err := c.Mail(m.From, nil); err != nil {
		return replied(err)
	}
	for _, to := range m.To {
		if err := c.Rcpt(to, nil); err != nil {
			return replied(err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return replied(err)
	}
	if _, err := w.Write(m.Data); err != nil {
		return "", err
	}
	done, err := w.CloseWithResponse()
	if err != nil {
		return replied(err)
	}
	return "250 " + oneLine(done.StatusText), c.Quit()
}

// plain is AUTH PLAIN (RFC 4616) for go-smtp.
type plain struct{ user, password string }

// Start gives the mechanism and the initial response.
func (p plain) Start() (mech string, ir []byte, err error) { return "PLAIN", []byte(p.initial()), nil }

// Next answers a challenge; PLAIN has none.
func (plain) Next([]byte) ([]byte, error) {
	return nil, errors.New("a challenge to PLAIN")
}

func (p plain) initial() string { return "\x00" + p.user + "\x00" + p.password }

// replied takes the server's reply out of a client's error; other errors stay
// errors.
func replied(err error) (string, error) {
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		return fmt.Sprintf("%d %s", e.Code, oneLine(e.Msg)), nil
	}
	if e, ok := errors.AsType[*gosmtp.SMTPError](err); ok {
		ec := e.EnhancedCode
		return fmt.Sprintf("%d %d.%d.%d %s", e.Code, ec[0], ec[1], ec[2], oneLine(e.Message)), nil
	}
	return "", err
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
