package probe

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"posta/internal/postatest"
)

// chains are those whose problems people look up, each with the numbers that we give.
func chains(t testing.TB) (root *tls.Certificate, all map[string]shown) {
	root = certificate(t, nil, authority("A root"))
	other := certificate(t, nil, authority("Nobody's root"))
	between := certificate(t, root, authority("Between"))
	lost := certificate(t, other, authority("Between others"))
	good := func() *tls.Certificate { return certificate(t, between, nil) }
	return root, map[string]shown{
		"good":                     {[]*tls.Certificate{good(), between}, nil},
		"self-signed":              {[]*tls.Certificate{certificate(t, nil, nil)}, []int{SelfSigned}},
		"self-signed in the chain": {[]*tls.Certificate{certificate(t, lost, nil), lost, other}, []int{SelfSignedInChain}},
		"alone":                    {[]*tls.Certificate{good()}, []int{UnverifiableLeaf}},
		"no root":                  {[]*tls.Certificate{certificate(t, lost, nil), lost}, []int{NoLocalIssuer}},
		"expired":                  {[]*tls.Certificate{certificate(t, between, func(x *x509.Certificate) { x.NotAfter = now.AddDate(0, 0, -2) }), between}, []int{Expired}},
		"not yet":                  {[]*tls.Certificate{certificate(t, between, func(x *x509.Certificate) { x.NotBefore = now.AddDate(0, 0, 2) }), between}, []int{NotYetValid}},
		"another name":             {[]*tls.Certificate{certificate(t, between, func(x *x509.Certificate) { x.DNSNames = []string{"www.remota.test"} }), between}, []int{HostnameMismatch}},
		"not for servers": {[]*tls.Certificate{certificate(t, between, func(x *x509.Certificate) {
			x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
		}), between}, []int{WrongPurpose}},
		"self-signed, expired, another name": {[]*tls.Certificate{certificate(t, nil, func(x *x509.Certificate) {
			x.NotAfter, x.DNSNames = now.AddDate(0, 0, -2), []string{"www.remota.test"}
		})}, []int{SelfSigned, Expired, HostnameMismatch}},
	}
}

type shown struct {
	chain []*tls.Certificate
	want  []int
}

func codes(c *Certificate) (out []int) {
	for _, p := range c.Problems {
		out = append(out, p.Code)
	}
	return out
}

func TestProblems(t *testing.T) {
	root, all := chains(t)
	roots := x509.NewCertPool()
	roots.AddCert(root.Leaf)
	for what, s := range all {
		var chain []*x509.Certificate
		for _, c := range s.chain {
			chain = append(chain, c.Leaf)
		}
		c := inspect(chain, hostName, roots, now)
		if !slices.Equal(codes(&c), s.want) {
			t.Errorf("%s: %v, expected %v", what, codes(&c), s.want)
		}
		for _, p := range c.Problems {
			if p.Name == "" || !slices.Contains(ProblemCodes(), p.Code) {
				t.Errorf("%s: %d has no name", what, p.Code)
			}
		}
	}
	if c := inspect(nil, hostName, roots, now); len(c.Chain) != 0 {
		t.Errorf("of nothing: %v", c)
	}
}

// openssl s_client says the same number, and the same words, of each chain.
func TestSameAsOpenSSL(t *testing.T) {
	openssl := postatest.Peer(t, "openssl")
	root, all := chains(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Leaf.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, s := range all {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			said := verifyErrors(t, openssl, ca, s.chain)
			for _, code := range s.want {
				if name, ok := said[code]; !ok || name != problems()[code] {
					t.Errorf("OpenSSL says %v; we say %d (%s)", said, code, problems()[code])
				}
			}
			if len(s.want) == 0 && len(said) > 0 {
				t.Errorf("OpenSSL says %v", said)
			}
		})
	}
}

var verifyError = regexp.MustCompile(`(?m)^verify error:num=(\d+):(.*)$`)

// verifyErrors lets openssl s_client look at a server that shows the chain.
func verifyErrors(t *testing.T, openssl, ca string, chain []*tls.Certificate) map[int]string {
	t.Helper()
	shown := tls.Certificate{PrivateKey: chain[0].PrivateKey}
	for _, c := range chain {
		shown.Certificate = append(shown.Certificate, c.Certificate[0])
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{shown}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.(*tls.Conn).Handshake()
		_, _ = c.Read(make([]byte, 1))
	}()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	cmd := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", "127.0.0.1:"+port, "-servername", hostName, "-verify_hostname", hostName,
		"-CAfile", ca, "-no-CApath", "-attime", fmt.Sprint(now.Unix()), "-purpose", "sslserver")
	cmd.Stdin = strings.NewReader("Q\n")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run()
	l.Close()
	<-done
	said := map[int]string{}
	for _, m := range verifyError.FindAllStringSubmatch(out.String(), -1) {
		code, _ := strconv.Atoi(m[1])
		said[code] = m[2]
	}
	return said
}
