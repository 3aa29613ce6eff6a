package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"posta/internal/certs"
	"posta/internal/route"
)

// peer is a server of another hand (go-smtp), which keeps what it got.
type peer struct {
	mu       sync.Mutex
	sessions int
	got      []received
	rcpt     func(to string) error
}

type received struct {
	from string
	to   []string
	utf8 bool
	data []byte
}

func (p *peer) NewSession(*gosmtp.Conn) (gosmtp.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions++
	return &peerSession{p: p}, nil
}

func (p *peer) count() (messages, sessions int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got), p.sessions
}

type peerSession struct {
	p *peer
	r received
}

func (s *peerSession) AuthMechanisms() []string { return []string{"PLAIN"} }

func (s *peerSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "ana" || password != "secret" {
			return gosmtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (s *peerSession) Mail(from string, o *gosmtp.MailOptions) error {
	s.r = received{from: from, utf8: o.UTF8}
	return nil
}

func (s *peerSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if s.p.rcpt != nil {
		if err := s.p.rcpt(to); err != nil {
			return err
		}
	}
	s.r.to = append(s.r.to, to)
	return nil
}

func (s *peerSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.r.data = b
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.got = append(s.p.got, s.r)
	return nil
}

func (s *peerSession) Reset()        { s.r = received{} }
func (s *peerSession) Logout() error { return nil }

func (w *world) peer(t testing.TB, addr string, p *peer, change ...func(*gosmtp.Server)) {
	srv := gosmtp.NewServer(p)
	srv.Domain, srv.AllowInsecureAuth, srv.ErrorLog = "mx.example.net", true, log.New(io.Discard, "", 0)
	for _, f := range change {
		f(srv)
	}
	serve(t, srv, w.listen(t, addr))
}

// serve ends the server when its connections are at their end: a Close beside a BDAT
// is a data race of go-smtp's own.
func serve(t testing.TB, srv *gosmtp.Server, l net.Listener) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(l)
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("connections are open still: %v", err)
			srv.Close()
		}
	})
}

