package audit

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"posta/internal/authority"
	"posta/internal/finding"
	"posta/internal/probe"
	"posta/internal/resolver"
)

const (
	defaultTimeout = time.Minute
	webTime        = 15 * time.Second // for a handshake, and from a request to its answer
	lanes          = 2                // connections to one address and port at a time
)

// Target is what an audit is about.
type Target struct {
	Domain string       // in A-labels, lower-case, without final dot
	IPs    []netip.Addr // addresses that send its mail, where they are known; nil: those of its exchangers stand for them
	HELO   string       // what its servers say in HELO, where it is known; empty: each exchanger's name
	// SendOnly declares that the domain sends mail and wants none (S10).
	SendOnly bool
	// RDAP asks the registry about the domain's age, expiry and locks. It tells the registry that one is interested, so it is
	// off unless asked for.
	RDAP bool
	// Found are findings made elsewhere that belong into the report: of a message, of the running server.
	Found []finding.Finding
	Self  *Self // what only the house itself knows; nil for strangers
}

// Self is what a server knows of its own house.
type Self struct {
	Hostname  string       // what we say in EHLO and in our greeting
	IPs       []netip.Addr // our public addresses
	Domains   []string     // for which we take mail
	Resolvers []netip.Addr // that this host asks
	// Selectors are the DKIM keys that sign for the audited domain, by selector, each with the record that should be published.
	Selectors map[string]string
}

// Config is an audit's surroundings. Resolver and Authority are needed.
type Config struct {
	Resolver  resolver.Resolver
	Authority *authority.Client
	// Hello is the name that probes give in EHLO. Empty: the local host name, or an address literal.
	Hello string
	// Dial opens connections to mail servers. Nil: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	HTTP *http.Client     // for autoconfig, logos, RDAP. Nil: one of the audit's resolver and Dial, without redirects to other hosts
	Now  func() time.Time // Nil: time.Now
	// Roots vouch for certificates. Nil: the system's.
	Roots *x509.CertPool
	// Lanes bounds the connections to one address and port at a time; audits that run side by side may share one. Nil: two,
	// of this audit.
	Lanes *probe.Lanes
	// Registries is IANA's list of those who answer to RDAP; audits may share one. Nil: one of this audit.
	Registries *Registries
	// Timeout bounds the whole audit. Zero: one minute.
	Timeout time.Duration
}

// audit is one run: target, surroundings and the facts found so far. It is made by
// Run and ends with it; its evaluators run at the same time and share it.
type audit struct {
	Target
	cfg   Config
	facts facts

	certificates certificates // what exchangers show

	mu     sync.Mutex
	probes []string
}

// probed notes which probe was made, as the report tells it: "DNS: the servers of
// example.org, one by one".
func (a *audit) probed(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.probes, what) {
		a.probes = append(a.probes, what)
	}
}

// Run makes the audit of one target. It blocks until all evaluators are done or
// the time is over; what is not known by then could not be verified.
func Run(ctx context.Context, cfg Config, t Target) Report {
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Lanes == nil {
		cfg.Lanes = probe.NewLanes(lanes)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	a := &audit{Target: t, cfg: cfg}
	if cfg.HTTP == nil {
		a.cfg.HTTP = a.client()
		defer a.cfg.HTTP.CloseIdleConnections()
	}
	a.facts = a.gather(ctx)
	began := cfg.Now()
	all := a.evaluate(ctx)
	return a.report(began, all)
}

// client is that for the web: names are looked up and hosts dialled as all else of the
// audit is, so that one picture comes out, of the world that was asked about.
func (a *audit) client() *http.Client {
	return &http.Client{CheckRedirect: sameHost, Transport: &http.Transport{
		DialContext: a.dialName, TLSClientConfig: &tls.Config{RootCAs: a.cfg.Roots, Time: a.cfg.Now}, TLSHandshakeTimeout: webTime, ResponseHeaderTimeout: webTime,
		ForceAttemptHTTP2: true,
	}}
}

// evaluate runs the list side by side; the findings come in the order of the list.
func (a *audit) evaluate(ctx context.Context) []finding.Finding {
	rows := evaluators()
	found := make([][]finding.Finding, len(rows))
	var wg sync.WaitGroup
	for i, e := range rows {
		wg.Go(func() { found[i] = e.run(ctx, a) })
	}
	wg.Wait()
	out := slices.Concat(found...)
	joinPolicy(out)
	for _, f := range a.Found { // what both have seen is told once
		if !slices.ContainsFunc(out, func(x finding.Finding) bool {
			return x.Check == f.Check && x.Outcome == f.Outcome && x.Subject == f.Subject
		}) {
			out = append(out, f)
		}
	}
	return out
}

// connect opens a connection to one address, in a lane of it, which the connection's
// Close gives back. It waits for a lane.
func (a *audit) connect(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
	release, err := a.cfg.Lanes.Take(ctx, at)
	if err != nil {
		return nil, err
	}
	c, err := a.cfg.Dial(ctx, "tcp", at.String())
	if err != nil {
		release()
		return nil, err
	}
	return &lane{Conn: c, release: sync.OnceFunc(release)}, nil
}

// lane is a connection in a lane.
type lane struct {
	net.Conn
	release func()
}

func (l *lane) Close() error {
	defer l.release()
	return l.Conn.Close()
}

// sameHost follows redirects within a host only: what is asked of one name must not
// become a question to another.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > 3 || req.URL.Host != via[0].URL.Host {
		return http.ErrUseLastResponse
	}
	return nil
}
