package smtpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"posta/internal/gate"
	"posta/internal/mail"
	"posta/internal/smtp"
)

// serveTCP runs a server on loopback, for peers that are not ours.
func serveTCP(t *testing.T, cfg Config, backend Backend) (*Server, string) {
	t.Helper()
	cfg.Hostname = "mx.example.org"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := New(cfg, backend)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(t.Context(), l) }()
	t.Cleanup(func() {
		if err := srv.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		<-done
	})
	return srv, l.Addr().String()
}

// An independent client: TLS from the first octet, AUTH, a message with dots.
func TestGoSMTPClient(t *testing.T) {
	t.Parallel()
	for _, implicit := range []bool{true, false} {
		rec := &recorder{password: map[string]string{"anna@example.org": "secret"}}
		rec.rules = map[string]smtp.Reply{"rcpt <no@example.net>": smtp.New(550, "5.1.1", "No").WithCheck("a.b", "https://x/a.b")}
		_, at := serveTCP(t, Config{Door: mail.Submission, TLS: testTLS, ImplicitTLS: implicit}, rec)
		insecure := &tls.Config{InsecureSkipVerify: true, ServerName: "mx.example.org"}
		dial := gosmtp.DialStartTLS
		if implicit {
			dial = gosmtp.DialTLS
		}
		c, err := dial(at, insecure)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Auth(sasl.NewPlainClient("", "anna@example.org", "wrong")); err == nil {
			t.Error("a wrong password was accepted")
		}
		if err := c.Auth(sasl.NewLoginClient("anna@example.org", "secret")); err != nil {
			t.Fatal(err)
		}
		body := "Subject: dots\r\n\r\n.\r\n..\r\n.a\r\nend\r\n"
		if err := c.Mail("anna@example.org", &gosmtp.MailOptions{Size: int64(len(body)), Body: gosmtp.Body8BitMIME, EnvelopeID: "a+b"}); err != nil {
			t.Fatal(err)
		}
		err = c.Rcpt("no@example.net", nil)
		if se, ok := errors.AsType[*gosmtp.SMTPError](err); !ok || se.Code != 550 || se.EnhancedCode != (gosmtp.EnhancedCode{5, 1, 1}) || se.Message != "No [a.b] https://x/a.b" {
			t.Error(err)
		}
		if err := c.Rcpt("b@example.net", &gosmtp.RcptOptions{Notify: []gosmtp.DSNNotify{gosmtp.DSNNotifyNever}}); err != nil {
			t.Fatal(err)
		}
		w, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.Quit(); err != nil {
			t.Error(err)
		}
		if kept := rec.kept(); len(kept) != 1 || kept[0] != body {
			t.Errorf("%q", kept)
		}
		if log := rec.log(); !strings.Contains(log, "mail <anna@example.org> size=") || !strings.Contains(log, "rcpt <b@example.net> notify=NEVER") {
			t.Error(log)
		}
	}
}

// The system tells of an early talker without a delay.
func TestEarlyTalkerTCP(t *testing.T) {
	t.Parallel()
	rec := &recorder{}
	arrived := make(chan struct{})
	srv, at := serveTCP(t, Config{}, slow{rec, arrived})
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("HELO spam.example\r\nQUIT\r\n")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // for the loopback to carry it
	close(arrived)
	var all strings.Builder
	buf := make([]byte, 1000)
	for {
		n, err := c.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			break
		}
	}
	if !strings.HasSuffix(all.String(), "221 2.0.0 Bye\r\n") {
		t.Error(all.String())
	}
	for srv.Connections() > 0 {
		time.Sleep(time.Millisecond)
	}
	if log := rec.log(); !strings.Contains(log, "notice early-talker\n") {
		t.Error(log)
	}
}

// slow opens a session only when told to.
type slow struct {
	*recorder
	arrived chan struct{}
}

func (s slow) Open(ctx context.Context, c *mail.Client) (Session, *smtp.Reply) {
	<-s.arrived
	return s.recorder.Open(ctx, c)
}

// The local socket: the system knows who it is, limits are not asked.
func TestLocalSocket(t *testing.T) {
	t.Parallel()
	rec := &recorder{}
	var unknown atomic.Bool
	srv := New(Config{
		Door: mail.Local, Hostname: "mx.example.org", Limits: gate.Limits{Connections: 1},
		Who: func(net.Conn) (mail.Client, error) {
			if unknown.Load() {
				return mail.Client{}, errors.New("no credentials")
			}
			return mail.Client{Door: mail.Local, Class: mail.Authenticated, Login: "anna@example.org"}, nil
		},
	}, rec)
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(t.Context(), l) }()
	dial := func() net.Conn {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	other := dial()
	defer other.Close()
	play(t, dial(), "S: 220 mx.example.org ESMTP Posta\nC: HELO localhost\nS: 250 mx.example.org\nC: MAIL FROM:<anna@example.org>\n"+
		"S: 250 2.1.0 Sender ok\nC: RCPT TO:<b@example.org>\nS: 250 2.1.5 Recipient ok\nC: DATA\n"+
		"S: 354 Send the message, end with a dot on a line of its own\nC\"unix\\n.\\r\\n.\\r\\n\"\nS: 250 2.0.0 Accepted as ID\nC: QUIT\nS: 221 2.0.0 Bye\nEND\n")
	if kept := rec.kept(); len(kept) != 1 || kept[0] != "unix\r\n.\r\n" {
		t.Errorf("%q", kept)
	}
	unknown.Store(true)
	play(t, dial(), "END\n")
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, ErrShutDown) {
		t.Error(err)
	}
}

func TestNotifyBitsAreTheEnvelopes(t *testing.T) {
	t.Parallel()
	if mail.Notify(smtp.NotifyNever) != mail.NotifyNever || mail.Notify(smtp.NotifySuccess) != mail.NotifySuccess ||
		mail.Notify(smtp.NotifyFailure) != mail.NotifyFailure || mail.Notify(smtp.NotifyDelay) != mail.NotifyDelay {
		t.Error("smtp.Notify and mail.Notify differ")
	}
	if DefaultBudget(mail.MX).Recipients < 100 { // RFC 5321 §4.5.3.1.8
		t.Error("fewer recipients than the RFC wants")
	}
}
