package certs

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// ACME says which authority certifies us, and for which names. Its zero value
// asks Let's Encrypt for the first of Config.Names.
type ACME struct {
	Directory  string      // https URL of the authority's directory; "" means Let's Encrypt
	Email      string      // for the authority's warnings; "" means none
	CA         string      // PEM file with the root of a private authority; "" means the system's roots
	Names      []string    // host names in A-labels, ours first; none means Config.Names[0]
	Challenges []Challenge // what our doors can answer; none means all
	// More gives names besides, before each round: those that lead to us only since
	// somebody made them do so. A name that it gives no longer is renewed no longer; with
	// an error, which says that some could not be looked at, those of before stay besides.
	// It may block; nil means none.
	More func(ctx context.Context) ([]string, error)
	// Dial opens connections to the authority; nil means the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Challenge is a way to prove to an authority that a name is ours.
type Challenge string

// The challenges that can be answered.
const (
	HTTP01    Challenge = "http-01"     // on port 80, see Manager.HTTPHandler (RFC 8555 §8.3)
	TLSALPN01 Challenge = "tls-alpn-01" // on port 443, see Manager.TLS (RFC 8737)
)

// authority asks an ACME authority for certificates, and keeps them.
//
// certmagic keeps, locks, judges and replaces certificates; the exchange itself is
// acmez's, certmagic's own ACME library, driven from here rather than by
// certmagic.ACMEIssuer, since that one opens listeners of its own on ports 80
// and 443 when nobody answers there. We dropped the right to do so, and our
// doors answer.
type authority struct {
	acme    ACME
	answers answers
	storage *certmagic.FileStorage
	client  *http.Client
	log     *slog.Logger
	polled  map[string]renewal // by name; used by Run alone
	more    atomic.Pointer[[]string]
}

// names are all that a certificate is wanted for, ours first.
func (a *authority) names() []string {
	if more := a.more.Load(); more != nil {
		return slices.Concat(a.acme.Names, *more)
	}
	return a.acme.Names
}

// look asks for the names besides. One that no challenge can prove is left out.
func (a *authority) look(ctx context.Context) {
	if a.acme.More == nil {
		return
	}
	given, err := a.acme.More(ctx)
	if old := a.more.Load(); err != nil && old != nil {
		given = append(given, *old...)
	}
	var more []string
	for _, n := range given {
		n = strings.ToLower(n)
		if certmagic.SubjectQualifiesForCert(n) && !strings.Contains(n, "*") && !slices.Contains(a.acme.Names, n) && !slices.Contains(more, n) {
			more = append(more, n)
		}
	}
	if ctx.Err() == nil {
		a.more.Store(&more)
	}
}

// obtainTimeout bounds one exchange with an authority, polls included.
const obtainTimeout = 5 * time.Minute

func newAuthority(cfg Config) (*authority, error) {
	a := &authority{
		acme: *cfg.ACME, log: cfg.Log, polled: map[string]renewal{},
		storage: &certmagic.FileStorage{Path: filepath.Join(cfg.Dir, "acme")},
	}
	a.acme.Directory = cmp.Or(a.acme.Directory, certmagic.LetsEncryptProductionCA)
	if len(a.acme.Names) == 0 {
		a.acme.Names = cfg.Names[:1]
	}
	if len(a.acme.Challenges) == 0 {
		a.acme.Challenges = []Challenge{HTTP01, TLSALPN01}
	}
	names := make([]string, 0, len(a.acme.Names))
	for _, n := range a.acme.Names {
		n = strings.ToLower(n)
		if !certmagic.SubjectQualifiesForCert(n) || strings.Contains(n, "*") {
			return nil, fmt.Errorf("acme: %q is no host name that HTTP-01 or TLS-ALPN-01 can prove", n)
		}
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	a.acme.Names = names
	if _, err := url.Parse(a.acme.Directory); err != nil {
		return nil, fmt.Errorf("acme: directory: %w", err)
	}
	roots, err := readRoots(a.acme.CA)
	if err != nil {
		return nil, err
	}
	a.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: a.acme.Dial, ForceAttemptHTTP2: true,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 15 * time.Second, ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout: time.Minute,
	}}
	return a, nil
}

// readRoots reads the root of a private authority; nil means the system's.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("acme: authority's root: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("acme: authority's root: %s holds no PEM certificate", file)
	}
	return pool, nil
}

