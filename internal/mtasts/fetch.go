package mtasts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
)

// Host is the host that serves the policy of a domain.
func Host(domain string) string { return "mta-sts." + domain }

// URL is where the policy of a domain stands.
func URL(domain string) string { return "https://" + Host(domain) + "/.well-known/mta-sts.txt" }

// fetchTime is how long a fetch may take (RFC 8461 §3.3).
const fetchTime = time.Minute

// Failure is the kind of a FetchError, by its name in TLS reports (RFC 8460 §4.3.2.2).
type Failure string

// The failures.
const (
	Unreachable Failure = "sts-policy-fetch-error"
	Invalid     Failure = "sts-policy-invalid"
	Untrusted   Failure = "sts-webpki-invalid"
)

// FetchError says why there is no policy.
type FetchError struct {
	Kind Failure
	Err  error
}

// Error tells the cause.
func (e *FetchError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *FetchError) Unwrap() error { return e.Err }

// Fetcher gets policies. The zero value asks the network and trusts the authorities of
// the system. It is safe for concurrent use.
type Fetcher struct {
	// Dial opens a connection to "host:443"; nil is a net.Dialer.
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
	Roots *x509.CertPool
	Now   func() time.Time // for the validity of certificates; nil is time.Now
}

// Fetch gets the policy of a domain (A-labels): over HTTPS with a certificate for the
// policy host, without redirects, status 200, text/plain, at most MaxPolicy octets, in
// at most a minute. The error is a *FetchError.
func (f *Fetcher) Fetch(ctx context.Context, domain string) (Policy, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	body, err := f.get(ctx, URL(domain))
	if err != nil {
		return Policy{}, err
	}
	p, err := ParsePolicy(body)
	if err != nil {
		return Policy{}, &FetchError{Invalid, err}
	}
	return p, nil
}

func (f *Fetcher) get(ctx context.Context, url string) ([]byte, error) {
	t := &http.Transport{
		DialContext: f.Dial, DisableKeepAlives: true, MaxResponseHeaderBytes: 32 << 10,
		TLSClientConfig: &tls.Config{RootCAs: f.Roots, MinVersion: tls.VersionTLS12, Time: f.Now},
	}
	defer t.CloseIdleConnections()
	client := http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, &FetchError{Unreachable, err}
	}
	req.Header.Set("User-Agent", "Posta")
	res, err := client.Do(req)
	if err != nil {
		return nil, &FetchError{kindOf(err), fmt.Errorf("%s: %w", url, err)}
	}
	defer res.Body.Close()
	if err := acceptable(res); err != nil {
		return nil, &FetchError{Unreachable, fmt.Errorf("%s: %w", url, err)}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxPolicy+1))
	if err != nil {
		return nil, &FetchError{Unreachable, fmt.Errorf("%s: %w", url, err)}
	}
	return body, nil
}

// acceptable: RFC 8461 §3.3 wants status 200 and no redirect, §3.2 text/plain.
func acceptable(res *http.Response) error {
	if res.StatusCode/100 == 3 {
		return fmt.Errorf("a redirect to %.100q (RFC 8461 allows none)", res.Header.Get("Location"))
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %.100q", res.Status)
	}
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || !strings.EqualFold(kind, "text/plain") {
		return fmt.Errorf("Content-Type is %.100q, not text/plain", res.Header.Get("Content-Type"))
	}
	return nil
}

func kindOf(err error) Failure {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Untrusted
	}
	return Unreachable
}
