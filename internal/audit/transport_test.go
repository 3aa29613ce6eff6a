package audit

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"posta/internal/authority"
	"posta/internal/certs"
	"posta/internal/finding"
	"posta/internal/resolver"
)

// shore is a world of one exchanger, 203.0.113.25, and one policy host, 203.0.113.80.
type shore struct {
	ca    *certs.Authority
	addrs map[string]string // what is dialled → where it listens
}

// nowhere takes no mail.
type nowhere struct{}

func (nowhere) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return nowhere{}, nil }
func (nowhere) Mail(string, *gosmtp.MailOptions) error          { return gosmtp.ErrAuthRequired }
func (nowhere) Rcpt(string, *gosmtp.RcptOptions) error          { return gosmtp.ErrAuthRequired }
func (nowhere) Data(io.Reader) error                            { return gosmtp.ErrAuthRequired }
func (nowhere) Reset()                                          {}
func (nowhere) Logout() error                                   { return nil }

// newShore opens the servers. cert is the exchanger's certificate, nil: no STARTTLS; policy
// is what the policy host says.
func newShore(t *testing.T, ca *certs.Authority, cert *tls.Certificate, policy string) *shore {
	t.Helper()
	s := &shore{ca: ca, addrs: map[string]string{}}
	listen := func(as string) net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.addrs[as] = l.Addr().String()
		return l
	}
	mx := gosmtp.NewServer(nowhere{})
	mx.Domain, mx.ErrorLog = "mx.good.test", log.New(io.Discard, "", 0)
	if cert != nil {
		mx.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}}
	}
	web, err := ca.Issue("mta-sts.good.test")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, policy)
	})}
	lm, lw := listen("203.0.113.25:25"), listen("203.0.113.80:443")
	ended := make(chan struct{}, 2)
	go func() { mx.Serve(lm); ended <- struct{}{} }()
	go func() {
		srv.Serve(tls.NewListener(lw, &tls.Config{Certificates: []tls.Certificate{web}}))
		ended <- struct{}{}
	}()
	t.Cleanup(func() {
		mx.Close()
		lm.Close()
		srv.Close()
		<-ended
		<-ended
	})
	return s
}

func (s *shore) dial(ctx context.Context, network, address string) (net.Conn, error) {
	at, ok := s.addrs[address]
	if !ok {
		return nil, fmt.Errorf("nobody listens at %s", address)
	}
	return new(net.Dialer).DialContext(ctx, network, at)
}

// run has the evaluators of this page alone: the doors of doors.go take their time.
func (s *shore) run(t *testing.T, zone resolver.Static, self *Self) Report {
	t.Helper()
	a := &audit{Target: Target{Domain: "good.test", Self: self}, cfg: Config{
		Resolver: zone, Authority: authority.New(zone, authority.Config{Timeout: time.Millisecond}), Dial: s.dial, Roots: s.ca.Pool(), Now: time.Now,
	}}
	a.facts = a.gather(t.Context())
	var r Report
	for _, run := range []func(context.Context, *audit) []finding.Finding{transport, keysOfHosts, outbound, transportReports, authorities} {
		r.Findings = append(r.Findings, run(t.Context(), a)...)
	}
	return r
}

const enforced = "version: STSv1\r\nmode: enforce\r\nmx: mx.good.test\r\nmax_age: 2419200\r\n"

