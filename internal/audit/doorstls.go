package audit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"posta/internal/finding"
	"posta/internal/probe"
)

// soonDays is from when a certificate counts as expiring (checks.md CH-TLS-03): those
// that renew by themselves do so thirty days before.
const soonDays = 14

// encryption judges TLS and the certificate of one door. What was not offered at all
// is tls.missing, which is told apart.
func (d *door) encryption(t *probe.TLS, failed error, now time.Time) {
	if failed != nil {
		bad := probe.Yes
		if silence(failed) {
			bad = probe.Unknown
		}
		d.say(finding.TLSBroken, bad, "handshake", failed.Error())
		return
	}
	if t == nil {
		return
	}
	facts := []string{"chosen", strings.TrimSpace(t.Version + " " + t.Suite + " " + t.Group)}
	d.say(finding.TLSBroken, probe.No, facts...)
	d.versions(t)
	d.certificate(&t.Certificate, now)
}

// silence tells an end by our own time or will from what the other side did.
func silence(err error) bool {
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout() || errors.Is(err, context.Canceled) || errors.Is(err, net.ErrClosed)
}

func (d *door) versions(t *probe.TLS) {
	if len(t.Accepted) == 0 {
		return // not asked
	}
	var seen []string
	for _, v := range t.Accepted {
		seen = append(seen, v.Version, v.Accepted.String())
	}
	old := probe.No
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		switch took := t.Takes(v); {
		case took == probe.Yes:
			old = probe.Yes
		case took == probe.Unknown && old == probe.No:
			old = probe.Unknown
		}
	}
	d.say(finding.TLSOld, old, seen...)
	d.say(finding.TLSModern, not(t.Takes(tls.VersionTLS13)), seen...)
	suite := t.WeakSuite
	if suite == "" {
		suite = t.Weak.String()
	}
	d.say(finding.TLSWeak, t.Weak, "suite", suite)
}

func not(a probe.Answer) probe.Answer {
	return [...]probe.Answer{probe.Unknown: probe.Unknown, probe.No: probe.Yes, probe.Yes: probe.No}[a]
}

// certificate judges the chain. At an exchanger nobody verifies it who was not told to
// (RFC 7435; MTA-STS, DANE, smart hosts are told), so that what only a verifier minds
// is one check of its own there.
func (d *door) certificate(c *probe.Certificate, now time.Time) {
	facts := []string{"names", list(c.Names), "issuer", c.Issuer, "key", c.Key, "signature", c.Signature, "not after", c.NotAfter.UTC().Format(time.RFC3339)}
	for _, p := range c.Problems {
		facts = append(facts, "OpenSSL", fmt.Sprintf("error %d: %s", p.Code, p.Name))
	}
	expired := c.Has(probe.Expired, probe.NotYetValid)
	d.say(finding.CertExpired, yes(expired), facts...)
	if !expired {
		d.say(finding.CertExpiring, yes(c.Days(now) < soonDays), facts...)
	}
	d.say(finding.CertWeak, yes(c.Has(probe.KeyTooSmall, probe.DigestTooWeak)), facts...)
	self := c.Has(probe.SelfSigned, probe.SelfSignedInChain)
	chain := c.Has(probe.NoLocalIssuer, probe.UnverifiableLeaf, probe.InvalidCA, probe.PathTooLong, probe.WrongPurpose, probe.ForbiddenName, probe.Untrusted,
		probe.UnhandledExtension, probe.SignatureFailure)
	name := c.Has(probe.HostnameMismatch)
	if d.exchanger {
		d.say(finding.CertUnverified, yes(self || chain || name), facts...)
		return
	}
	d.say(finding.CertSelfSigned, yes(self), facts...)
	d.say(finding.CertChain, yes(chain), facts...)
	d.say(finding.CertName, yes(name), facts...)
}

// list is words as evidence.
func list(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

func sameName(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}
