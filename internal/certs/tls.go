package certs

import "crypto/tls"

// TLS makes the configuration of one door: TLS 1.2 or later, the certificate of
// the moment at each handshake, ACME's TLS-ALPN-01 answered. protocols are the
// door's names in ALPN, such as "imap"; with none, whatever a client offers is
// ignored, and with some, a client that offers only others is refused, so that a
// browser cannot be led to a mail door (RFC 9325 §3.8).
//
// Session tickets are bound to the configuration: a ticket of one door opens no
// other. So a door keeps one configuration for its life; see TLSFunc.
func (m *Manager) TLS(protocols ...string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, GetCertificate: m.pick}
	if m.acme != nil {
		c.GetConfigForClient = m.acme.answers.configForClient
	}
	return c
}

// TLSFunc is TLS for doors that ask for their configuration at each handshake:
// it gives the same one every time, so that tickets resume.
func (m *Manager) TLSFunc(protocols ...string) func() *tls.Config {
	c := m.TLS(protocols...)
	return func() *tls.Config { return c }
}