// IssuerKey names the authority's folder in the storage.
func (a *authority) IssuerKey() string {
	u, err := url.Parse(a.acme.Directory)
	if err != nil {
		return certmagic.StorageKeys.Safe(a.acme.Directory)
	}
	return certmagic.StorageKeys.Safe(u.Host + strings.ReplaceAll(u.Path, "/", "-"))
}

// Issue implements certmagic.Issuer: one order, from the account to the chain.
func (a *authority) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	ctx, cancel := context.WithTimeout(ctx, obtainTimeout)
	defer cancel()
	c := a.exchange()
	account, err := a.account(ctx, c)
	if err != nil {
		return nil, err
	}
	order, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return nil, fmt.Errorf("acme: order: %w", err)
	}
	chains, err := c.ObtainCertificate(ctx, order)
	if err != nil {
		return nil, fmt.Errorf("acme: %w", err)
	}
	if len(chains) == 0 {
		return nil, errors.New("acme: the authority gave no certificate")
	}
	return &certmagic.IssuedCertificate{Certificate: chains[0].ChainPEM, Metadata: chains[0]}, nil
}

// exchange makes a client for one exchange; it caches the authority's nonces.
func (a *authority) exchange() *acmez.Client {
	solvers := map[string]acmez.Solver{}
	for _, c := range a.acme.Challenges {
		solvers[string(c)] = &a.answers
	}
	return &acmez.Client{
		Client: &acme.Client{
			Directory: a.acme.Directory, HTTPClient: a.client, UserAgent: "Posta",
			PollTimeout: obtainTimeout, Logger: a.log,
		},
		ChallengeSolvers: solvers,
	}
}

// account gives the account that our key has. Only the key is kept: newAccount
// with a known key gives the account that exists (RFC 8555 §7.3.1), and makes
// one again where an authority has forgotten us.
func (a *authority) account(ctx context.Context, c *acmez.Client) (acme.Account, error) {
	key, err := a.accountKey(ctx)
	if err != nil {
		return acme.Account{}, fmt.Errorf("acme: account key: %w", err)
	}
	var contact []string
	if a.acme.Email != "" {
		contact = []string{"mailto:" + a.acme.Email}
	}
	account, err := c.NewAccount(ctx, acme.Account{PrivateKey: key, Contact: contact, TermsOfServiceAgreed: true})
	if err != nil {
		return account, fmt.Errorf("acme: account: %w", err)
	}
	if !slices.Equal(account.Contact, contact) && contact != nil {
		account.Contact = contact
		if account, err = c.UpdateAccount(ctx, account); err != nil {
			return account, fmt.Errorf("acme: account's e-mail: %w", err)
		}
	}
	return account, nil
}

// accountKey gives the key of the account, made before the account so that a
// crash in between loses neither.
func (a *authority) accountKey(ctx context.Context) (crypto.Signer, error) {
	name := "accounts/" + a.IssuerKey() + "/account.key"
	text, err := a.storage.Load(ctx, name)
	if err == nil {
		return certmagic.PEMDecodePrivateKey(text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // ES256, which all must know (RFC 8555 §6.2)
	if err != nil {
		return nil, err
	}
	if text, err = certmagic.PEMEncodePrivateKey(key); err != nil {
		return nil, err
	}
	return key, a.storage.Store(ctx, name, text)
}

// stored gives the certificates kept from earlier, or nil if there are none.
func (a *authority) stored(ctx context.Context) *shown {
	s := &shown{byName: map[string]*tls.Certificate{}, source: ByACME}
	for _, n := range a.names() {
		pair, err := a.load(ctx, n)
		if err != nil {
			continue // there is none, or Run says what is wrong with it
		}
		s.byName[n] = pair
		if s.first == nil {
			s.first = pair
		}
	}
	if s.first == nil {
		return nil
	}
	return s
}

func (a *authority) load(ctx context.Context, name string) (*tls.Certificate, error) {
	cert, err := a.storage.Load(ctx, certmagic.StorageKeys.SiteCert(a.IssuerKey(), name))
	if err != nil {
		return nil, err
	}
	key, err := a.storage.Load(ctx, certmagic.StorageKeys.SitePrivateKey(a.IssuerKey(), name))
	if err != nil {
		return nil, err
	}
	return parsePair(cert, key)
}
