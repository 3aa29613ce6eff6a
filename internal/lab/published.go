package lab

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"posta/internal/certs"
	"posta/internal/dane"
	"posta/internal/mtasts"
	"posta/internal/resolver"
)

// policyHost is where the MTA-STS policies of the outside world are served.
var policyHost = netip.MustParseAddrPort("192.0.2.69:443")

// published are those policies, by the host that is asked.
func published() map[string]mtasts.Policy {
	enforce := func(mx ...string) mtasts.Policy {
		return mtasts.Policy{Mode: mtasts.Enforce, MaxAge: 7 * 24 * time.Hour, MX: mx}
	}
	return map[string]mtasts.Policy{
		mtasts.Host("sts.test"):     enforce("*.sts.test"),
		mtasts.Host("stsroto.test"): enforce("mail.stsroto.test"),
	}
}

// certificate is the one that a host shows.
func (h host) certificate(issue func(names ...string) (tls.Certificate, error)) (tls.Certificate, error) {
	switch h.manner {
	case misnamed:
		return issue("otro." + h.name)
	case selfSigned:
		return certs.SelfSigned(time.Now(), h.name)
	}
	return issue(h.name)
}

// publishPolicies opens the policy host and publishes the keys of the hosts that have
// TLSA records: that of mail.dane.test as it is, that of mail.daneroto.test as it is not.
func (l *Lab) publishPolicies() error {
	if err := l.outside.servePolicies(l.ctx, l.group, l.ca.Issue); err != nil {
		return err
	}
	key, err := keyRecord(l.outside.named("mail.dane.test").shows)
	if err != nil {
		return err
	}
	for _, name := range []string{"mail.dane.test", "mail.daneroto.test"} {
		if err := l.dns.publish(dane.Name(name, 25) + ". 60 IN TLSA " + key); err != nil {
			return err
		}
	}
	return nil
}

// keyRecord is the data of a TLSA record 3 1 1 of a certificate.
func keyRecord(der []byte) (string, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return dane.Text(resolver.TLSA{Usage: dane.EE, Selector: 1, MatchingType: 1, Data: sum[:]}), nil
}

// servePolicies opens the policy host; it serves under g until the context ends.
func (o *outside) servePolicies(ctx context.Context, g *errgroup.Group, issue func(names ...string) (tls.Certificate, error)) error {
	policies := published()
	var names []string
	for name := range policies {
		names = append(names, name)
	}
	slices.Sort(names)
	cert, err := issue(names...)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	o.policies = l.Addr().String()
	srv := &http.Server{ReadTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := policies[r.Host]
		if !ok || !strings.HasSuffix(mtasts.URL(""), r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, p.Text())
	})}
	g.Go(func() error {
		err := srv.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}}))
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("policy host: %w", err)
	})
	g.Go(func() error {
		<-ctx.Done()
		return srv.Close()
	})
	return nil
}
