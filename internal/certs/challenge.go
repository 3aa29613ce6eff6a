package certs

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// answers holds what the authority is about to ask our doors. It solves both
// challenges; each order has one answer per name, gone when the order ends.
type answers struct {
	mu   sync.Mutex
	http map[string]acme.Challenge // by token
	alpn map[string]*tls.Config    // by name
}

// Present implements acmez.Solver.
func (a *answers) Present(_ context.Context, c acme.Challenge) error {
	if c.Type != acme.ChallengeTypeTLSALPN01 {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.http == nil {
			a.http = map[string]acme.Challenge{}
		}
		a.http[c.Token] = c
		return nil
	}
	cert, err := acmez.TLSALPN01ChallengeCert(c)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.alpn == nil {
		a.alpn = map[string]*tls.Config{}
	}
	a.alpn[strings.ToLower(c.Identifier.Value)] = &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{acmez.ACMETLS1Protocol},
		Certificates: []tls.Certificate{*cert}, SessionTicketsDisabled: true,
	}
	return nil
}

// CleanUp implements acmez.Solver.
func (a *answers) CleanUp(_ context.Context, c acme.Challenge) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.Type == acme.ChallengeTypeTLSALPN01 {
		delete(a.alpn, strings.ToLower(c.Identifier.Value))
	} else {
		delete(a.http, c.Token)
	}
	return nil
}

// configForClient shows the proof to an authority that asks for it: one whose
// only protocol is acme-tls/1 and that names the host (RFC 8737 §3). Everybody
// else gets nil, the door's own configuration; acme-tls/1 is not among a door's
// own protocols, since a client that speaks no ALPN must still come in.
func (a *answers) configForClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acmez.ACMETLS1Protocol {
		return nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.alpn[strings.ToLower(hello.ServerName)], nil
}

// challengePath is where HTTP-01 asks (RFC 8555 §8.3).
const challengePath = "/.well-known/acme-challenge/"

// HTTPHandler answers HTTP-01 and leaves all else to next. It belongs on the
// door that the authority reaches at port 80, before any redirect.
func (m *Manager) HTTPHandler(next http.Handler) http.Handler {
	if m.acme == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.URL.Path, challengePath)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		answer, ok := m.acme.answers.keyAuthorization(token, r.Host)
		if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		io.WriteString(w, answer) // the authority hangs up, or asks again
	})
}

// keyAuthorization is the answer for a token, told only to who asks for the name
// being proved, so that no other name pointed at us (DNS rebinding) is served.
func (a *answers) keyAuthorization(token, host string) (string, bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c, ok := a.http[token]
	if !ok || !strings.EqualFold(host, c.Identifier.Value) {
		return "", false
	}
	return c.KeyAuthorization, true
}
