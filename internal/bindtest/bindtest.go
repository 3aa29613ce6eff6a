// Package bindtest starts a DNS server for a test: Debian's BIND, on a free port of
// loopback, with one zone that a TSIG key may change, or one that is
// signed. It ends with the test.
//
// Without BIND a test is skipped, unless POSTA_REQUIRE_PEERS=1 asks for it.
package bindtest

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"posta/internal/postatest"
)

// The key that may change the zone, hmac-sha256; the secret is in base64.
const (
	Key    = "posta-test"
	Secret = "c2VjcmV0byBkZSBwcnVlYmEgcGFyYSBwb3N0YQ=="
)

// Server is a BIND that a test has started for itself.
type Server struct {
	At  netip.AddrPort // on loopback, UDP and TCP
	log string
}

// Start starts a server with one zone, whose file has the text, and waits until it
// answers.
func Start(t testing.TB, zone, text string) *Server {
	t.Helper()
	return serve(t, zone, text, fmt.Sprintf("key %[1]s { algorithm hmac-sha256; secret %[2]q; };\nzone %[3]q { type primary; file \"zone\"; allow-update { key %[1]s; }; };\n", Key, Secret, zone))
}

// serve starts a server whose folder has one zone file; zones is the end of its
// configuration.
func serve(t testing.TB, zone, text, zones string) *Server {
	t.Helper()
	program := "/usr/sbin/named" // not in everybody's path
	if _, err := os.Stat(program); err != nil {
		program = postatest.Peer(t, "named")
	}
	dir, port := t.TempDir(), postatest.FreePort(t)
	s := &Server{At: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)), log: filepath.Join(dir, "log")}
	for name, text := range map[string]string{"zone": text, "named.conf": fmt.Sprintf(`options {
	directory %[1]q; pid-file none; session-keyfile none; lock-file none;
	listen-on port %[2]d { 127.0.0.1; }; listen-on-v6 { none; };
	recursion no; notify no; dnssec-validation no; empty-zones-enable no;
};
controls { };
%[3]s`, dir, port, zones)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s.wait(t, zone)
	return s
}

// wait asks until the zone is served.
func (s *Server) wait(t testing.TB, zone string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		if r, err := s.ask(ctx, zone, "SOA"); err == nil && r.Authoritative {
			return
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(s.log)
			t.Fatalf("named does not answer:\n%s", text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ask asks as anybody would, without a key.
func (s *Server) ask(ctx context.Context, name, typ string) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.StringToType[typ])
	c := dns.Client{Net: "tcp", Timeout: 5 * time.Second}
	r, _, err := c.ExchangeContext(ctx, m, s.At.String())
	return r, err
}

// Shows gives the data of the records of a name, as anybody sees them, one a line.
func (s *Server) Shows(t testing.TB, name, typ string) string {
	t.Helper()
	r, err := s.ask(t.Context(), name, typ)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, rr := range r.Answer {
		out = append(out, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return strings.Join(out, "\n")
}
