package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// house is a manager with a web door and a TLS door that an ACME server asks.
type house struct {
	*Manager
	server *acmeServer
	cfg    Config
	tls    string // address of the TLS door
	web    string // URL of the web door
}

func newHouse(t *testing.T, s *acmeServer, names []string, challenges ...Challenge) *house {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "root.pem")
	if err := os.WriteFile(root, s.root(), 0o600); err != nil {
		t.Fatal(err)
	}
	h := &house{server: s, cfg: Config{
		Dir: filepath.Join(dir, "certs"), Names: []string{names[0], "localhost"}, Log: slog.New(slog.DiscardHandler),
		ACME: &ACME{Directory: s.URL + "/dir", CA: root, Email: "postmaster@example.org", Names: names, Challenges: challenges},
	}}
	h.open(t)
	return h
}

// open opens the manager, as after a restart, and its doors.
func (h *house) open(t *testing.T) {
	t.Helper()
	m, err := Open(h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.Manager = m
	web := httptest.NewServer(m.HTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "page") })))
	t.Cleanup(web.Close)
	h.web = web.URL
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	h.tls = l.Addr().String()
	door := m.TLSFunc("imap")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				s := tls.Server(c, door())
				s.SetDeadline(time.Now().Add(5 * time.Second))
				if s.Handshake() == nil {
					io.WriteString(s, "* OK\r\n")
				}
			}()
		}
	}()
	h.server.set(func() { h.server.httpAddr, h.server.tlsAddr = strings.TrimPrefix(web.URL, "http://"), h.tls })
}

// tend does what Run does at one tick.
func (h *house) tend(t *testing.T) error {
	t.Helper()
	cache, cfg := h.acme.keeper()
	defer cache.Stop()
	return h.tendACME(t.Context(), cfg)
}

// TestACMEChallenges obtains a certificate by each challenge, validated for real
// against our doors, with the other one not offered.
func TestACMEChallenges(t *testing.T) {
	t.Parallel()
	for _, c := range []Challenge{HTTP01, TLSALPN01} {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			s := newACMEServer(t)
			h := newHouse(t, s, []string{"mail.example.org", "imap.example.org"}, c)
			if _, err := handshake(t, h.Manager, s.ca.Pool(), "mail.example.org"); err == nil {
				t.Fatal("certified before anybody was asked")
			}
			if f := h.Findings(time.Now())[0]; f.Source != ByItself || !f.SelfSigned || !slices.Equal(f.Missing, []string{"imap.example.org"}) {
				t.Errorf("before: %+v", f)
			}
			if err := h.tend(t); err != nil {
				t.Fatal(err)
			}
			for _, name := range h.cfg.ACME.Names {
				if leaf, err := handshake(t, h.Manager, s.ca.Pool(), name); err != nil || leaf.VerifyHostname(name) != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			want := []string{string(c) + " mail.example.org", string(c) + " imap.example.org"}
			if got := s.validated(); !slices.Equal(got, want) {
				t.Errorf("validated %q, want %q", got, want)
			}
			facts := h.Findings(time.Now())
			if len(facts) != 2 || facts[0].Source != ByACME || facts[0].SelfSigned || facts[0].Expiring || facts[0].Err != nil || facts[0].Missing != nil {
				t.Errorf("after: %+v", facts)
			}
			if len(h.acme.answers.http)+len(h.acme.answers.alpn) != 0 {
				t.Error("answers outlive their orders")
			}
			if len(s.accounts) != 1 || !slices.Equal(s.contacts, []string{"mailto:postmaster@example.org"}) {
				t.Errorf("%d accounts, contacts %q", len(s.accounts), s.contacts)
			}
		})
	}
}

// After a restart the stored certificate is shown at once, without asking.
func TestACMERestart(t *testing.T) {
	t.Parallel()
	s := newACMEServer(t)
	h := newHouse(t, s, []string{"mail.example.org"}, HTTP01)
	if err := h.tend(t); err != nil {
		t.Fatal(err)
	}
	s.set(func() { s.down = true })
	h.open(t)
	if _, err := handshake(t, h.Manager, s.ca.Pool(), "mail.example.org"); err != nil {
		t.Error(err)
	}
	if err := h.tend(t); err != nil {
		t.Errorf("nothing was due, yet the authority was asked: %v", err)
	}
}