// Each fault of what protects the way to a domain is found, and only it.
func TestTransport(t *testing.T) {
	ca, err := certs.NewAuthority("Test", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string) *tls.Certificate {
		c, err := ca.Issue(name)
		if err != nil {
			t.Fatal(err)
		}
		return &c
	}
	right, wrong := issue("mx.good.test"), issue("other.test")
	leaf, err := x509.ParseCertificate(right.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprintf("%x", sha256.Sum256(leaf.RawSubjectPublicKeyInfo))
	top := fmt.Sprintf("%x", sha256.Sum256(ca.Certificate.RawSubjectPublicKeyInfo))
	other := strings.Repeat("ab", 32)
	const none = "" // a name without records
	for _, c := range []struct {
		what   string
		zone   resolver.Static
		cert   *tls.Certificate
		policy string
		want   string
	}{
		{"a good house", nil, right, enforced, ""},
		{"no MTA-STS", resolver.Static{"_mta-sts.good.test": {none}}, right, enforced, "mtasts.missing good.test"},
		{"two records", resolver.Static{"_mta-sts.good.test": {"TXT v=STSv1; id=1;", "TXT v=STSv1; id=2;"}}, right, enforced, "mtasts.record good.test"},
		{"DNS is silent", resolver.Static{"_mta-sts.good.test": {"FAIL timeout"}}, right, enforced, "mtasts.missing good.test ?\nmtasts.policy good.test ?\nmtasts.record good.test ?"},
		{"the policy is a web page", nil, right, "<html>", "mtasts.policy good.test"},
		{"nobody serves the policy", resolver.Static{"mta-sts.good.test": {"A 203.0.113.81"}}, right, enforced, "mtasts.policy good.test"},
		{"testing", nil, right, strings.Replace(enforced, "enforce", "testing", 1), "mtasts.mode good.test"},
		{"a short life", nil, right, strings.Replace(enforced, "2419200", "3600", 1), "mtasts.age good.test"},
		{"an exchanger that is not listed", nil, right, strings.Replace(enforced, "mx.good", "mx2.good", 1), "mtasts.hosts good.test"},
		{"a certificate of another name", resolver.Static{"_25._tcp.mx.good.test": {"SECURE"}}, wrong, enforced, "dane.missing mx.good.test\nmtasts.certificate mx.good.test (203.0.113.25)"},
		{"no STARTTLS", nil, nil, enforced, "dane.mismatch mx.good.test (203.0.113.25)\nmtasts.certificate mx.good.test (203.0.113.25)"},
		{"the exchanger does not answer", resolver.Static{"mx.good.test": {"SECURE", "A 203.0.113.26"}}, right, enforced, "dane.mismatch mx.good.test (203.0.113.26) ?\nmtasts.certificate mx.good.test (203.0.113.26) ?"},

		{"no TLSA in a signed zone", resolver.Static{"_25._tcp.mx.good.test": {"SECURE"}}, right, enforced, "dane.missing mx.good.test"},
		{"TLSA of another key", resolver.Static{"_25._tcp.mx.good.test": {"SECURE", "TLSA 3 1 1 " + other, "TLSA 3 1 1 " + top}}, right, enforced, "dane.mismatch mx.good.test (203.0.113.25)"},
		{"TLSA that cannot be looked up", resolver.Static{"_25._tcp.mx.good.test": {"FAIL servfail"}}, right, enforced, "dane.mismatch mx.good.test ?\ndane.missing mx.good.test ?"},
		{"TLSA in a zone that is not signed", resolver.Static{"mx.good.test": {"A 203.0.113.25"}}, right, enforced, "dane.unsigned mx.good.test"},
		{"a resolver that does not validate", resolver.Static{"mx.good.test": {"A 203.0.113.25"}, ".": {"SOA x"}}, right, enforced, "dane.missing mx.good.test ?"},
		{"a usage of the web", resolver.Static{"_25._tcp.mx.good.test": {"SECURE", "TLSA 3 1 1 " + key, "TLSA 3 1 1 " + other, "TLSA 1 1 1 " + key}}, right, enforced, "dane.unusable mx.good.test"},
		{"no key for the rollover", resolver.Static{"_25._tcp.mx.good.test": {"SECURE", "TLSA 3 1 1 " + key}}, right, enforced, "dane.rollover mx.good.test"},
		{"an authority alone", resolver.Static{"_25._tcp.mx.good.test": {"SECURE", "TLSA 2 1 1 " + top, "TLSA 2 1 1 " + other}}, right, enforced, "dane.authority mx.good.test"},
		{"too many TLSA", resolver.Static{"_25._tcp.mx.good.test": append([]string{"SECURE", "TLSA 3 1 1 " + key}, slicesOf(11, "TLSA 3 1 1 "+other)...)}, right, enforced, "dane.many mx.good.test"},

		{"no TLS reports", resolver.Static{"_smtp._tls.good.test": {none}}, right, enforced, "tlsrpt.missing good.test"},
		{"a TLSRPT record without rua", resolver.Static{"_smtp._tls.good.test": {"TXT v=TLSRPTv1;"}}, right, enforced, "tlsrpt.invalid good.test"},
		{"reports to nowhere", resolver.Static{"_smtp._tls.good.test": {"TXT v=TLSRPTv1; rua=mailto:a@gone.test"}}, right, enforced, "tlsrpt.invalid mailto:a@gone.test"},
		{"reports by FTP", resolver.Static{"_smtp._tls.good.test": {"TXT v=TLSRPTv1; rua=ftp://good.test"}}, right, enforced, "tlsrpt.invalid ftp://good.test"},

		{"no CAA", resolver.Static{"good.test": {"MX 10 mx.good.test"}}, right, enforced, "caa.missing good.test"},
		{"CAA without an issuer", resolver.Static{"good.test": {"MX 10 mx.good.test", `CAA 0 iodef "mailto:a@good.test"`}}, right, enforced, "caa.missing good.test"},
		{"CAA without an account", resolver.Static{"good.test": {"MX 10 mx.good.test", `CAA 0 issue "letsencrypt.org"`}}, right, enforced, "caa.unbound good.test"},
	} {
		t.Run(c.what, func(t *testing.T) {
			zone := resolver.Static{
				".":                     {"SECURE", "SOA x"},
				"good.test":             {"MX 10 mx.good.test", `CAA 0 issue "letsencrypt.org; accounturi=https://acme.test/1"`},
				"mx.good.test":          {"SECURE", "A 203.0.113.25"},
				"_25._tcp.mx.good.test": {"SECURE", "TLSA 3 1 1 " + key, "TLSA 3 1 1 " + other},
				"_mta-sts.good.test":    {"TXT v=STSv1; id=1;"},
				"mta-sts.good.test":     {"A 203.0.113.80"},
				"_smtp._tls.good.test":  {"TXT v=TLSRPTv1; rua=mailto:a@good.test,https://mta-sts.good.test/x"},
			}
			for k, v := range c.zone {
				zone[k] = v
			}
			r := newShore(t, ca, c.cert, c.policy).run(t, zone, nil)
			if got := strings.Join(outcomes(&r, "mtasts", "dane", "tlsrpt", "caa"), "\n"); got != c.want {
				t.Errorf("found\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func slicesOf(n int, s string) (out []string) {
	for range n {
		out = append(out, s)
	}
	return out
}

// A certificate that cannot be verified hardly matters at an exchanger, unless a policy
// is enforced: then its finding says so.
func TestEnforced(t *testing.T) {
	for mode, outcome := range map[string]finding.Outcome{"enforce": finding.Pass, "testing": finding.Fail} {
		found := []finding.Finding{finding.Of(finding.CertUnverified, finding.Fail, "mx.good.test", "names", "x"), finding.Of(finding.CertUnverified, finding.Pass, "mx2.good.test"),
			finding.Of(finding.MTASTSMode, outcome, "good.test", "mode", mode)}
		joinPolicy(found)
		if n := len(found[0].Evidence); (n == 2) != (mode == "enforce") || len(found[1].Evidence) != 0 {
			t.Errorf("%s: %v", mode, found)
		}
	}
}

// What only we know: whether our own mail can be protected by DANE.
func TestOutbound(t *testing.T) {
	ca, err := certs.NewAuthority("Test", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for zone, want := range map[string]string{"SECURE": "", "A 192.0.2.1": "tls.outbound mx.good.test", "FAIL timeout": "tls.outbound mx.good.test ?"} {
		r := newShore(t, ca, nil, "").run(t, resolver.Static{".": {zone, "SOA x"}, "good.test": {"MX 0 ."}}, &Self{Hostname: "mx.good.test"})
		if got := strings.Join(outcomes(&r, "tls"), "\n"); got != want {
			t.Errorf("%s: %q, want %q", zone, got, want)
		}
	}
}
