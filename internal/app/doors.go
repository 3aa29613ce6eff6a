package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"posta/internal/admit"
	"posta/internal/config"
	"posta/internal/control"
	"posta/internal/gate"
	"posta/internal/imapserver"
	"posta/internal/intake"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/pop3server"
	"posta/internal/smtpserver"
	"posta/internal/store"
	"posta/internal/train"
	"posta/internal/web"
)

// door is one open listener with what serves it.
type door struct {
	name     string
	l        net.Listener
	serve    func(ctx context.Context) error // until shutdown; nil then
	shutdown func(ctx context.Context) error
}

// bound is a socket that is not served yet.
type bound struct {
	name string
	l    net.Listener
}

// bind opens every network socket before anything else is opened, so that a port
// that is taken is told at once, and root is needed no longer.
func (s *server) bind() error {
	for _, d := range s.cfg.Listen.All() {
		if d.Address == "" {
			continue
		}
		l, err := s.listen(d)
		if err != nil {
			s.unbind()
			return fmt.Errorf("listen.%s: %w", d.Name, err)
		}
		s.bound = append(s.bound, bound{d.Name, l})
	}
	return nil
}

// unbind closes what bind opened; what was served and shut is closed already.
func (s *server) unbind() {
	for _, b := range s.bound {
		b.l.Close()
	}
}

// openDoors makes the servers of the sockets, and the two of the data folder.
func (s *server) openDoors() error {
	for _, b := range s.bound {
		if err := s.add(b.name, b.l); err != nil {
			return err
		}
	}
	return s.openLocal()
}

func (s *server) listen(d config.Door) (net.Listener, error) {
	if s.opt.Listen != nil {
		return s.opt.Listen(d.Name, d.Address)
	}
	return listen(d.Address)
}

// listen opens a TCP socket, or a unix socket for a path.
func listen(address string) (net.Listener, error) {
	if strings.HasPrefix(address, "/") {
		return control.Listen(address)
	}
	return net.Listen("tcp", address)
}

// openLocal opens the two unix sockets of the data folder.
func (s *server) openLocal() error {
	l, err := control.Listen(filepath.Join(s.cfg.Data, Socket))
	if err != nil {
		return err
	}
	ctl := &control.Server{House: s.house, Log: s.log}
	ctlCtx, stop := context.WithCancel(context.Background())
	s.doors = append(s.doors, door{"control", l,
		func(ctx context.Context) error { return ctl.Serve(ctlCtx, l) },
		func(context.Context) error { stop(); return nil },
	})
	sl, err := control.Listen(filepath.Join(s.cfg.Data, SendmailSocket))
	if err != nil {
		return err
	}
	// Every user of the machine may submit; the kernel tells who it is.
	if err := os.Chmod(filepath.Join(s.cfg.Data, SendmailSocket), 0o666); err != nil {
		sl.Close()
		return err
	}
	s.doors = append(s.doors, s.sendmailDoor(sl))
	return nil
}

// add makes the server of a listener.
func (s *server) add(name string, l net.Listener) error {
	switch name {
	case "smtp", "smtp_proxy", "submission", "submissions", "lmtp":
		s.doors = append(s.doors, s.smtpDoor(name, l))
	case "imap", "imaps":
		s.doors = append(s.doors, s.imapDoor(name, l))
	case "pop3", "pop3s":
		s.doors = append(s.doors, s.pop3Door(name, l))
	case "http", "https":
		d, err := s.httpDoor(name, l)
		if err != nil {
			return err
		}
		s.doors = append(s.doors, d)
	}
	return nil
}

func (s *server) smtpConfig(d mail.Door) smtpserver.Config {
	lim := s.cfg.Limits
	b := smtpserver.DefaultBudget(d)
	b.MessageBytes, b.Recipients, b.Messages = int64(lim.MessageSize), lim.Recipients, lim.MessagesPerConnection
	c := smtpserver.Config{
		Door: d, Hostname: s.cfg.Hostname, Greeting: s.cfg.Greeting, WhyURL: s.whyURL(), Budget: b, TLS: s.certs.TLSFunc(),
		Limits:  gate.Limits{Connections: lim.Connections, PerNetwork: lim.PerNetwork},
		Trusted: s.trusted, ProxyFrom: s.proxies(), RequireTLS: true, Log: s.log,
	}
	if d == mail.MX {
		c.GreetDelay = time.Duration(lim.GreetDelay)
	}
	return c
}

// proxies are the networks of load balancers, whose connections begin with a
// PROXY header at every door that speaks a protocol of mail.
func (s *server) proxies() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s.cfg.Network.Proxy {
		if n, err := config.ParsePrefix(p); err == nil {
			out = append(out, n)
		}
	}
	return out
}

func (s *server) smtpDoor(name string, l net.Listener) door {
	var c smtpserver.Config
	switch name {
	case "smtp":
		c = s.smtpConfig(mail.MX)
	case "smtp_proxy":
		c = s.smtpConfig(mail.MX)
		if len(c.ProxyFrom) == 0 {
			c.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
		}
		c.ProxyOnly = true
	case "lmtp":
		c = s.smtpConfig(mail.LMTP)
	default:
		c = s.smtpConfig(mail.Submission)
		c.ImplicitTLS = name == "submissions"
	}
	return s.smtpServing(name, l, c)
}