// world with an authority; names get certificates that newRelay trusts.
func authority(t testing.TB) *certs.Authority {
	a, err := certs.NewAuthority("Test", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func serverTLS(t testing.TB, a *certs.Authority, names ...string) func(*gosmtp.Server) {
	c, err := a.Issue(names...)
	if err != nil {
		t.Fatal(err)
	}
	return func(s *gosmtp.Server) { s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{c}} }
}

func trust(a *certs.Authority) func(*Config) {
	return func(c *Config) { c.TLS = &tls.Config{RootCAs: a.Pool()} }
}

// Connections are used again, for 100 messages each.
func TestReuse(t *testing.T) {
	w, p := newWorld(), &peer{}
	w.peer(t, "192.0.2.1:25", p)
	r := newRelay(t, w)
	rt := routeTo("mx.example.net=192.0.2.1")
	for i := range 250 {
		out := r.Deliver(t.Context(), rt, letter(text, fmt.Sprintf("u%d@example.net", i)))
		if out[0].Status != Delivered {
			t.Fatalf("message %d: %s", i, show(out[0]))
		}
	}
	if n, sessions := p.count(); n != 250 || w.dialled() != 3 {
		t.Errorf("%d messages in %d sessions over %d connections, want 250 over 3", n, sessions, w.dialled())
	}
}

// A refused transaction leaves nothing behind for the next one on its connection.
func TestReuseAfterRefusal(t *testing.T) {
	w, p := newWorld(), &peer{}
	p.rcpt = func(to string) error {
		if strings.HasPrefix(to, "no") {
			return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no"}
		}
		return nil
	}
	w.peer(t, "192.0.2.1:25", p)
	r := newRelay(t, w)
	rt := routeTo("mx.example.net=192.0.2.1")
	for _, to := range []string{"no1@example.net", "yes@example.net", "no2@example.net"} {
		r.Deliver(t.Context(), rt, letter(text, to))
	}
	if n, _ := p.count(); n != 1 || w.dialled() != 1 || fmt.Sprint(p.got[0].to) != "[yes@example.net]" {
		t.Errorf("%d messages (%v) over %d connections", n, p.got, w.dialled())
	}
}

func TestTLS(t *testing.T) {
	a := authority(t)
	good, wrong := serverTLS(t, a, "mx.example.net"), serverTLS(t, a, "other.example.net")
	none := func(*gosmtp.Server) {}
	broken := func(s *gosmtp.Server) { s.TLSConfig = &tls.Config{MaxVersion: tls.VersionTLS11} }
	for _, c := range []struct {
		name   string
		server func(*gosmtp.Server)
		level  route.TLS
		status Status
		tls    string
		word   string // in the reply or the note
	}{
		{"opportunistic, trusted", good, route.May, Delivered, "TLS 1.3 TLS_AES_128_GCM_SHA256, trusted", ""},
		{"opportunistic, wrong name", wrong, route.May, Delivered, "TLS 1.3 TLS_AES_128_GCM_SHA256, not trusted", ""},
		{"opportunistic, not offered", none, route.May, Delivered, "", ""},
		{"opportunistic, broken: in clear, over a new connection", broken, route.May, Delivered, "", "sent in clear"},
		{"none", good, route.None, Delivered, "", ""},
		{"encrypt, wrong name", wrong, route.Encrypt, Delivered, "not trusted", ""},
		{"encrypt, not offered", none, route.Encrypt, Temporary, "", "does not offer STARTTLS"},
		{"encrypt, broken", broken, route.Encrypt, Temporary, "", "TLS could not be established"},
		{"verify", good, route.Verify, Delivered, "verified", ""},
		{"verify, wrong name", wrong, route.Verify, Temporary, "", "certificate is valid for other.example.net"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, p := newWorld(), &peer{}
			w.peer(t, "192.0.2.1:25", p, c.server)
			r := newRelay(t, w, trust(a))
			rt := routeTo("mx.example.net=192.0.2.1")
			if c.level != route.May {
				rt.Hosts[0].TLS = c.level
			}
			for range 2 { // the second over a connection kept, or a resumed session
				o := r.Deliver(t.Context(), rt, letter(text, "luis@example.net"))[0]
				if o.Status != c.status || !strings.Contains(o.TLS, c.tls) || (c.tls == "") != (o.TLS == "") || !strings.Contains(o.Reply.Text+o.Note, c.word) {
					t.Errorf("%+v", o)
				}
			}
			if n, _ := p.count(); n > 0 != (c.status == Delivered) {
				t.Errorf("%d messages", n)
			}
		})
	}
}

// A smart host with a login, with STARTTLS and with TLS from the first octet.
func TestSmartHost(t *testing.T) {
	a := authority(t)
	for _, c := range []struct {
		name     string
		implicit bool
		login    route.Login
		want     string
	}{
		{"STARTTLS", false, route.Login{User: "ana", Password: "secret"}, "delivered 250"},
		{"implicit", true, route.Login{User: "ana", Password: "secret"}, "delivered 250"},
		{"a wrong password puts off", false, route.Login{User: "ana", Password: "x"}, "temporary 535 5.7.8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, p := newWorld(), &peer{}
			var config *tls.Config
			w.peer(t, "192.0.2.1:587", p, serverTLS(t, a, "smart.test"), func(s *gosmtp.Server) { config = s.TLSConfig })
			if c.implicit {
				srv := gosmtp.NewServer(p)
				srv.ErrorLog = log.New(io.Discard, "", 0)
				serve(t, srv, tls.NewListener(w.listen(t, "192.0.2.1:465"), config))
			}
			r := newRelay(t, w, trust(a))
			rt := routeTo("smart.test=192.0.2.1")
			h := &rt.Hosts[0]
			h.Port, h.TLS, h.Login, h.Implicit = 587, route.Verify, &c.login, c.implicit
			if c.implicit {
				h.Port = 465
			}
			o := r.Deliver(t.Context(), rt, letter(text, "luis@example.net"))[0]
			if !strings.HasPrefix(show(o), c.want) {
				t.Errorf("%+v", o)
			}
		})
	}
	t.Run("no password in clear", func(t *testing.T) {
		w, p := newWorld(), &peer{}
		w.peer(t, "192.0.2.1:25", p)
		rt := routeTo("smart.test=192.0.2.1")
		rt.Hosts[0].Login = &route.Login{User: "ana", Password: "secret"}
		if o := newRelay(t, w).Deliver(t.Context(), rt, letter(text, "luis@example.net"))[0]; o.Status != Temporary || o.Reply.Enhanced.String() != "4.7.11" {
			t.Errorf("%+v", o)
		}
	})
}

