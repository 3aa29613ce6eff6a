package relay

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"posta/internal/route"
)

// Policy says how a connection is to be protected. domain is the one that the mail is
// for, "" where the administrator chose the host: then what the domain publishes about its
// own hosts says nothing. It may block for look-ups. An error puts the host off: a policy
// that cannot be found out is no policy to be ignored. A *PolicyError has its own words.
type Policy interface {
	TLS(ctx context.Context, domain string, h route.Host) (Rule, error)
}

// PolicyError says that a host must not be used.
type PolicyError struct {
	Text    string // for the sender: "The MTA-STS policy of example.net does not list this host"
	Applied Applied
	Result  Result // for TLS reports
	Err     error  // the cause, or nil
}

// Error is the text with its cause.
func (e *PolicyError) Error() string {
	if e.Err == nil {
		return e.Text
	}
	return e.Text + ": " + plain(e.Err)
}

// Unwrap gives the cause.
func (e *PolicyError) Unwrap() error { return e.Err }

// Rule is one host's protection.
type Rule struct {
	Level route.TLS // Unset counts as May
	// Names are those of which the certificate must have one (Verify); nil means
	// the host's name.
	Names []string
	// Verify, when set, judges the connection in place of the authorities and
	// names (DANE); for level Verify only.
	Verify func(tls.ConnectionState) error
	// Source is where the rule comes from, for the trace: "dane", "mta-sts",
	// "route"; "" is the default.
	Source string
	// ServerName is what the host is told (SNI); "" is its name.
	ServerName string
	// For tells rules of one Source apart whose connections are not alike: what Verify let
	// pass for one is not used for another.
	For string
	// Applied is what is published, for TLS reports.
	Applied Applied
}

// InOrder asks policies in turn, and the first that knows of a host (a level other
// than Unset) decides: DANE goes before MTA-STS (RFC 8461 §2), and what nobody knows of
// is opportunistic. An error ends it, so that who attacks the first does not get the
// second. The zero value is opportunistic for every host.
type InOrder []Policy

// TLS gives the first rule.
func (l InOrder) TLS(ctx context.Context, domain string, h route.Host) (Rule, error) {
	var seen Applied
	for _, p := range l {
		rule, err := p.TLS(ctx, domain, h)
		if err != nil || rule.Level != route.Unset {
			return rule, err
		}
		if rule.Applied.Type != "" {
			seen = rule.Applied
		}
	}
	return Rule{Level: route.May, Applied: seen}, nil
}

// rule is the policy for a host of a route, with what the route and the message
// themselves ask for.
func (a *attempt) rule(ctx context.Context, h route.Host) (Rule, error) {
	if h.Socket != "" { // it does not leave the machine
		return Rule{Level: route.None, Source: "socket"}, nil
	}
	rule := Rule{Level: h.TLS, Source: "route"}
	switch {
	case h.TLS != route.Unset:
	case a.m.TLSOptional:
		rule = Rule{Level: route.May, Source: "TLS-Required: No"}
	default:
		var err error
		if rule, err = a.r.cfg.Policy.TLS(ctx, a.policyDomain(), h); err != nil {
			return rule, err
		}
		if rule.Level == route.Unset {
			rule.Level = route.May
		}
	}
	if a.m.RequireTLS && rule.Level != route.Verify {
		rule = Rule{Level: route.Verify, Source: "requiretls"} // RFC 8689 §4.2.1
	}
	if h.Implicit && rule.Level <= route.May {
		rule.Level = route.Encrypt
	}
	return rule, nil
}

// policyDomain is the domain whose policy holds; "": the administrator chose the host, or
// there is no domain, but an address.
func (a *attempt) policyDomain() string {
	if a.rt.Fixed || strings.HasPrefix(a.rt.Domain, "[") {
		return ""
	}
	return a.rt.Domain
}

// tlsConfig is the configuration for one connection.
func (r *Relay) tlsConfig(h route.Host, rule Rule) *tls.Config {
	c := r.tls.Clone()
	c.ServerName = cmp.Or(rule.ServerName, strings.Trim(h.Name, "[]"))
	// Posta judges by itself, since most certificates need only be noted.
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if rule.Level < route.Verify {
			return nil
		}
		if rule.Verify != nil {
			return rule.Verify(cs)
		}
		return r.trusted(cs, h, rule)
	}
	return c
}

func (rule Rule) names(h route.Host) []string {
	if rule.Names != nil {
		return rule.Names
	}
	return []string{strings.TrimPrefix(strings.Trim(h.Name, "[]"), "IPv6:")}
}

var errNoCertificate = errors.New("the host shows no certificate")

// trusted checks chain and name (RFC 5280, RFC 6125, RFC 8461 §4.1).
func (r *Relay) trusted(cs tls.ConnectionState, h route.Host, rule Rule) error {
	if len(cs.PeerCertificates) == 0 {
		return errNoCertificate
	}
	leaf, between := cs.PeerCertificates[0], x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		between.AddCert(c)
	}
	var err error
	for _, n := range rule.names(h) {
		if err = leaf.VerifyHostname(n); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	now := time.Now()
	if r.tls.Time != nil {
		now = r.tls.Time()
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: cmp.Or(h.Roots, r.tls.RootCAs), Intermediates: between, CurrentTime: now})
	return err
}

// describe tells of an established TLS connection.
func (r *Relay) describe(cs tls.ConnectionState, h route.Host, rule Rule) string {
	trust := "trusted"
	if rule.Level == route.Verify {
		trust = "verified"
	} else if err := r.trusted(cs, h, rule); err != nil {
		trust = "not trusted"
	}
	text := fmt.Sprintf("%s %s, %s", tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite), trust)
	if rule.Source != "" {
		text += " (" + rule.Source + ")"
	}
	return text
}
