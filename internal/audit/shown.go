package audit

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"posta/internal/lineio"
	"posta/internal/smtp"
)

// Bounds of looking at the certificates of exchangers.
const (
	maxShown  = 12 // addresses
	shownTime = 20 * time.Second
	lineTime  = 10 * time.Second
)

// shownBy is what an address of an exchanger shows under STARTTLS.
type shownBy struct {
	host     string
	ip       netip.Addr
	chain    []*x509.Certificate // the host's own first; nil with err
	answered bool                // it spoke SMTP with us
	err      error
}

// trusted says whether authorities vouch for the chain, and for the host's name.
func (s *shownBy) trusted(roots *x509.CertPool, now time.Time) error {
	between := x509.NewCertPool()
	for _, c := range s.chain[1:] {
		between.AddCert(c)
	}
	if err := s.chain[0].VerifyHostname(s.host); err != nil {
		return err
	}
	_, err := s.chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now})
	return err
}

// shown looks at all addresses of all exchangers, side by side, once for the audit.
func (a *audit) shown(ctx context.Context) []shownBy {
	a.certificates.once.Do(func() {
		var list []shownBy
		for _, h := range a.facts.mx().hosts {
			for _, ip := range h.addrs {
				if len(list) < maxShown && public(ip) {
					list = append(list, shownBy{host: h.name, ip: ip})
				}
			}
		}
		var wg sync.WaitGroup
		for i := range list {
			wg.Go(func() { a.look(ctx, &list[i]) })
		}
		wg.Wait()
		a.certificates.list = list
	})
	return a.certificates.list
}

// certificates are what shown found.
type certificates struct {
	once sync.Once
	list []shownBy
}

// look says EHLO and STARTTLS to one address, and QUIT.
func (a *audit) look(ctx context.Context, s *shownBy) {
	ctx, cancel := context.WithTimeout(ctx, shownTime)
	defer cancel()
	raw, err := a.connect(ctx, netip.AddrPortFrom(s.ip, 25))
	if err != nil {
		s.err = err
		return
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	a.probed("SMTP: certificate of " + s.host)
	c := client{line: lineio.New(raw, nil)}
	if s.err = c.greet(cmp.Or(a.cfg.Hello, "[127.0.0.1]")); s.err != nil {
		return
	}
	s.answered = true
	if s.err = c.startTLS(ctx, raw, s.host); s.err == nil {
		s.chain = c.chain
	}
}

// client is the little of SMTP that a handshake needs.
type client struct {
	line   *lineio.Conn
	parser smtp.ReplyParser
	ext    smtp.Extensions
	chain  []*x509.Certificate
}

func (c *client) command(text string) (smtp.Reply, error) {
	if text != "" {
		c.line.WriteString(text + "\r\n")
	}
	c.line.SetLast(time.Now().Add(lineTime))
	for {
		line, err := c.line.ReadLine(smtp.MaxReplyLineSize)
		if err != nil {
			return smtp.Reply{}, err
		}
		if r, done, err := c.parser.Line(line); err != nil || done {
			return r, err
		}
	}
}

func (c *client) greet(name string) error {
	for _, text := range [...]string{"", "EHLO " + name} {
		r, err := c.command(text)
		if err != nil {
			return err
		}
		if !r.OK() {
			return errors.New("answers " + r.String())
		}
		c.ext = smtp.ParseExtensions(r)
	}
	return nil
}

var errNoSTARTTLS = errors.New("STARTTLS is not offered")

func (c *client) startTLS(ctx context.Context, raw net.Conn, host string) error {
	if !c.ext.StartTLS {
		return errNoSTARTTLS
	}
	r, err := c.command("STARTTLS")
	if err != nil {
		return err
	}
	if r.Code != 220 {
		return errors.New("STARTTLS is answered " + r.String())
	}
	// What is shown is judged afterwards, whatever it is.
	t := tls.Client(raw, &tls.Config{ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	c.chain = t.ConnectionState().PeerCertificates
	if len(c.chain) == 0 {
		return errors.New("it shows no certificate")
	}
	if _, err := c.line.Upgrade(t); err != nil {
		return err
	}
	_, _ = c.command("QUIT") // it has shown what was wanted
	return nil
}
