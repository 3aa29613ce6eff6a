package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"time"

	"posta/internal/dane"
	"posta/internal/route"
)

// Result is what a TLS report says of a session (RFC 8460 §4.3). The zero value is
// success.
type Result string

// The results.
const (
	NoSTARTTLS     Result = "starttls-not-supported"
	HostMismatch   Result = "certificate-host-mismatch"
	Expired        Result = "certificate-expired"
	NotTrusted     Result = "certificate-not-trusted"
	Failed         Result = "validation-failure" // whatever else
	TLSAInvalid    Result = "tlsa-invalid"
	DNSSECInvalid  Result = "dnssec-invalid"
	STSUnreachable Result = "sts-policy-fetch-error"
	STSInvalid     Result = "sts-policy-invalid"
	STSUntrusted   Result = "sts-webpki-invalid"
)

// Applied is a policy that a domain or host publishes, as a TLS report names it (RFC 8460
// §4.4). The zero value: none was found.
type Applied struct {
	Type    string   // "sts" or "tlsa"; "" is no-policy-found
	Domain  string   // whose it is: a TLSA base domain is a host's
	Text    []string // the lines of the policy, or its TLSA records
	MX      []string // the hosts that an MTA-STS policy lists
	Testing bool     // what fails is reported and used all the same
	// Result and Reason say what is wrong with the policy itself, or with the host's
	// standing in it, though the host is used.
	Result Result
	Reason string
}

// Session is how one connection to a host of a domain was protected, or why none was made.
// A session that carries many messages is told of once, at its beginning.
type Session struct {
	At     time.Time
	Domain string // that the mail is for
	Policy Applied
	Host   string
	Remote netip.Addr
	Local  netip.Addr // invalid: no connection was made
	Result Result
	Reason string // in English
}

// weakness is what a TLS report would say of a connection.
type weakness struct {
	result Result
	reason string
}

// weaknessOf reads an error of a handshake.
func weaknessOf(err error) weakness {
	w := weakness{Failed, plain(err)}
	if _, ok := errors.AsType[*dane.MismatchError](err); ok {
		return w
	}
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, mismatch := errors.AsType[x509.HostnameError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case mismatch:
		w.result = HostMismatch
	case isInvalid && invalid.Reason == x509.Expired:
		w.result = Expired
	case unknown, isInvalid:
		w.result = NotTrusted
	}
	return w
}

// tested is what would fail if a policy in testing were enforced, and what is wrong with
// the policy in any case.
func (r *Relay) tested(cs tls.ConnectionState, h route.Host, rule Rule) weakness {
	if rule.Applied.Result != "" {
		return weakness{rule.Applied.Result, rule.Applied.Reason}
	}
	if rule.Applied.Testing {
		if err := r.trusted(cs, h, rule); err != nil {
			return weaknessOf(err)
		}
	}
	return weakness{}
}

// counts reports whether anybody is told of the sessions of this attempt. Mail from the null
// reverse-path, reports among it, is not: two who report to each other would have something
// to report for ever.
func (a *attempt) counts() bool {
	return a.r.cfg.Sessions != nil && a.policyDomain() != "" && a.m.ReversePath != ""
}

// observe tells of a connection that was made, or whose TLS failed.
func (a *attempt) observe(t target, rule Rule, c *conn, f *failure) {
	if !a.counts() {
		return
	}
	s := Session{At: time.Now(), Domain: a.rt.Domain, Policy: rule.Applied, Host: t.host.Name, Remote: t.addr.Addr()}
	switch {
	case c != nil:
		s.Result, s.Reason = c.seen.result, c.seen.reason
		if local, err := netip.ParseAddrPort(c.raw.LocalAddr().String()); err == nil {
			s.Local = local.Addr().Unmap()
		}
	case f.seen.result != "":
		s.Result, s.Reason = f.seen.result, f.seen.reason
	default:
		return // it failed before TLS, or for another reason
	}
	a.r.cfg.Sessions(s)
}

// policyFailed puts a host off whose policy forbids it, or cannot be found out.
func (a *attempt) policyFailed(t target, err error) {
	e, ok := errors.AsType[*PolicyError](err)
	if !ok {
		e = &PolicyError{Text: "The TLS policy cannot be found out", Err: err}
	}
	a.tentative(t.ours(451, "4.7.5", bounded(e.Error())))
	if a.counts() && e.Result != "" {
		a.r.cfg.Sessions(Session{
			At: time.Now(), Domain: a.rt.Domain, Policy: e.Applied, Host: t.host.Name, Remote: t.addr.Addr(),
			Result: e.Result, Reason: e.Error(),
		})
	}
}