// A certificate with less than a third of its life left is renewed with the same
// account; while that fails, the old one stays and the fact says why.
func TestACMERenewal(t *testing.T) {
	t.Parallel()
	s := newACMEServer(t)
	s.life = func() (time.Time, time.Time) {
		return time.Now().Add(-80 * 24 * time.Hour), time.Now().Add(10 * 24 * time.Hour)
	}
	h := newHouse(t, s, []string{"mail.example.org"}, HTTP01)
	if err := h.tend(t); err != nil {
		t.Fatal(err)
	}
	first, key := h.Leaf().SerialNumber, h.Leaf().RawSubjectPublicKeyInfo
	if f := h.Findings(time.Now())[0]; !f.Expiring {
		t.Errorf("%+v", f)
	}
	s.set(func() { s.httpAddr = "127.0.0.1:1" })
	if err := h.tend(t); err == nil || h.Leaf().SerialNumber.Cmp(first) != 0 {
		t.Errorf("renewed without validation: %v", err)
	}
	if f := h.Findings(time.Now())[0]; f.Err == nil || f.Source != ByACME {
		t.Errorf("%+v", f)
	}
	s.set(func() {
		s.httpAddr = strings.TrimPrefix(h.web, "http://")
		s.life = func() (time.Time, time.Time) {
			return time.Now().Add(-time.Hour), time.Now().Add(90 * 24 * time.Hour)
		}
	})
	if err := h.tend(t); err != nil || h.Leaf().SerialNumber.Cmp(first) == 0 {
		t.Errorf("not renewed: %v", err)
	}
	if !bytes.Equal(h.Leaf().RawSubjectPublicKeyInfo, key) {
		t.Error("another key: TLSA records of the old one would refuse our mail")
	}
	if f := h.Findings(time.Now())[0]; f.Err != nil || f.Expiring {
		t.Errorf("%+v", f)
	}
	if len(s.accounts) != 1 {
		t.Errorf("%d accounts", len(s.accounts))
	}
}

// RFC 9773: a certificate that is good for months is renewed when its authority
// says that its time is over, and only then.
func TestACMERenewalInfo(t *testing.T) {
	t.Parallel()
	s := newACMEServer(t)
	var start time.Time
	s.window = func() (time.Time, time.Time) { return start, start.Add(24 * time.Hour) }
	start = time.Now().Add(60 * 24 * time.Hour)
	h := newHouse(t, s, []string{"mail.example.org"}, HTTP01)
	for range 2 {
		if err := h.tend(t); err != nil {
			t.Fatal(err)
		}
	}
	first := h.Leaf().SerialNumber
	if n := len(s.validated()); n != 1 {
		t.Fatalf("%d orders before the window", n)
	}
	s.set(func() { start = time.Now().Add(-48 * time.Hour) })
	h.acme.polled["mail.example.org"] = renewal{} // six hours later
	if err := h.tend(t); err != nil || h.Leaf().SerialNumber.Cmp(first) == 0 {
		t.Errorf("not renewed in its window: %v", err)
	}
}

