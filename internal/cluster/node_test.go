package cluster

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
)

// node is one process with its data folder.
type node struct {
	h      *house
	name   string
	config string            // file
	doors  map[string]string // of the running process

	cmd *exec.Cmd // nil while it does not run
	log *logBook
}

func (h *house) newNode(t testing.TB, name string) *node {
	t.Helper()
	dir := t.TempDir()
	n := &node{h: h, name: name, config: filepath.Join(dir, "posta.toml")}
	var b strings.Builder
	// Nobody but the tests' own user may go into its folders.
	fmt.Fprintf(&b, "hostname = \"%s.empresa.test\"\ndata = %q\nuser = \"root\"\n", name, filepath.Join(dir, "data"))
	fmt.Fprintf(&b, "[store]\npostgresql = %q\n", h.db)
	fmt.Fprintf(&b, "[blobs.s3]\nendpoint = %q\nbucket = %q\nregion = \"us-east-1\"\naccess_key = %q\nsecret_key = %q\n", h.bucket.url, bucketName, accessKey, secretKey)
	fmt.Fprintf(&b, "[dns]\nservers = [%q]\n[queue]\nsmart_host = \"[127.0.0.1]:%d\"\n", h.dns, h.sink.port)
	fmt.Fprintf(&b, "[log]\nformat = \"json\"\n[listen]\nsubmission = \"\"\nimap = \"\"\npop3s = \"\"\nhttp = \"\"\nhttps = \"\"\n")
	for _, door := range []string{"smtp", "submissions", "imaps"} {
		fmt.Fprintf(&b, "%s = \"127.0.0.1:0\"\n", door)
	}
	if err := os.WriteFile(n.config, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.stop(t)
		if t.Failed() && n.log != nil {
			t.Logf("the log of %s:\n%s", n.name, n.log.String())
		}
	})
	return n
}

// start runs the server and waits until it is ready. It is killed at failpoints
// such as "store.committed=kill:3".
func (n *node) start(t testing.TB, failpoints ...string) {
	t.Helper()
	cmd := exec.Command(n.h.bin, "--config", n.config, "serve")
	cmd.Env = append(os.Environ(), "POSTA_FAILPOINTS="+strings.Join(failpoints, ","))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.cmd, n.log = cmd, &logBook{ready: make(chan map[string]string, 1), done: make(chan struct{})}
	go n.log.read(stderr)
	select {
	case n.doors = <-n.log.ready:
	case <-n.log.done:
		n.cmd = nil
		t.Fatalf("node %s ended: %v\n%s", n.name, cmd.Wait(), n.log.String())
	case <-time.After(30 * time.Second):
		n.kill(t)
		t.Fatalf("node %s is not ready after 30 s\n%s", n.name, n.log.String())
	}
}

// kill ends the process as a power cut does.
func (n *node) kill(t testing.TB) {
	t.Helper()
	if err := n.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	n.died()
}

// died waits for the end of a process that was killed.
func (n *node) died() {
	<-n.log.done
	_ = n.cmd.Wait() // it says "killed"
	n.cmd = nil
}

// stop ends it as a service manager does.
func (n *node) stop(t testing.TB) {
	t.Helper()
	if n.cmd == nil {
		return
	}
	cmd := n.cmd
	n.cmd = nil
	select {
	case <-n.log.done:
		t.Errorf("node %s ended by itself: %v", n.name, cmd.Wait())
		return
	default:
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	select {
	case <-n.log.done:
	case <-time.After(40 * time.Second):
		t.Errorf("node %s did not stop within 40 s", n.name)
		_ = cmd.Process.Signal(syscall.SIGQUIT) // leaves its stacks in the log
		<-n.log.done
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("node %s stopped with %v", n.name, err)
	}
}

// posta gives a command at this node; it must succeed.
func (n *node) posta(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), n.h.bin, append([]string{"--config", n.config, "--lang", "en"}, args...)...)
	c.Stdin = strings.NewReader(stdin)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("posta %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// anyTLS takes the certificate that a node has signed itself.
func anyTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// login opens an IMAP session.
func (n *node) login(user string) (*imapclient.Client, error) {
	return n.loginWith(user, nil)
}

func (n *node) loginWith(user string, h *imapclient.UnilateralDataHandler) (*imapclient.Client, error) {
	c, err := imapclient.DialTLS(n.doors["imaps"], &imapclient.Options{TLSConfig: anyTLS(), UnilateralDataHandler: h})
	if err != nil {
		return nil, err
	}
	if err := c.Login(user, password).Wait(); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s on %s: %w", user, n.name, err)
	}
	return c, nil
}

// logBook keeps what a process says.
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
