package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"posta/internal/certs"
	"posta/internal/config"
	"posta/internal/relay"
	"posta/internal/resolver"
	"posta/internal/route"
)

// relayHost is a smart host of another hand. It counts what it got, and keeps the last
// message and the passwords that it was told.
type relayHost struct {
	mu     sync.Mutex
	got    int
	last   []byte
	logins []string
}

type relaySession struct {
	h  *relayHost
	in bool
}

func (h *relayHost) NewSession(*gosmtp.Conn) (gosmtp.Session, error) {
	return &relaySession{h: h}, nil
}

func (s *relaySession) AuthMechanisms() []string { return []string{"PLAIN"} }

func (s *relaySession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.h.mu.Lock()
		defer s.h.mu.Unlock()
		s.h.logins = append(s.h.logins, user+":"+password)
		if s.in = password == "secret"; !s.in {
			return gosmtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (s *relaySession) Mail(string, *gosmtp.MailOptions) error {
	if !s.in {
		return gosmtp.ErrAuthRequired
	}
	return nil
}

func (s *relaySession) Rcpt(string, *gosmtp.RcptOptions) error { return nil }

func (s *relaySession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.got++
	s.h.last = b
	return err
}

func (s *relaySession) Reset()        {}
func (s *relaySession) Logout() error { return nil }

// listen opens the smart host on loopback; implicit: TLS from the first octet.
func (h *relayHost) listen(t *testing.T, pair *tls.Certificate, implicit bool) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, port, err = net.SplitHostPort(l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	srv := gosmtp.NewServer(h)
	srv.Domain, srv.ErrorLog = "relay.test", log.New(io.Discard, "", 0)
	switch {
	case pair == nil:
		srv.AllowInsecureAuth = true
	case implicit:
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*pair}})
	default:
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*pair}}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(l)
	}()
	t.Cleanup(func() { srv.Close(); <-done })
	return port
}

// What posta.toml says of the smart host is what the connection to it is held to.
func TestSmartHost(t *testing.T) {
	dir := t.TempDir()
	a, err := certs.NewAuthority("relay", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string) *tls.Certificate {
		pair, err := a.Issue(name)
		if err != nil {
			t.Fatal(err)
		}
		return &pair
	}
	right, wrong := issue("127.0.0.1"), issue("other.test")
	ca := filepath.Join(dir, "ca.pem")
	for name, text := range map[string]string{ca: string(a.PEM()), filepath.Join(dir, "good"): "secret\n", filepath.Join(dir, "bad"): "guess\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const verified, required = "smart_host_tls = \"verified\"\n", "smart_host_tls = \"required\"\n"
	trusted := fmt.Sprintf("smart_host_ca = %q\n", ca)
	for _, c := range []struct {
		name     string
		pair     *tls.Certificate // nil: the host has no TLS
		implicit bool
		password string // file
		text     string
		want     string
	}{
		{"verified", right, false, "good", trusted + verified, "delivered 250, verified"},
		{"with a login, verified is the default", right, false, "good", trusted, "delivered 250, verified"},
		{"verified, from the first octet", right, true, "good", trusted + "smart_host_implicit = true\n", "delivered 250, verified"},
		{"verified, the wrong name", wrong, false, "good", trusted + verified, "temporary 451 4.7.5"},
		{"verified, authorities of the system", right, false, "good", verified, "temporary 451 4.7.5"},
		{"required, the wrong name", wrong, false, "good", required, "delivered 250, not trusted"},
		{"required, not offered", nil, false, "good", required, "temporary 451 4.7.4"},
		{"required, from the first octet", wrong, true, "good", required + "smart_host_implicit = true\n", "delivered 250, not trusted"},
		{"opportunistic, not offered, on this machine", nil, false, "good", "smart_host_tls = \"opportunistic\"\n", "delivered 250"},
		{"none, on this machine", nil, false, "good", "smart_host_tls = \"none\"\n", "delivered 250"},
		{"a wrong password puts off", right, false, "bad", trusted, "temporary 535 5.7.8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &relayHost{}
			port := h.listen(t, c.pair, c.implicit)
			text := fmt.Sprintf("hostname = \"mail.posta.test\"\n[queue]\nsmart_host = \"[127.0.0.1]:%s\"\nlogin = \"ana\"\npassword_file = %q\n%s", port, filepath.Join(dir, c.password), c.text)
			o := sendBy(t, text)
			got := fmt.Sprintf("%v %d %s", o.Status, o.Reply.Code, o.Reply.Enhanced)
			if o.Status == relay.Delivered {
				got = fmt.Sprintf("%v %d", o.Status, o.Reply.Code)
				if _, trust, ok := strings.Cut(strings.TrimSuffix(o.TLS, " (route)"), ", "); ok {
					got += ", " + trust
				}
			}
			if got != c.want || h.got > 0 != (o.Status == relay.Delivered) {
				t.Errorf("%s with %d messages, want %s\n%+v", got, h.got, c.want, o)
			}
			if told := len(h.logins) > 0; told != (h.got > 0 || c.password == "bad") {
				t.Errorf("it was told %q", h.logins)
			}
		})
	}
}

// sendBy sends one letter by the smart host of a configuration.
func sendBy(t *testing.T, text string) relay.Outcome {
	t.Helper()
	cfg, err := config.Parse("posta.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	next, err := smartHost(&cfg.Queue)
	if err != nil {
		t.Fatal(err)
	}
	rt, err := route.New(route.Config{Default: next}, resolver.Static{}).Route(t.Context(), "example.net")
	if err != nil {
		t.Fatal(err)
	}
	r := relay.New(relay.Config{Hostname: cfg.Hostname})
	defer r.Close()
	const letter = "Subject: x\r\n\r\nx\r\n"
	m := &relay.Message{ReversePath: "ana@posta.test", Recipients: []relay.Recipient{{Address: "luis@example.net"}}}
	m.Open = func(context.Context, relay.Form) (*relay.Content, error) {
		return &relay.Content{Body: strings.NewReader(letter), Size: int64(len(letter))}, nil
	}
	return r.Deliver(t.Context(), rt, m)[0]
}
