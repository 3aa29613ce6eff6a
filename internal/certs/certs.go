// Package certs keeps the certificates that our doors show: from files, from an
// ACME authority (RFC 8555), or, when there is nothing else, signed by
// ourselves, which is a finding. It knows nothing of mail.
//
// A [Manager] is opened once. Its doors take their configuration from
// [Manager.TLSFunc] and show at each handshake the certificate of the moment, so
// that a renewal needs no restart. [Manager.Run] owns all that happens by
// itself: it obtains and renews by ACME, makes a new self-signed pair before
// the old one ends, and notices replaced files. [Manager.Reload] does the latter
// at once (SIGHUP). [Manager.Findings] tells how things stand.
//
// Standards: RFC 8555 (ACME), its HTTP-01 (§8.3), RFC 8737 (TLS-ALPN-01),
// RFC 9773 (when the authority wants a certificate renewed), RFC 7301 (ALPN).
//
// Limits: no OCSP stapling (authorities are ending OCSP) and no DNS-01, hence no
// wildcards from ACME. ACME asks for one certificate per name. HTTP-01 is asked
// for on port 80 and TLS-ALPN-01 on port 443 of each name: one of the two must
// lead to a door of ours.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says where a certificate comes from: from files if they are given, else
// from ACME if that is given, else one is made and signed by ourselves.
type Config struct {
	Certificate, Key string           // PEM files, the full chain and its key; both or none
	Dir              string           // ours alone: the self-signed pair, ACME's account and certificates
	Names            []string         // host names and addresses, ours first; at least one
	ACME             *ACME            // nil means none
	Now              func() time.Time // nil means time.Now
	Log              *slog.Logger     // nil means no log
}

// Source is where a certificate came from.
type Source string

// The sources.
const (
	Files    Source = "files"
	ByACME   Source = "acme"
	ByItself Source = "self-signed"
)

// Manager gives the certificate of the moment. Its methods may be called from
// several goroutines.
type Manager struct {
	cfg     Config
	acme    *authority // nil without ACME
	shown   atomic.Pointer[shown]
	wake    chan struct{}    // tells Run that somebody asked for a look now
	mu      sync.Mutex       // one change of shown or failure at a time
	failure map[string]error // the last of each name, or of the files
}

// shown is what the doors show. It never changes once stored.
type shown struct {
	first  *tls.Certificate // for clients that name nobody, or somebody else
	byName map[string]*tls.Certificate
	source Source // of first
}

// ofFiles is the key of the failure to read files; ACME's are names.
const ofFiles = ""

// Open loads or makes the first certificate. It does not ask ACME anything:
// that is for Run, and until it has an answer a self-signed one is shown. It
// fails when there is nothing to show.
func Open(cfg Config) (*Manager, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Certificate == "" && len(cfg.Names) == 0 {
		return nil, errors.New("certificate: no files, and no names to make one for")
	}
	m := &Manager{cfg: cfg, wake: make(chan struct{}, 1), failure: map[string]error{}}
	if cfg.Certificate == "" && cfg.ACME != nil {
		a, err := newAuthority(cfg)
		if err != nil {
			return nil, err
		}
		m.acme = a
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.load(context.Background()); err != nil {
		return nil, err
	}
	return m, nil
}

// Reload looks again for what may have changed outside: files are read again,
// and Run, if it waits after a failure, asks ACME now. When files cannot be used
// the old certificate stays and the error says why.
func (m *Manager) Reload() error {
	m.mu.Lock()
	err := m.load(context.Background())
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default: // one look is enough
	}
	return err
}

// load makes the newest certificates the shown ones. The caller holds mu.
func (m *Manager) load(ctx context.Context) error {
	next, err := m.newest(ctx)
	if m.cfg.Certificate != "" {
		m.note(ofFiles, err)
	}
	if err != nil {
		return err
	}
	m.shown.Store(next)
	return nil
}

func (m *Manager) newest(ctx context.Context) (*shown, error) {
	if m.cfg.Certificate != "" {
		pair, err := m.fromFiles()
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		return &shown{first: pair, source: Files}, nil
	}
	if m.acme != nil {
		if s := m.acme.stored(ctx); s != nil {
			return s, nil
		}
	}
	pair, err := m.selfSigned()
	if err != nil {
		return nil, fmt.Errorf("self-signed certificate: %w", err)
	}
	return &shown{first: pair, source: ByItself}, nil
}

// fromFiles reads the administrator's pair, and refuses one that has ended while
// the one in use is still good: somebody put back an old file.
func (m *Manager) fromFiles() (*tls.Certificate, error) {
	pair, err := loadPair(m.cfg.Certificate, m.cfg.Key)
	if err != nil {
		return nil, err
	}
	now := m.cfg.Now()
	if old := m.shown.Load(); old != nil && now.After(pair.Leaf.NotAfter) && now.Before(old.first.Leaf.NotAfter) {
		return nil, fmt.Errorf("%s ended on %s; the one in use is good until %s", m.cfg.Certificate,
			pair.Leaf.NotAfter.Format(time.DateOnly), old.first.Leaf.NotAfter.Format(time.DateOnly))
	}
	return pair, nil
}

// renewSelfSigned is how long before its end a self-signed pair is replaced.
const renewSelfSigned = 30 * 24 * time.Hour

// selfSigned gives the pair kept in Dir, made anew when there is no good one.
func (m *Manager) selfSigned() (*tls.Certificate, error) {
	cert, key := filepath.Join(m.cfg.Dir, "self-signed.pem"), filepath.Join(m.cfg.Dir, "self-signed-key.pem")
	pair, err := loadPair(cert, key)
	if err == nil && m.cfg.Now().Before(pair.Leaf.NotAfter.Add(-renewSelfSigned)) && covers(pair.Leaf, m.cfg.Names) {
		return pair, nil
	}
	made, err := SelfSigned(m.cfg.Now(), m.cfg.Names...)
	if err != nil {
		return nil, err
	}
	if err := WritePair(made, cert, key); err != nil {
		return nil, err
	}
	return loadPair(cert, key)
}

func covers(leaf *x509.Certificate, names []string) bool {
	for _, n := range names {
		if leaf.VerifyHostname(n) != nil {
			return false
		}
	}
	return true
}

// loadPair reads a pair with its leaf parsed.
func loadPair(certFile, keyFile string) (*tls.Certificate, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	pair, err := parsePair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", certFile, keyFile, err)
	}
	return pair, nil
}

func parsePair(certPEM, keyPEM []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	if pair.Leaf == nil { // GODEBUG x509keypairleaf=0
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, err
		}
	}
	return &pair, nil
}

// note keeps how the last attempt went. The caller holds mu.
func (m *Manager) note(key string, err error) {
	if err == nil {
		delete(m.failure, key)
		return
	}
	m.failure[key] = err
}

// Source tells where the certificate shown by default came from.
func (m *Manager) Source() Source { return m.shown.Load().source }

// Leaf is the certificate shown to clients that name no server.
func (m *Manager) Leaf() *x509.Certificate { return m.shown.Load().first.Leaf }

// pick gives the certificate for the name that a client asked for (SNI, RFC 6066
// §3), or ours.
func (m *Manager) pick(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s := m.shown.Load()
	if c := s.byName[strings.ToLower(hello.ServerName)]; c != nil {
		return c, nil
	}
	return s.first, nil
}
