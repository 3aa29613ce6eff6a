package certs

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

func challengeFor(name, token string) acme.Challenge {
	return acme.Challenge{
		Type: acme.ChallengeTypeHTTP01, Token: token, KeyAuthorization: token + ".key",
		Identifier: acme.Identifier{Type: "dns", Value: name},
	}
}

// visit makes a connection to a door and tells how it went.
func visit(t *testing.T, door func() *tls.Config, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	a, b := connection(t)
	go func() {
		defer b.Close()
		s := tls.Server(b, door())
		if s.Handshake() == nil {
			s.Write([]byte("hello")) // TLS 1.3 sends its tickets before it
		}
	}()
	c := tls.Client(a, client)
	if _, err := c.Read(make([]byte, 5)); err != nil {
		return tls.ConnectionState{}, err
	}
	return c.ConnectionState(), nil
}

// A ticket of one door resumes there, in both versions, and opens no other door
// (once a hole of Postfix).
func TestTicketsAreBoundToTheDoor(t *testing.T) {
	t.Parallel()
	m, err := Open(Config{Dir: t.TempDir(), Names: []string{"mail.example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		imap, smtp := m.TLSFunc(), m.TLSFunc()
		client := &tls.Config{
			ServerName: "mail.example.org", InsecureSkipVerify: true, MaxVersion: version,
			ClientSessionCache: tls.NewLRUClientSessionCache(4),
		}
		for i, c := range []struct {
			door    func() *tls.Config
			resumes bool
		}{{imap, false}, {imap, true}, {smtp, false}, {smtp, true}} {
			state, err := visit(t, c.door, client)
			if err != nil || state.DidResume != c.resumes {
				t.Errorf("%s, visit %d: resumed %v, %v", tls.VersionName(version), i, state.DidResume, err)
			}
		}
	}
}

// A door that names its protocols takes clients of these and clients without
// ALPN, and refuses a browser; ACME's own protocol is no way in.
func TestALPN(t *testing.T) {
	t.Parallel()
	s := newACMEServer(t)
	h := newHouse(t, s, []string{"mail.example.org"})
	alpn := challengeFor("mail.example.org", "tok")
	alpn.Type = acme.ChallengeTypeTLSALPN01
	if err := h.acme.answers.Present(t.Context(), alpn); err != nil {
		t.Fatal(err)
	}
	imap, plain := h.TLSFunc("imap"), h.TLSFunc()
	for _, c := range []struct {
		door func() *tls.Config
		ask  string
		got  string
		ok   bool
	}{
		{imap, "imap", "imap", true},
		{imap, "", "", true},
		{imap, "h2", "", false},
		{imap, "acme-tls/1", "acme-tls/1", true},
		{imap, "imap acme-tls/1", "imap", true},
		{plain, "imap", "", true},
		{plain, "acme-tls/1", "acme-tls/1", true},
	} {
		state, err := visit(t, c.door, &tls.Config{
			ServerName: "mail.example.org", InsecureSkipVerify: true, NextProtos: strings.Fields(c.ask),
		})
		if (err == nil) != c.ok || state.NegotiatedProtocol != c.got {
			t.Errorf("%q: %q, %v", c.ask, state.NegotiatedProtocol, err)
		}
	}
	if err := h.acme.answers.CleanUp(t.Context(), alpn); err != nil {
		t.Fatal(err)
	}
	_, err := visit(t, imap, &tls.Config{ServerName: "mail.example.org", InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}})
	if err == nil {
		t.Error("acme-tls/1 was spoken with nothing to prove")
	}
}

// Bad files never replace a good certificate, and the facts say what is wrong.
func TestReloadKeepsTheOld(t *testing.T) {
	t.Parallel()
	long := time.Now()
	ca, err := NewAuthority("test", func() time.Time { return long })
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg := Config{Certificate: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "k.pem"), Names: []string{"mail.example.org"}}
	write := func() {
		pair, err := ca.Issue("mail.example.org")
		if err != nil {
			t.Fatal(err)
		}
		if err := WritePair(pair, cfg.Certificate, cfg.Key); err != nil {
			t.Fatal(err)
		}
	}
	write()
	m, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	serial := m.Leaf().SerialNumber
	for what, spoil := range map[string]func() error{
		"no PEM": func() error { return os.WriteFile(cfg.Certificate, []byte("hello"), 0o600) },
		"no key": func() error { return os.Remove(cfg.Key) },
		"another key": func() error {
			write()
			c, _ := os.ReadFile(cfg.Certificate)
			write()
			return os.WriteFile(cfg.Certificate, c, 0o600)
		},
		"an ended one": func() error { long = long.Add(-200 * 24 * time.Hour); write(); long = time.Now(); return nil },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if err := m.Reload(); err == nil || m.Leaf().SerialNumber.Cmp(serial) != 0 {
			t.Errorf("%s: the old certificate is gone: %v", what, err)
		}
		if f := m.Findings(time.Now())[0]; f.Err == nil || f.Source != Files || f.SelfSigned {
			t.Errorf("%s: %+v", what, f)
		}
		write()
	}
	if err := m.Reload(); err != nil || m.Leaf().SerialNumber.Cmp(serial) == 0 {
		t.Errorf("a good pair is not taken: %v", err)
	}
	if f := m.Findings(time.Now())[0]; f.Err != nil || f.Expiring || !slices.Equal(f.Names, []string{"mail.example.org"}) {
		t.Errorf("%+v", f)
	}
	if f := m.Findings(time.Now().Add(75 * 24 * time.Hour))[0]; !f.Expiring {
		t.Errorf("15 days before its end: %+v", f)
	}
}

// Files that nobody vouches for, or for another name, are told.
func TestFactsOfFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pair, err := SelfSigned(time.Now(), "other.example.org")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Certificate: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "k.pem"), Names: []string{"mail.example.org"}}
	if err := WritePair(pair, cfg.Certificate, cfg.Key); err != nil {
		t.Fatal(err)
	}
	m, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f := m.Findings(time.Now())[0]
	if f.Source != Files || !f.SelfSigned || !slices.Equal(f.Missing, []string{"mail.example.org"}) {
		t.Errorf("%+v", f)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for what, cfg := range map[string]Config{
		"nothing":       {},
		"missing files": {Certificate: "/nowhere.pem", Key: "/nowhere.key"},
		"wildcard":      {Dir: t.TempDir(), Names: []string{"a.example"}, ACME: &ACME{Names: []string{"*.example.org"}}},
		"no root":       {Dir: t.TempDir(), Names: []string{"a.example"}, ACME: &ACME{CA: "/nowhere.pem"}},
	} {
		if m, err := Open(cfg); err == nil || m != nil {
			t.Errorf("%s: opened", what)
		}
	}
}
