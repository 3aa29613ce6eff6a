package audit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"posta/internal/authority"
	"posta/internal/autoconf"
	"posta/internal/certs"
	"posta/internal/resolver"
)

// website answers for names of good.test; what it answers a test changes.
type website struct {
	*httptest.Server
	roots *x509.CertPool
}

func newWebsite(t *testing.T, names []string, h http.Handler) *website {
	t.Helper()
	pair, err := certs.SelfSigned(time.Now(), names...)
	if err != nil {
		t.Fatal(err)
	}
	w := &website{Server: httptest.NewUnstartedServer(h), roots: x509.NewCertPool()}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	w.roots.AddCert(leaf)
	w.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	w.Config.ErrorLog = nil
	w.StartTLS()
	t.Cleanup(w.Close)
	return w
}

// What programs look for, where it is wrong, and where it cannot be said.
func TestPrograms(t *testing.T) {
	account := autoconf.Account{Domain: "good.test", Host: "mx.good.test", Doors: []autoconf.Door{
		{Protocol: autoconf.IMAP, Port: 993, Implicit: true}, {Protocol: autoconf.SMTP, Port: 465, Implicit: true},
	}}
	site := func() map[string]string {
		return map[string]string{
			"autoconfig.good.test" + autoconf.AutoconfigPath:     string(autoconf.Autoconfig(account)),
			"autodiscover.good.test" + autoconf.AutodiscoverPath: string(autoconf.Autodiscover(account)),
			"ua-auto-config.good.test" + autoconf.PACCPath:       string(autoconf.PACC(account)),
		}
	}
	zone := func() resolver.Static {
		return resolver.Static{
			"good.test": {"MX 10 mx.good.test"}, "mx.good.test": {"A 203.0.113.25"},
			"_imaps._tcp.good.test": {"SRV 0 1 993 mx.good.test."}, "_submissions._tcp.good.test": {"SRV 0 1 465 mx.good.test."},
			"_pop3s._tcp.good.test": {"SRV 0 0 0 ."},
			"autoconfig.good.test":  {"CNAME mx.good.test"}, "autodiscover.good.test": {"CNAME mx.good.test"}, "ua-auto-config.good.test": {"CNAME mx.good.test"},
			"_ua-auto-config.good.test": {"TXT " + autoconf.PACCRecord(autoconf.PACC(account))},
		}
	}
	for _, c := range []struct {
		what   string
		change func(z resolver.Static, s map[string]string)
		want   string
	}{
		{"all is well", func(resolver.Static, map[string]string) {}, ""},
		{"parked", func(z resolver.Static, _ map[string]string) { clear(z); z["good.test"] = []string{"MX 0 ."} }, ""},
		{"no SRV", func(z resolver.Static, _ map[string]string) {
			delete(z, "_imaps._tcp.good.test")
			delete(z, "_submissions._tcp.good.test")
		}, "auto.srv good.test"},
		{"SRV to read alone", func(z resolver.Static, _ map[string]string) { delete(z, "_submissions._tcp.good.test") }, "auto.srv good.test"},
		{"SRV to an alias", func(z resolver.Static, _ map[string]string) {
			z["_imaps._tcp.good.test"] = []string{"SRV 0 1 993 autoconfig.good.test."}
		}, "auto.target _imaps._tcp.good.test"},
		{"a port of another protocol", func(z resolver.Static, _ map[string]string) {
			z["_imaps._tcp.good.test"] = []string{"SRV 0 1 995 mx.good.test."}
		}, "auto.door _imaps._tcp.good.test"},
		{"tcp without its underscore", func(z resolver.Static, _ map[string]string) {
			z["_imap.tcp.good.test"] = []string{"SRV 0 1 143 mx.good.test."}
		}, "auto.srv good.test"},
		{"SRV to nothing", func(z resolver.Static, _ map[string]string) {
			z["_imaps._tcp.good.test"] = []string{"SRV 0 1 993 no.good.test."}
		}, "auto.target _imaps._tcp.good.test"},
		{"a closed port", func(z resolver.Static, _ map[string]string) {
			z["_imaps._tcp.good.test"] = []string{"SRV 0 1 994 mx.good.test."}
		}, "auto.door _imaps._tcp.good.test"},
		{"a certificate for another name", func(z resolver.Static, _ map[string]string) {
			z["_imaps._tcp.good.test"] = []string{"SRV 0 1 993 imap.good.test."}
			z["imap.good.test"] = []string{"A 203.0.113.25"}
		}, "auto.door _imaps._tcp.good.test"},
		{"a port that does not answer", func(z resolver.Static, _ map[string]string) {
			z["_imaps._tcp.good.test"] = []string{"SRV 0 1 999 mx.good.test."}
		}, "auto.door _imaps._tcp.good.test ?"},
		{"SRV is silent", func(z resolver.Static, _ map[string]string) {
			z["_imaps._tcp.good.test"] = []string{"SRV FAIL timeout"}
		}, "auto.srv good.test ?"},
		{"no autoconfig", func(z resolver.Static, _ map[string]string) { delete(z, "autoconfig.good.test") }, "auto.config good.test"},
		{"autoconfig without doors", func(_ resolver.Static, s map[string]string) {
			s["autoconfig.good.test"+autoconf.AutoconfigPath] = "<clientConfig/>"
		}, "auto.config good.test"},
		{"autoconfig's name is silent", func(z resolver.Static, _ map[string]string) {
			z["autoconfig.good.test"] = []string{"FAIL timeout"}
		}, "auto.config good.test ?"},
		{"a page in Autodiscover's place", func(_ resolver.Static, s map[string]string) {
			s["autodiscover.good.test"+autoconf.AutodiscoverPath] = "<html></html>"
		}, "auto.discover autodiscover.good.test"},
		{"no Autodiscover at all", func(z resolver.Static, _ map[string]string) { delete(z, "autodiscover.good.test") }, ""},
		{"PACC changed", func(_ resolver.Static, s map[string]string) {
			s["ua-auto-config.good.test"+autoconf.PACCPath] += " "
		}, "auto.pacc _ua-auto-config.good.test"},
		{"no PACC", func(z resolver.Static, _ map[string]string) { delete(z, "_ua-auto-config.good.test") }, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			z, s := zone(), site()
			c.change(z, s)
			w := newWebsite(t, []string{"mx.good.test", "autoconfig.good.test", "autodiscover.good.test", "ua-auto-config.good.test"},
				http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, ok := s[r.Host+r.URL.Path]
					if !ok {
						http.NotFound(w, r)
						return
					}
					w.Write([]byte(body))
				}))
			dial := func(ctx context.Context, network, address string) (net.Conn, error) {
				_, port, err := net.SplitHostPort(address)
				switch {
				case err != nil:
					return nil, err
				case port == "994":
					return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
				case port == "999" || port == "25":
					return nil, errors.New("i/o timeout")
				}
				return new(net.Dialer).DialContext(ctx, "tcp", w.Listener.Addr().String())
			}
			client := &http.Client{Transport: &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: w.roots}}}
			defer client.CloseIdleConnections()
			// The evaluator alone: the doors of the exchangers are another's matter.
			a := &audit{Target: Target{Domain: "good.test"}, cfg: Config{
				Resolver: z, Authority: authority.New(z, authority.Config{Timeout: time.Millisecond}), Dial: dial, HTTP: client,
			}}
			a.facts = a.gather(t.Context())
			r := Report{Findings: programs(t.Context(), a)}
			if got := strings.Join(outcomes(&r, "auto"), "\n"); got != c.want {
				t.Errorf("found\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
