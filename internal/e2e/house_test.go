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
	"bufio"
	"bytes"
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
	"sync"
	"syscall"
	"testing"
	"time"

	"posta/internal/certs"
)

// The two who live at empresa.test.
const (
	ana  = "ana@empresa.test"
	luis = "luis@empresa.test"
)

// luisPassword has what clients' configuration files tend to trip over.
const luisPassword = `con "espacio" y \barra`

var buildDir string

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "posta-e2e-"); err == nil {
		err = os.Chmod(buildDir, 0o755) // the program is run by others too
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	if err := os.RemoveAll(buildDir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(status)
}

// binary builds the program once, as it is released: without C.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "posta")
	c := exec.Command("go", "build", "-o", path, "posta/cmd/posta")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// house is one running server with what belongs to it.
type house struct {
	bin, dir string
	user     string            // whom the server becomes, when root runs the test
	config   string            // file
	ca       string            // PEM file of the authority that vouches for our certificate
	roots    *x509.CertPool    // the same
	doors    map[string]string // name → host:port, or path
	password map[string]string // by address
	dns      *nameServer

	cmd *exec.Cmd
	log *logBook
}

// newHouse sets a server up for ana and luis and starts it; extra is added to its
// configuration, and records to the zones of the world. It is stopped when the
// test ends, gently, and must then say that all went well.
func newHouse(t *testing.T, extra string, records ...string) *house {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{bin: bin, dir: publicDir(t), password: map[string]string{luis: luisPassword}}
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
		h.stop(t)
		if t.Failed() {
			t.Logf("the server's log:\n%s", h.log.String())
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
	pair, err := a.Issue("mail.empresa.test", "localhost", "127.0.0.1")
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
	c := exec.CommandContext(t.Context(), h.bin, append([]string{"--config", h.config, "--lang", "en"}, args...)...)
	c.Dir, c.Stdin = h.dir, strings.NewReader(stdin)
	if as != "" {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: credential(t, as)}
	}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out) + stderr.String(), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}

// start runs the server and waits until it is ready.
func (h *house) start(t *testing.T) {
	t.Helper()
	h.cmd = exec.Command(h.bin, "--config", h.config, "serve")
	h.cmd.Dir = h.dir
	stderr, err := h.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.log = &logBook{ready: make(chan map[string]string, 1), done: make(chan struct{})}
	go h.log.read(stderr)
	select {
	case h.doors = <-h.log.ready:
	case <-h.log.done:
		err := h.cmd.Wait()
		t.Fatalf("the server ended: %v\n%s", err, h.log.String())
	case <-time.After(30 * time.Second):
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
		t.Fatalf("the server is not ready after 30 s\n%s", h.log.String())
	}
	resp, err := http.Get("http://" + h.doors["http"] + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("/readyz: %s: %s", resp.Status, body)
	}
}

// stop ends the server as a service manager does.
func (h *house) stop(t *testing.T) {
	t.Helper()
	if h.cmd == nil {
		return
	}
	cmd := h.cmd
	h.cmd = nil
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	select {
	case <-h.log.done:
	case <-time.After(40 * time.Second): // longer than the server gives its sessions
		t.Error("the server did not stop within 40 s")
		_ = cmd.Process.Signal(syscall.SIGQUIT) // leaves its stacks in the log
		<-h.log.done
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server stopped with %v", err)
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

// logBook keeps what the server says.
type logBook struct {
	ready chan map[string]string // doors, once
	done  chan struct{}          // closed at the end of the log

	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) read(r io.Reader) {
	defer close(l.done)
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		l.mu.Lock()
		l.text.Write(append(s.Bytes(), '\n'))
		l.mu.Unlock()
		var entry struct {
			Msg   string
			Doors map[string]string
		}
		if json.Unmarshal(s.Bytes(), &entry) == nil && entry.Msg == "ready" {
			l.ready <- entry.Doors
		}
	}
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// peer finds a program of others.
func peer(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name+" is not installed")
	}
	return path
}

// missing ends a test that lacks what it talks to.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("POSTA_REQUIRE_PEERS") == "1" {
		t.Fatal("POSTA_REQUIRE_PEERS=1, but " + why)
	}
	t.Skip(why)
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
