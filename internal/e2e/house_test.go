// Package e2e lets programs that others wrote use the real binary: it is built,
// set up by its own commands, started as a service, spoken to by swaks, curl,
// mbsync, neomutt, fetchmail, getmail, Python and Postfix over sockets of
// loopback, and stopped by a signal. What is in the mailboxes afterwards is
// compared with what a person wrote down.
//
// A program that is not installed skips its test; with POSTA_REQUIRE_PEERS=1
// (.ci/run) it fails it.
package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"posta/internal/certs"
	"posta/internal/postatest"
)

// The two who live at empresa.test.
const (
	ana  = "ana@empresa.test"
	luis = "luis@empresa.test"
)

// luisPassword has what clients' configuration files tend to trip over.
const luisPassword = `con "espacio" y \barra`

func TestMain(m *testing.M) { os.Exit(postatest.Main(m)) }

// house is one running server with what belongs to it.
type house struct {
	bin, dir string            // the program, and where the server has its files
	user     string            // whom the server becomes, when root runs the test
	config   string            // file
	ca       string            // PEM file of the authority that vouches for our certificate
	roots    *x509.CertPool    // the same
	doors    map[string]string // name → host:port, or path
	password map[string]string // by address
	dns      *nameServer

	server *postatest.Server // nil while it does not run
}

// newHouse sets a server up for ana and luis and starts it; extra is added to its
// configuration, and records to the zones of the world. It is stopped when the
// test ends, gently, and must then say that all went well.
func newHouse(t *testing.T, extra string, records ...string) *house {
	t.Helper()
	h := &house{bin: postatest.Program(t), dir: publicDir(t), password: map[string]string{luis: luisPassword}}
	if os.Getuid() == 0 {
		h.user = "nobody"
		giveAway(t, h.dir, h.user)
	}
	h.config = filepath.Join(h.dir, "posta.toml")
	h.certificates(t)
	h.dns = newNameServer(t)
	h.settle(t)
	for _, r := range records {
		h.dns.publish(t, r)
	}
	if err := os.WriteFile(h.config, []byte(h.settings()+extra), 0o644); err != nil {
		t.Fatal(err)
	}
	h.start(t)
	t.Cleanup(func() {
		s := h.server
		h.stop(t)
		if t.Failed() && s != nil {
			t.Logf("the server's log:\n%s", s.Log())
		}
	})
	return h
}

// certificates makes an authority and our certificate, so that clients can verify
// as they do in the world.
func (h *house) certificates(t *testing.T) {
	t.Helper()
	a, err := certs.NewAuthority("Autoridad de pruebas", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := a.Issue("mail.empresa.test", "autoconfig.empresa.test", "localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	h.ca, h.roots = filepath.Join(h.dir, "ca.pem"), a.Pool()
	err = errors.Join(certs.WritePair(pair, filepath.Join(h.dir, "cert.pem"), filepath.Join(h.dir, "key.pem")),
		os.WriteFile(h.ca, a.PEM(), 0o644))
	if err != nil {
		t.Fatal(err)
	}
}

// settle makes domain and accounts as an administrator does: quickstart and
// commands. The records that quickstart asks for are published, and no others.
func (h *house) settle(t *testing.T) {
	t.Helper()
	var out struct {
		Address, Password string
		Records           []struct{ Name, Type, Value string }
	}
	text, status := h.try(t, h.user, "", "--data", h.path("data"), "--json", "quickstart", ana, "--ip", "127.0.0.1")
	if status != 0 {
		t.Fatalf("quickstart: exit status %d\n%s", status, text)
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("quickstart: %v\n%s", err, text)
	}
	if out.Address != ana || out.Password == "" {
		t.Fatalf("quickstart: %s", text)
	}
	h.password[ana] = out.Password
	for _, r := range out.Records {
		h.dns.publish(t, record(r.Name, r.Type, r.Value))
	}
	if err := os.WriteFile(h.config, []byte(h.settings()), 0o644); err != nil {
		t.Fatal(err)
	}
	h.posta(t, h.password[luis]+"\n", "account", "add", luis, "--password-file", "-")
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

// settings are posta.toml with every door open on a port that the kernel chooses.
func (h *house) settings() string {
	var b strings.Builder
	fmt.Fprintf(&b, "hostname = \"mail.empresa.test\"\ndata = %q\nuser = \"root\"\n", h.path("data"))
	fmt.Fprintf(&b, "[tls]\ncertificate = %q\nkey = %q\n", h.path("cert.pem"), h.path("key.pem"))
	fmt.Fprintf(&b, "[dns]\nservers = [%q]\n[log]\nformat = \"json\"\nlevel = \"debug\"\n[listen]\n", h.dns.addr)
	for _, door := range []string{"smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s", "http", "https"} {
		fmt.Fprintf(&b, "%s = \"127.0.0.1:0\"\n", door)
	}
	return b.String()
}

// posta gives a command and returns what it printed; it must succeed.
func (h *house) posta(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, status := h.try(t, "", stdin, args...)
	if status != 0 {
		t.Fatalf("posta %s: exit status %d\n%s", strings.Join(args, " "), status, out)
	}
	return out
}

// try is posta with its exit status, given as another user unless as is "".
func (h *house) try(t *testing.T, as, stdin string, args ...string) (string, int) {
	t.Helper()
	return postatest.Run(t, h.config, stdin, func(c *exec.Cmd) {
		c.Dir = h.dir
		if as != "" {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: credential(t, as)}
		}
	}, args...)
}

// start runs the server and waits until it is ready.
func (h *house) start(t *testing.T) {
	t.Helper()
	h.server = postatest.Start(t, postatest.Options{Config: h.config, Dir: h.dir})
	h.doors = h.server.Doors
	resp, err := http.Get("http://" + h.doors["http"] + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("/readyz: %s: %s", resp.Status, body)
	}
}

// stop ends the server, if it runs.
func (h *house) stop(t *testing.T) {
	t.Helper()
	if s := h.server; s != nil {
		h.server = nil
		s.Stop(t)
	}
}

// port is the number of a door's port.
func (h *house) port(t *testing.T, door string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(h.doors[door])
	if err != nil {
		t.Fatalf("door %q: %v", door, err)
	}
	return port
}

// tls is what a client of the tests trusts.
func (h *house) tls() *tls.Config {
	return &tls.Config{RootCAs: h.roots, ServerName: "mail.empresa.test"}
}

// program runs a peer with a home of its own and returns all that it printed,
// with its exit status; 60 s is its limit.
func (h *house) program(t *testing.T, stdin, name string, args ...string) (string, int) {
	t.Helper()
	home := h.path("home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), name, args...)
	limit := time.AfterFunc(60*time.Second, func() { _ = c.Process.Kill() })
	defer limit.Stop()
	c.Dir, c.Stdin = home, strings.NewReader(stdin)
	c.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "LANG=") || strings.HasPrefix(v, "LC_") || strings.HasPrefix(v, "HOME=")
	}), "HOME="+home, "LC_ALL=C.UTF-8", "TERM=dumb")
	c.WaitDelay = 5 * time.Second
	out, err := c.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out), 0
}

// mustProgram is program that must succeed.
func (h *house) mustProgram(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	out, status := h.program(t, stdin, name, args...)
	if status != 0 {
		t.Fatalf("%s %q: exit status %d\n%s", filepath.Base(name), args, status, out)
	}
	return out
}

// file writes a file of the house.
func (h *house) file(t *testing.T, name, text string) string {
	t.Helper()
	path := h.path(name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
