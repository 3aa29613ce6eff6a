package probe

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// now is the time of all certificates and probes here.
var now = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

const hostName = "mx.remota.test"

// house is a scripted server: what it answers, by how a command begins. The longest
// beginning counts. An answer may have several lines; "close" hangs up.
type house struct {
	greeting string
	answers  map[string]string
	secure   map[string]string // these go before, under TLS
	tls      *tls.Config       // nil: there is none
	implicit bool
	keeps    bool // executes what stood behind STARTTLS (CVE-2011-0411)
	start    string

	mu          sync.Mutex
	connections int
	heard       []string // all commands, in order
}

// config leads all connections of a probe to the house, which serves until the test ends.
func (h *house) config(t testing.TB) Config {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.connections++
			h.mu.Unlock()
			wg.Go(func() { h.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return Config{
		Hello: "probe.example.org", Now: func() time.Time { return now }, Roots: x509.NewCertPool(),
		Timeouts: Timeouts{Pause: -1, Greeting: 5 * time.Second, Command: 5 * time.Second, Whole: 20 * time.Second},
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		},
	}
}

func (h *house) serve(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	secure := false
	if h.implicit {
		t := tls.Server(c, h.tls)
		if t.Handshake() != nil {
			return
		}
		c, secure = t, true
	}
	io.WriteString(c, h.greeting)
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		h.mu.Lock()
		h.heard = append(h.heard, line)
		h.mu.Unlock()
		answer := h.answer(line, secure)
		if answer == "close" {
			return
		}
		io.WriteString(c, answer)
		if line == h.start && h.tls != nil {
			rest := ""
			if in.Buffered() > 0 {
				b, _ := in.Peek(in.Buffered())
				rest = string(b)
			}
			t := tls.Server(c, h.tls)
			if t.Handshake() != nil {
				return
			}
			c, secure = t, true
			if !h.keeps {
				rest = ""
			}
			in = bufio.NewReader(io.MultiReader(strings.NewReader(rest), c))
		}
	}
}

func (h *house) answer(line string, secure bool) string {
	best, out := -1, "500 5.5.1 what?\r\n"
	for _, m := range []map[string]string{h.answers, h.secure} {
		for begin, answer := range m {
			if strings.HasPrefix(line, begin) && len(begin) >= best && (secure || m["under TLS"] == "") {
				best, out = len(begin), answer
			}
		}
	}
	return strings.ReplaceAll(out, "\n", "\r\n")
}

// goodSMTP is a server without fault; change what a test is about.
func goodSMTP(t testing.TB) *house {
	return &house{
		greeting: "220 " + hostName + " ESMTP\r\n", start: "STARTTLS", tls: serverTLS(t),
		answers: map[string]string{
			"EHLO":                  "250-" + hostName + "\n250-PIPELINING\n250-SIZE 50000000\n250-8BITMIME\n250-ENHANCEDSTATUSCODES\n250 STARTTLS\n",
			"HELP":                  "214 2.0.0 RFC 5321\n",
			"VRFY":                  "252 2.1.5 send some mail\n",
			"EXPN":                  "502 5.5.1 not here\n",
			"STARTTLS":              "220 2.0.0 go ahead\n",
			"MAIL":                  "250 2.1.0 ok\n",
			"RCPT":                  "554 5.7.1 relay access denied\n",
			"RCPT TO:<postmaster>":  "250 2.1.5 ok\n",
			"RCPT TO:<postmaster@r": "250 2.1.5 ok\n",
			"RCPT TO:<abuse@r":      "250 2.1.5 ok\n",
			"RCPT TO:<posta-probe-": "550 5.1.1 nobody\n",
			"RSET":                  "250 2.0.0 ok\n",
			"QUIT":                  "221 2.0.0 bye\n",
		},
		secure: map[string]string{
			"under TLS": "500 5.5.1 what?\n",
			"EHLO":      "250-" + hostName + "\n250-PIPELINING\n250-SIZE 50000000\n250-8BITMIME\n250-ENHANCEDSTATUSCODES\n250 REQUIRETLS\n",
		},
	}
}

func target(implicit bool) Target {
	return Target{Host: hostName, Addr: netip.MustParseAddrPort("192.0.2.25:25"), Implicit: implicit}
}

// certificate makes one signed by parent, or by itself.
func certificate(t testing.TB, parent *tls.Certificate, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	x := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: hostName}, DNSNames: []string{hostName},
		NotBefore: now.AddDate(0, -1, 0), NotAfter: now.AddDate(0, 2, 0), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(x)
	}
	signer, by := any(key), x
	if parent != nil {
		signer, by = parent.PrivateKey, parent.Leaf
	}
	der, err := x509.CreateCertificate(rand.Reader, x, by, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// authority makes certificates of those who may sign.
func authority(name string) func(*x509.Certificate) {
	return func(x *x509.Certificate) {
		x.Subject, x.DNSNames, x.ExtKeyUsage = pkix.Name{CommonName: name}, nil, nil
		x.IsCA, x.BasicConstraintsValid, x.KeyUsage = true, true, x509.KeyUsageCertSign
	}
}

func serverTLS(t testing.TB) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{*certificate(t, nil, nil)}, Time: func() time.Time { return now }}
}