// REQUIRETLS (RFC 8689): verified TLS and a host that promises to go on so.
func TestRequireTLS(t *testing.T) {
	a := authority(t)
	for _, c := range []struct {
		name   string
		change []func(*gosmtp.Server)
		want   string
	}{
		{"offered", []func(*gosmtp.Server){serverTLS(t, a, "mx.example.net"), func(s *gosmtp.Server) { s.EnableREQUIRETLS = true }}, "delivered 250"},
		{"not offered", []func(*gosmtp.Server){serverTLS(t, a, "mx.example.net")}, "permanent 550 5.7.30"},
		{"not trusted", []func(*gosmtp.Server){serverTLS(t, a, "other.example.net")}, "temporary 451 4.7.5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, p := newWorld(), &peer{}
			w.peer(t, "192.0.2.1:25", p, c.change...)
			m := letter(text, "luis@example.net")
			m.RequireTLS = true
			o := newRelay(t, w, trust(a)).Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), m)[0]
			if !strings.HasPrefix(show(o), c.want) {
				t.Errorf("%+v", o)
			}
		})
	}
}

// Cleartext behind the reply to STARTTLS is somebody in the middle who wants to
// speak as the host.
func TestInjection(t *testing.T) {
	w := newWorld()
	l := w.listen(t, "192.0.2.1:25")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, "220 mx\r\n")
				b := make([]byte, 512)
				c.Read(b)
				io.WriteString(c, "250-mx\r\n250 STARTTLS\r\n")
				c.Read(b)
				io.WriteString(c, "220 go\r\n250 forged\r\n")
				c.Read(b)
			}()
		}
	}()
	rt := routeTo("mx.example.net=192.0.2.1")
	rt.Hosts[0].TLS = route.Encrypt
	o := newRelay(t, w).Deliver(t.Context(), rt, letter(text, "luis@example.net"))[0]
	if o.Status != Temporary || !strings.Contains(o.Reply.Text, "cleartext behind") {
		t.Errorf("%+v", o)
	}
}

// A policy that cannot be found out puts off; it is never passed over.
func TestPolicyError(t *testing.T) {
	w, p := newWorld(), &peer{}
	w.peer(t, "192.0.2.1:25", p)
	r := newRelay(t, w, func(c *Config) { c.Policy = noPolicy{} })
	o := r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), letter(text, "luis@example.net"))[0]
	if o.Status != Temporary || w.dialled() != 0 {
		t.Errorf("%+v", o)
	}
}

