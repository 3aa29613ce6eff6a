package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"posta/internal/autoconf"
	"posta/internal/certs"
)

// clientTLS trusts the lab's authority.
func (w *auditWorld) clientTLS() *tls.Config {
	return &tls.Config{RootCAs: w.lab.ca.Pool(), MinVersion: tls.VersionTLS12}
}

// doorTLS is how a door speaks TLS, by its faults.
func (w *auditWorld) doorTLS(d *auditDoor) (*tls.Config, error) {
	now := w.lab.opt.Now()
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	var cert tls.Certificate
	var err error
	switch {
	case d.faults["self"]:
		cert, err = certs.SelfSigned(now, d.host)
	case d.faults["stranger"]:
		var other *certs.Authority
		if other, err = certs.NewAuthority("Otra", w.lab.opt.Now); err == nil {
			cert, err = other.Issue("otro." + d.host)
			cert.Certificate = cert.Certificate[:1] // without the authority's own
		}
	case d.faults["expired"]:
		cert, err = unlikely(d.host, now.AddDate(0, 0, -2), false, nil)
	case d.faults["soon"]:
		cert, err = unlikely(d.host, now.AddDate(0, 0, 5), false, nil)
	case d.faults["small"]:
		cert, err = unlikely(d.host, now.AddDate(0, 1, 0), true, nil)
	default: // one for all doors of the host
		var made bool
		if cert, made = w.certs[d.host]; !made {
			cert, err = w.lab.ca.Issue(d.host)
			w.certs[d.host] = cert
		}
	}
	cfg.Certificates = []tls.Certificate{cert}
	if d.faults["tls1.0"] {
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS12
		cfg.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	}
	return cfg, err
}

// unlikely makes a certificate as no authority does, signed by itself.
func unlikely(name string, until time.Time, small bool, usage asn1.ObjectIdentifier) (tls.Certificate, error) {
	var key crypto.Signer
	var err error
	if small {
		key, err = rsa.GenerateKey(rand.Reader, 1024)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	x := &x509.Certificate{
		SerialNumber: big.NewInt(until.Unix()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: until.AddDate(-1, 0, 0), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if usage != nil {
		x.ExtKeyUsage, x.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{usage}
	}
	der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

var filling = regexp.MustCompile(`\{(tlsa|pacc|days) ([^}]+)\}`)

// filled puts in what is made anew each time: {tlsa HOST} is the data of a TLSA record
// of a host's key, {pacc URL} the record that vouches for a page, {days N} the time in so
// many days.
func (w *auditWorld) filled(text string) (string, error) {
	var failed error
	out := filling.ReplaceAllStringFunc(text, func(s string) string {
		m := filling.FindStringSubmatch(s)
		switch m[1] {
		case "pacc":
			return autoconf.PACCRecord([]byte(w.pages[m[2]]))
		case "days":
			n, err := strconv.Atoi(m[2])
			failed = errors.Join(failed, err)
			return w.lab.opt.Now().AddDate(0, 0, n).UTC().Format(time.RFC3339)
		}
		for _, d := range w.doors {
			if d.host == m[2] {
				data, err := keyRecord(d.tls.Certificates[0].Certificate[0])
				failed = errors.Join(failed, err)
				return data
			}
		}
		failed = errors.Join(failed, fmt.Errorf("%s: there is no such door", m[2]))
		return s
	})
	return out, failed
}

// markUsage makes a certificate one of a brand's mark (BIMI).
var markUsage = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 31}

// servePages opens the HTTPS server of all pages. A page {mark DOMAIN} is a mark
// certificate.
// The certificate is of the name that is asked for, but of names that begin with
// "ajeno." of another.
func (w *auditWorld) servePages() error {
	l := w.lab
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.web = listener.Addr().String()
	issue := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		name := hello.ServerName
		if strings.Contains(name, "ajeno") {
			name = "otro.test"
		}
		c, err := l.ca.Issue(name)
		return &c, err
	}
	srv := &http.Server{ReadTimeout: time.Minute, Handler: http.HandlerFunc(w.page), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	l.group.Go(func() error {
		err := srv.Serve(tls.NewListener(listener, &tls.Config{GetCertificate: issue}))
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("pages of the audited world: %w", err)
	})
	l.group.Go(func() error {
		<-l.ctx.Done()
		return srv.Close()
	})
	return nil
}

func (w *auditWorld) page(rw http.ResponseWriter, r *http.Request) {
	text, ok := w.pages["https://"+r.Host+(&url.URL{Path: r.URL.Path}).String()]
	if !ok {
		http.NotFound(rw, r)
		return
	}
	if domain, isMark := strings.CutPrefix(text, "{mark "); isMark {
		domain, _, _ = strings.Cut(domain, "}")
		c, err := unlikely(domain, w.lab.opt.Now().AddDate(0, 6, 0), false, markUsage)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		text = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
	}
	rw.Header().Set("Content-Type", "text/plain")
	_, _ = rw.Write([]byte(text)) // the client went away: nothing to do
}