// sendmailDoor speaks SMTP with programs of this machine, each known by its user.
func (s *server) sendmailDoor(l net.Listener) door {
	c := s.smtpConfig(mail.Local)
	c.Who = func(nc net.Conn) (mail.Client, error) {
		uid, err := control.PeerUID(nc)
		return mail.Client{Door: mail.Local, Class: mail.Authenticated, Login: fmt.Sprintf("uid:%d", uid)}, err
	}
	return s.smtpServing("sendmail", l, c)
}

func (s *server) smtpServing(name string, l net.Listener, c smtpserver.Config) door {
	srv := smtpserver.New(c, s.in)
	return door{name, l, func(ctx context.Context) error { return ended(srv.Serve(ctx, l), smtpserver.ErrShutDown) }, srv.Shutdown}
}

func (s *server) imapDoor(name string, l net.Listener) door {
	watch := s.train.Watch()
	srv := &imapserver.Server{
		Hostname: s.cfg.Hostname, TLSConfig: s.certs.TLSFunc(), Auth: logins{s.login, imapserver.ErrRefused, imapserver.ErrTryLater, imapserver.ErrExpired}, Store: watch,
		Blobs: s.state.Blobs, Appender: appender{s.in, watch}, PasswordPage: s.passwordPage(), Notice: s.overdue.notice, ProxyFrom: s.proxies(), Trusted: s.trusted, Log: s.log, Now: s.opt.Now,
	}
	if name == "imaps" {
		srv.TLS = imapserver.ImplicitTLS
	}
	return door{name, l, func(ctx context.Context) error { return ended(srv.Serve(ctx, l), imapserver.ErrServerClosed) }, srv.Shutdown}
}

func (s *server) pop3Door(name string, l net.Listener) door {
	srv := &pop3server.Server{
		Hostname: s.cfg.Hostname, TLSConfig: s.certs.TLSFunc(), Auth: logins{s.login, pop3server.ErrRefused, pop3server.ErrTryLater, pop3server.ErrExpired},
		Store: s.state.Store, Blobs: s.state.Blobs, PasswordPage: s.passwordPage(), ProxyFrom: s.proxies(), Trusted: s.trusted, Log: s.log,
	}
	if name == "pop3s" {
		srv.TLS = pop3server.ImplicitTLS
	}
	return door{name, l, func(ctx context.Context) error { return ended(srv.Serve(ctx, l), pop3server.ErrServerClosed) }, srv.Shutdown}
}

// logins gives a reading door the authenticator, with the door's own words for
// what may go wrong.
type logins struct {
	a                       *admit.Authenticator
	refused, later, expired error
}

// Authenticate implements the Authenticator of both doors.
func (l logins) Authenticate(ctx context.Context, remote netip.Addr, user, password string) (mailbox.AccountID, error) {
	id, err := l.a.Login(ctx, remote, user, password)
	switch {
	case errors.Is(err, admit.ErrRefused):
		return 0, l.refused
	case errors.Is(err, admit.ErrTryLater):
		return 0, l.later
	case errors.Is(err, admit.ErrExpired):
		return 0, l.expired
	}
	return id.Account, err
}

// appender gives IMAP's APPEND the intake in its words. What a client puts into Junk
// is learned.
type appender struct {
	in    *intake.Intake
	watch *train.Watch
}

// Append implements imapserver.Appender.
func (a appender) Append(ctx context.Context, m imapserver.Appending, body io.Reader) (store.Placed, error) {
	placed, err := a.in.Append(ctx, intake.Stored{
		Account: m.Account, Target: store.Target{ID: m.Mailbox, Name: m.Name}, Flags: m.Flags, Keywords: m.Keywords,
		InternalDate: m.InternalDate, Size: m.Size,
	}, body)
	if err == nil {
		a.watch.Appended(ctx, m.Account, m.Mailbox, placed.UID)
	}
	return placed, err
}

func (s *server) httpDoor(name string, l net.Listener) (door, error) {
	h, err := web.New(web.Config{
		Hostname: s.cfg.Hostname, House: s.house, Ready: s.state.Store.Ping, Trusted: s.trusted,
		Metrics: promhttp.HandlerFor(s.reg, promhttp.HandlerOpts{}), Logins: s.login, Log: s.log, Now: s.opt.Now,
		Doors: s.programDoors(),
	})
	if err != nil {
		return door{}, err
	}
	srv := &http.Server{
		Handler: s.certs.HTTPHandler(h), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 60 * time.Second, MaxHeaderBytes: 32 << 10,
	}
	if name == "https" {
		l = tls.NewListener(l, s.certs.TLS("http/1.1"))
	}
	return door{name, l, func(context.Context) error { return ended(srv.Serve(l), http.ErrServerClosed) }, srv.Shutdown}, nil
}

// trusted reports whether an address is loopback or of a listed network.
func (s *server) trusted(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	for _, p := range s.trust {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// ended takes the error that only says that a door was shut.
func ended(err, shut error) error {
	if errors.Is(err, shut) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// drain shuts every door, the commands' last, so that an administrator can look
// while sessions end.
func (s *server) drain(ctx context.Context) {
	for _, d := range s.doors {
		if err := d.shutdown(ctx); err != nil {
			s.log.WarnContext(ctx, "sessions were cut off", "door", d.name, "err", err)
		}
	}
}

// addresses tells where the doors are.
func (s *server) addresses() map[string]string {
	out := map[string]string{}
	for _, d := range s.doors {
		out[d.name] = d.l.Addr().String()
	}
	return out
}