// One name that cannot be validated keeps no other waiting, and a damaged file is
// asked for anew.
func TestACMEPartial(t *testing.T) {
	t.Parallel()
	s := newACMEServer(t)
	h := newHouse(t, s, []string{"mail.example.org", "imap.example.org"}, HTTP01)
	h.Manager.acme.acme.Challenges = nil // no way to prove a name
	if err := h.tend(t); err == nil {
		t.Fatal("certified without a proof")
	}
	if f := h.Findings(time.Now()); len(f) != 1 || f[0].Source != ByItself || f[0].Err == nil {
		t.Errorf("%+v", f)
	}
	h.Manager.acme.acme.Challenges = []Challenge{HTTP01}
	if err := h.tend(t); err != nil {
		t.Fatal(err)
	}
	certs, err := filepath.Glob(filepath.Join(h.cfg.Dir, "acme", "certificates", "*", "imap.example.org", "*.crt"))
	if err != nil || len(certs) != 1 {
		t.Fatalf("%q, %v", certs, err)
	}
	if err := os.WriteFile(certs[0], []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.open(t)
	if f := h.Findings(time.Now())[0]; !slices.Equal(f.Missing, []string{"imap.example.org"}) {
		t.Errorf("%+v", f)
	}
	if err := h.tend(t); err != nil {
		t.Fatal(err)
	}
	if _, err := handshake(t, h.Manager, s.ca.Pool(), "imap.example.org"); err != nil {
		t.Error(err)
	}
}

// Run obtains by itself, hurries after Reload, and leaves nothing running.
func TestACMERun(t *testing.T) {
	t.Parallel()
	s := newACMEServer(t)
	s.down = true
	h := newHouse(t, s, []string{"mail.example.org"})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- h.Run(ctx) }()
	until(t, "the failure is told", func() bool { return h.Findings(time.Now())[0].Err != nil })
	s.set(func() { s.down = false })
	if err := h.Reload(); err != nil {
		t.Fatal(err)
	}
	until(t, "a certificate is there", func() bool { return h.Source() == ByACME })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// The challenge's answer is told for its own name only, and other pages are left
// alone.
func TestHTTPHandler(t *testing.T) {
	t.Parallel()
	s := newACMEServer(t)
	h := newHouse(t, s, []string{"mail.example.org"})
	h.acme.answers.Present(t.Context(), challengeFor("mail.example.org", "tok"))
	for _, c := range []struct {
		method, path, host string
		status             int
		body               string
	}{
		{"GET", "/.well-known/acme-challenge/tok", "mail.example.org", 200, "tok.key"},
		{"GET", "/.well-known/acme-challenge/tok", "MAIL.example.org:80", 200, "tok.key"},
		{"GET", "/.well-known/acme-challenge/tok", "evil.example", 404, ""},
		{"POST", "/.well-known/acme-challenge/tok", "mail.example.org", 404, ""},
		{"GET", "/.well-known/acme-challenge/other", "mail.example.org", 404, ""},
		{"GET", "/why", "mail.example.org", 200, "page"},
	} {
		req, err := http.NewRequest(c.method, h.web+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || c.status == 200 && string(body) != c.body {
			t.Errorf("%s %s for %s: %d %q", c.method, c.path, c.host, resp.StatusCode, body)
		}
	}
}

// Names that lead to us only later get their certificates in the next round, and keep
// them while it cannot be told whether they still do.
func TestACMEMore(t *testing.T) {
	t.Parallel()
	s := newACMEServer(t)
	h := newHouse(t, s, []string{"mail.example.org"}, HTTP01)
	var more []string
	var failure error
	h.acme.acme.More = func(context.Context) ([]string, error) { return more, failure }
	for _, c := range []struct {
		more    []string
		failure error
		want    string // of mta-sts.example.org
	}{
		{nil, nil, "x509: certificate is valid for mail.example.org, not mta-sts.example.org"},
		{[]string{"MTA-STS.example.org", "mail.example.org", "*.example.org"}, nil, ""},
		{nil, errors.New("DNS is away"), ""},
		{nil, nil, "x509: certificate is valid for mail.example.org, not mta-sts.example.org"},
	} {
		more, failure = c.more, c.failure
		if err := h.tend(t); err != nil {
			t.Fatal(err)
		}
		leaf, err := handshake(t, h.Manager, s.ca.Pool(), "mta-sts.example.org")
		if err == nil {
			err = leaf.VerifyHostname("mta-sts.example.org")
		}
		if got := fmt.Sprint(err); c.want == "" && err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%v: %v", c.more, err)
		}
	}
	if got, want := s.validated(), []string{"http-01 mail.example.org", "http-01 mta-sts.example.org"}; !slices.Equal(got, want) {
		t.Errorf("validated %q, want %q", got, want)
	}
}