// DANE goes before MTA-STS, and that before what is opportunistic; who cannot be
// asked ends it.
func TestPolicyOrder(t *testing.T) {
	dane, sts := fixedPolicy{route.Verify, "dane"}, fixedPolicy{route.Verify, "mta-sts"}
	unknown := fixedPolicy{}
	for _, c := range []struct {
		name string
		list InOrder
		want string
	}{
		{"both", InOrder{dane, sts}, "verified dane"},
		{"no DANE", InOrder{unknown, sts}, "verified mta-sts"},
		{"neither", InOrder{unknown, unknown}, "opportunistic "},
		{"nobody to ask", nil, "opportunistic "},
		{"DANE cannot be asked", InOrder{noPolicy{}, sts}, "dns"},
		{"nobody asks behind who knows", InOrder{dane, noPolicy{}}, "verified dane"},
	} {
		rule, err := c.list.TLS(t.Context(), "example.net", route.Host{Name: "mx.example.net"})
		got := rule.Level.String() + " " + rule.Source
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// fixedPolicy says the same of each host.
type fixedPolicy struct {
	level  route.TLS
	source string
}

func (p fixedPolicy) TLS(context.Context, string, route.Host) (Rule, error) {
	return Rule{Level: p.level, Source: p.source}, nil
}

type noPolicy struct{}

func (noPolicy) TLS(context.Context, string, route.Host) (Rule, error) {
	return Rule{}, errors.New("dns")
}

// Whatever a message holds, no bare CR or LF goes out, the message ends once,
// and what the other side reads is the message with its line ends mended.
func FuzzOnlyCRLF(f *testing.F) {
	for _, s := range []string{"", ".", "..\r\n", "a\nb", "a\rb", "\r", "\n.\n", "a\r\n.\r\nMAIL FROM:<x@example.org>\r\n", "\r\r\n", "x\n.\r\ny", "\r\n.\n\r.\r"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, body []byte, cut int) {
		w := newWorld()
		s := w.script(t, "192.0.2.1:25", "S: 220 x\nC: EHLO mail.posta.test\nS: 250 x\nC: MAIL FROM:<ana@example.org>\nS: 250 ok\nC: RCPT TO:<luis@example.net>\nS: 250 ok\nC: DATA\nS: 354 go\nC: *\nS: 250 ok\nC: QUIT\nS: 221 bye")
		r := newRelay(t, w)
		m := letter("", "luis@example.net")
		cut = max(0, min(cut, len(body)))
		m.Open = func(context.Context, Form) (*Content, error) {
			return &Content{Head: body[:cut], Body: bytes.NewReader(body), Offset: int64(cut), Size: int64(len(body) - cut)}, nil
		}
		out := r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), m)
		r.Close()
		s.wg.Wait()
		heard := s.heard.String()
		if out[0].Status != Delivered {
			t.Fatalf("%s for %q", show(out[0]), body)
		}
		if n := strings.Count(heard, "\r\n"); strings.Count(heard, "\r") != n || strings.Count(heard, "\n") != n {
			t.Fatalf("a bare CR or LF went out: %q", heard)
		}
		_, data, _ := strings.Cut(heard, "DATA\r\n")
		data, rest, _ := strings.Cut("\r\n"+data, "\r\n.\r\n")
		if rest != "QUIT\r\n" {
			t.Fatalf("the message ended early: %q, then %q", data, rest)
		}
		want := strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(string(body))
		got := strings.TrimPrefix(strings.ReplaceAll(data, "\r\n.", "\r\n"), "\r\n")
		if got != strings.TrimSuffix(want, "\r\n") {
			t.Fatalf("heard %q, want %q", got, want)
		}
	})
}

// BenchmarkDeliver is the relay's share of one message of 12 KiB, with the other
// side's, over a kept connection.
func BenchmarkDeliver(b *testing.B) {
	w := newWorld()
	l := w.listen(b, "192.0.2.1:25")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go sink(c)
		}
	}()
	r := newRelay(b, w)
	rt := routeTo("mx.example.net=192.0.2.1")
	body := []byte("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 170))
	m := letter("", "luis@example.net")
	m.Open = func(context.Context, Form) (*Content, error) {
		return &Content{Body: bytes.NewReader(body), Size: int64(len(body))}, nil
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if out := r.Deliver(b.Context(), rt, m); out[0].Status != Delivered {
			b.Fatal(show(out[0]))
		}
	}
}

// sink is the cheapest server: it answers what is expected.
func sink(c io.ReadWriteCloser) {
	defer c.Close()
	io.WriteString(c, "220 x\r\n")
	buf := make([]byte, 64<<10)
	inData := false
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		said := buf[:n]
		switch {
		case inData && bytes.HasSuffix(said, []byte("\r\n.\r\n")), inData && string(said) == ".\r\n":
			inData = false
			io.WriteString(c, "250 2.0.0 ok\r\n")
		case inData:
		case bytes.HasPrefix(said, []byte("EHLO")):
			io.WriteString(c, "250-x\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
		case bytes.HasPrefix(said, []byte("QUIT")):
			io.WriteString(c, "221 bye\r\n")
			return
		case bytes.HasSuffix(said, []byte("DATA\r\n")):
			inData = true
			io.WriteString(c, "250 ok\r\n250 ok\r\n354 go\r\n")
		}
	}
}

// An idle connection under another name gives its place up.
func TestEvict(t *testing.T) {
	w, p := newWorld(), &peer{}
	w.peer(t, "192.0.2.1:25", p)
	r := newRelay(t, w, func(c *Config) { c.PerHost = 2 })
	for i := range 10 {
		out := r.Deliver(t.Context(), routeTo(fmt.Sprintf("mx%d.example.net=192.0.2.1", i)), letter(text, "luis@example.net"))
		if out[0].Status != Delivered || r.Idle() > 2 {
			t.Fatalf("%s, %d idle", show(out[0]), r.Idle())
		}
	}
}
