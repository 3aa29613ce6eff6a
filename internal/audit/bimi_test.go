package audit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"posta/internal/authority"
	"posta/internal/resolver"
)

const logo = `<svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" viewBox="0 0 64 64"><title>Empresa</title><circle cx="32" cy="32" r="30"/></svg>`

// Each fault of BIMI is found where it is published.
func TestBIMI(t *testing.T) {
	now := time.Now()
	pages := map[string]string{
		"/good.svg": logo, "/good.pem": markCert(t, "good.test", now.Add(time.Hour), markUsage), "/old.pem": markCert(t, "good.test", now.Add(-time.Hour), markUsage),
		"/other.pem": markCert(t, "other.test", now.Add(time.Hour), markUsage), "/tls.pem": markCert(t, "good.test", now.Add(time.Hour), nil), "/no.pem": "hello",
		"/script.svg": strings.Replace(logo, "<circle", `<script>x()</script><circle onclick="y()"`, 1), "/wide.svg": strings.Replace(logo, "0 0 64 64", "0 0 64 32", 1),
		"/plain.svg": strings.Replace(logo, ` baseProfile="tiny-ps"`, "", 1), "/large.svg": logo + strings.Repeat(" ", maxLogo), "/html.svg": "<html>",
	}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write([]byte(p))
	}))
	defer srv.Close()
	at := func(l, a string) []string { return []string{"TXT v=BIMI1; l=" + srv.URL + l + "; a=" + srv.URL + a} }
	for _, tc := range []struct {
		what, dmarc string
		record      []string
		want        string
	}{
		{"not published", "p=none", nil, ""},
		{"declined", "p=none", []string{"TXT v=BIMI1; l=; a="}, ""},
		{"good", "p=quarantine", at("/good.svg", "/good.pem"), ""},
		{"without enforcement", "p=none", at("/good.svg", "/good.pem"), "bimi.policy good.test"},
		{"in test", "p=reject; t=y", at("/good.svg", "/good.pem"), "bimi.policy good.test"},
		{"twice", "p=reject", append(at("/good.svg", "/good.pem"), at("/good.svg", "/x.pem")...), "bimi.record good.test"},
		{"http", "p=reject", []string{"TXT v=BIMI1; l=http://good.test/x.svg"}, "bimi.record good.test"},
		{"no certificate", "p=reject", []string{"TXT v=BIMI1; l=" + srv.URL + "/good.svg"}, "bimi.certificate good.test"},
		{"expired", "p=reject", at("/good.svg", "/old.pem"), "bimi.certificate good.test"},
		{"of another domain", "p=reject", at("/good.svg", "/other.pem"), "bimi.certificate good.test"},
		{"a certificate of web servers", "p=reject", at("/good.svg", "/tls.pem"), "bimi.certificate good.test"},
		{"no certificate in it", "p=reject", at("/good.svg", "/no.pem"), "bimi.certificate good.test"},
		{"not there", "p=reject", at("/none.svg", "/none.pem"), "bimi.certificate good.test\nbimi.logo good.test"},
		{"scripts", "p=reject", at("/script.svg", "/good.pem"), "bimi.logo good.test"},
		{"not square", "p=reject", at("/wide.svg", "/good.pem"), "bimi.logo good.test"},
		{"not tiny-ps", "p=reject", at("/plain.svg", "/good.pem"), "bimi.logo good.test"},
		{"too large", "p=reject", at("/large.svg", "/good.pem"), "bimi.logo good.test"},
		{"a page", "p=reject", at("/html.svg", "/good.pem"), "bimi.logo good.test"},
		{"nobody there", "p=reject", []string{"TXT v=BIMI1; l=https://127.0.0.1:1/x.svg; a=https://127.0.0.1:1/x.pem"}, "bimi.certificate good.test ?\nbimi.logo good.test ?"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			dns := resolver.Static{"good.test": {"MX 10 mx.good.test"}, "mx.good.test": {"A 203.0.113.25"},
				"_dmarc.good.test": {"TXT v=DMARC1; rua=mailto:d@good.test; " + tc.dmarc}, "default._bimi.good.test": tc.record}
			r := Run(t.Context(), Config{Resolver: dns, Authority: authority.New(dns, authority.Config{Timeout: time.Millisecond}), HTTP: srv.Client(), Dial: noDoors}, Target{Domain: "good.test"})
			if got := strings.Join(outcomes(&r, "bimi"), "\n"); got != tc.want {
				t.Errorf("found\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func markCert(t *testing.T, domain string, until time.Time, usage asn1.ObjectIdentifier) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: domain}, DNSNames: []string{domain}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until}
	if usage != nil {
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{usage}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// Whatever a picture is, it is looked at in bounded time, and a good one is good.
func FuzzLogo(f *testing.F) {
	f.Add([]byte(logo))
	f.Add([]byte(`<!DOCTYPE x [<!ENTITY a "b">]><svg>&a;</svg>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		faults := svgFaults(b)
		if len(faults) > 10 {
			t.Fatalf("%d faults", len(faults))
		}
		if len(faults) == 0 && !strings.Contains(string(b), "tiny-ps") {
			t.Fatalf("%q is taken", b)
		}
	})
}

// A chain from strangers never makes more than the faults of its first certificate.
func FuzzMark(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if faults, _ := markFaults(b, "good.test", time.Unix(0, 0)); len(faults) == 0 {
			t.Fatal("a certificate of nobody is taken")
		}
	})
}
