package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
)

// offer is what we offer in a handshake.
type offer struct {
	min, max uint16
	suites   []uint16 // of TLS 1.2 and older; nil: Go's, which are all good
}

// best is the handshake of a client of today. Old servers may answer with TLS 1.0:
// that is to be seen, not to be refused.
var best = offer{min: tls.VersionTLS10, max: tls.VersionTLS13}

// Versions are those that are tried, one handshake each.
func Versions() []uint16 {
	return []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}
}

// olden are suites that nobody offers any more but for a test: RC4 (RFC 7465), 3DES
// (RFC 9325 §4.1), and the key exchange by RSA alone, which has no forward secrecy.
func olden() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA, tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	}
}

// TLS is what was seen of a server's encryption.
type TLS struct {
	Version     string       `json:"version"` // of the handshake that a client of today makes: "TLS 1.3"
	Suite       string       `json:"suite"`
	Group       string       `json:"group,omitempty"` // of the key exchange: "X25519MLKEM768"
	Certificate Certificate  `json:"certificate"`
	Accepted    []TLSVersion `json:"accepted,omitempty"` // each version by itself
	Weak        Answer       `json:"weak"`               // a suite of the olden list is accepted
	WeakSuite   string       `json:"weak_suite,omitempty"`
	state       *tls.ConnectionState
}

// TLSVersion is whether a server takes one version of TLS.
type TLSVersion struct {
	Version  string `json:"version"`
	Accepted Answer `json:"accepted"`
	ID       uint16 `json:"-"`
}

// Takes says whether the server takes a version.
func (t *TLS) Takes(version uint16) Answer {
	for _, v := range t.Accepted {
		if v.ID == version {
			return v.Accepted
		}
	}
	return Unknown
}

// seen makes evidence of a handshake, and tells it.
func (p *prober) seen(state tls.ConnectionState) *TLS {
	t := &TLS{
		Version: tls.VersionName(state.Version), Suite: tls.CipherSuiteName(state.CipherSuite),
		Certificate: inspect(state.PeerCertificates, p.target.Host, p.cfg.Roots, p.cfg.Now()), state: &state,
	}
	if state.CurveID != 0 {
		t.Group = state.CurveID.String()
	}
	p.event(t.Version, NoteTLS, t.Version, t.Suite, t.Group)
	c := &t.Certificate
	p.event(c.Subject, NoteCertificate, c.named(), c.Issuer, c.NotAfter.UTC().Format("2006-01-02"))
	for _, v := range c.Problems {
		p.event(v.Name, NoteCertificateBad, v.Code, v.Name)
	}
	return t
}

// step brings a new connection to the point where a handshake may begin.
type step func(ctx context.Context) (*session, error)

// versions tries each version of TLS that is not known from the first handshake, and
// the olden suites, each a question of its own. Nothing more is asked of a server that
// wants no more connections.
func (p *prober) versions(ctx context.Context, t *TLS, begin step) {
	t.Accepted = make([]TLSVersion, len(Versions()))
	for i, v := range Versions() {
		got := &t.Accepted[i]
		*got = TLSVersion{tls.VersionName(v), No, v} // the best handshake took the highest that both have
		switch {
		case v == t.state.Version:
			got.Accepted = Yes
		case v < t.state.Version:
			got.Accepted = Unknown
			p.further(func() {
				got.Accepted, _ = p.try(ctx, begin, offer{min: v, max: v})
				p.tellVersion(got)
			})
			continue
		}
		p.tellVersion(got)
	}
	p.further(func() {
		t.Weak, t.WeakSuite = p.try(ctx, begin, offer{min: tls.VersionTLS10, max: tls.VersionTLS12, suites: olden()})
		if t.Weak == Yes {
			p.event(t.WeakSuite, NoteTLSWeak, t.WeakSuite)
		} else if t.Weak == No {
			p.event("", NoteTLSStrong)
		}
	})
}

func (p *prober) tellVersion(v *TLSVersion) {
	switch {
	case v.Accepted == Yes && v.ID < tls.VersionTLS12:
		p.event(v.Version, NoteTLSOld, v.Version)
	case v.Accepted == Yes:
		p.event(v.Version, NoteTLSVersion, v.Version)
	case v.Accepted == No:
		p.event(v.Version, NoteTLSRefused, v.Version)
	}
}

// try makes one handshake; the suite is told of one that came to be.
func (p *prober) try(ctx context.Context, begin step, o offer) (Answer, string) {
	s, err := begin(ctx)
	if err != nil {
		return Unknown, ""
	}
	defer s.close()
	state, err := s.handshake(ctx, o)
	if err != nil {
		return refused(ctx, err), ""
	}
	return Yes, tls.CipherSuiteName(state.CipherSuite)
}

// refused tells a server that does not take what was offered from one that did not
// answer.
func refused(ctx context.Context, err error) Answer {
	var network net.Error
	switch {
	case ctx.Err() != nil || errors.Is(err, ErrBudget) || errors.Is(err, ErrCleartext) || errors.As(err, new(tls.RecordHeaderError)):
		return Unknown
	case errors.As(err, &network) && network.Timeout():
		return Unknown
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return No // many close without an alert
	}
	return answerOfHandshake(err)
}

// answerOfHandshake reads the errors that crypto/tls makes itself: they come after an
// answer of the server, save those of the network.
func answerOfHandshake(err error) Answer {
	if errors.As(err, new(*net.OpError)) {
		var op *net.OpError
		errors.As(err, &op)
		if op.Op == "remote error" { // crypto/tls wraps alerts that it received so
			return No
		}
		return Unknown
	}
	return No
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}
