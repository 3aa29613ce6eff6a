// Package certs keeps the certificates that our doors show: from files, from an
// ACME authority, or, when there is nothing else, signed by ourselves, which is
// a finding. It knows nothing of mail.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Config says where a certificate comes from. With files, those are used; else
// one is made and kept in Dir.
type Config struct {
	Certificate, Key string           // PEM files
	Dir              string           // where a self-signed one is kept
	Names            []string         // host names, ours first
	Now              func() time.Time // nil means time.Now
}

// Manager gives the certificate of the moment.
type Manager struct {
	cfg    Config
	pair   atomic.Pointer[tls.Certificate]
	source Source
}

// Source is where the certificate came from.
type Source string

// The sources.
const (
	Files    Source = "files"
	ByItself Source = "self-signed"
)

// Open loads or makes the certificate.
func Open(cfg Config) (*Manager, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	m := &Manager{cfg: cfg, source: Files}
	if cfg.Certificate == "" {
		m.source = ByItself
		m.cfg.Certificate = filepath.Join(cfg.Dir, "self-signed.pem")
		m.cfg.Key = filepath.Join(cfg.Dir, "self-signed-key.pem")
		if err := m.makeSelfSigned(); err != nil {
			return nil, err
		}
	}
	return m, m.Reload()
}

// makeSelfSigned makes a pair unless a good one is there.
func (m *Manager) makeSelfSigned() error {
	if pair, err := tls.LoadX509KeyPair(m.cfg.Certificate, m.cfg.Key); err == nil {
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err == nil && m.cfg.Now().Before(leaf.NotAfter.Add(-30*24*time.Hour)) && leaf.VerifyHostname(m.cfg.Names[0]) == nil {
			return nil
		}
	}
	pair, err := SelfSigned(m.cfg.Now(), m.cfg.Names...)
	if err != nil {
		return err
	}
	return WritePair(pair, m.cfg.Certificate, m.cfg.Key)
}

// Reload reads the files again. When they cannot be used the old certificate
// stays and the error says why.
func (m *Manager) Reload() error {
	pair, err := tls.LoadX509KeyPair(m.cfg.Certificate, m.cfg.Key)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
	}
	m.pair.Store(&pair)
	return nil
}

// Source tells where the certificate came from.
func (m *Manager) Source() Source { return m.source }

// Leaf is the certificate of the moment.
func (m *Manager) Leaf() *x509.Certificate { return m.pair.Load().Leaf }

// TLS is the configuration for a door; it gives the newest certificate at each
// handshake. Session tickets are bound to the configuration, so each door has
// one of its own (a ticket of one service must not open another).
func (m *Manager) TLS(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     protocols,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return m.pair.Load(), nil },
	}
}
