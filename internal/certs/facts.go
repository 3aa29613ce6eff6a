package certs

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"time"
)

// Fact is how one shown certificate stands.
type Fact struct {
	Source     Source
	SelfSigned bool      // nobody else vouches for it, whatever its source
	Names      []string  // names and addresses that it covers
	Missing    []string  // names asked for that no shown certificate covers; told with the first Fact
	NotAfter   time.Time // its end
	Expiring   bool      // it ends soon, or has ended, and should have been renewed by now
	Err        error     // why the last reload or renewal failed; nil when it did not
}

// Findings tells how each shown certificate stands at a time, the default one
// first. It has at least one Fact and does not block.
func (m *Manager) Findings(now time.Time) []Fact {
	s := m.shown.Load()
	leaves := []*x509.Certificate{s.first.Leaf}
	for _, name := range m.wanted() {
		if c := s.byName[name]; c != nil && !slices.Contains(leaves, c.Leaf) {
			leaves = append(leaves, c.Leaf)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Fact, 0, len(leaves))
	for i, leaf := range leaves {
		f := Fact{
			Source: s.source, SelfSigned: selfSigned(leaf), Names: namesOf(leaf),
			NotAfter: leaf.NotAfter, Expiring: expiring(leaf, now),
		}
		if i == 0 {
			f.Missing = m.missing(leaves)
			f.Err = m.failures(append([]string{ofFiles}, f.Missing...))
		}
		f.Err = errors.Join(f.Err, m.failures(f.Names))
		out = append(out, f)
	}
	return out
}

// wanted are the names that a certificate should cover.
func (m *Manager) wanted() []string {
	switch {
	case m.acme != nil:
		return m.acme.names()
	case len(m.cfg.Names) > 0:
		return m.cfg.Names[:1] // the others are a convenience
	}
	return nil
}

func (m *Manager) missing(leaves []*x509.Certificate) []string {
	var out []string
	for _, name := range m.wanted() {
		if !slices.ContainsFunc(leaves, func(l *x509.Certificate) bool { return l.VerifyHostname(name) == nil }) {
			out = append(out, name)
		}
	}
	return out
}

// failures joins what is wrong with some names. The caller holds mu.
func (m *Manager) failures(names []string) error {
	var errs []error
	for _, n := range names {
		errs = append(errs, m.failure[n])
	}
	return errors.Join(errs...)
}

// expiring reports whether less is left than a renewal in good order leaves:
// 21 days, or a fifth of a shorter life (ACME renews with a third left).
func expiring(leaf *x509.Certificate, now time.Time) bool {
	margin := min(21*24*time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)/5)
	return now.After(leaf.NotAfter.Add(-margin))
}

func selfSigned(leaf *x509.Certificate) bool {
	return bytes.Equal(leaf.RawIssuer, leaf.RawSubject) &&
		leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil
}

func namesOf(leaf *x509.Certificate) []string {
	out := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		out = append(out, ip.String())
	}
	return out
}
