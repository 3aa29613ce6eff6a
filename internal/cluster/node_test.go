package cluster

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"

	"posta/internal/postatest"
)

// node is one process with its data folder.
type node struct {
	h      *house
	name   string
	config string            // file
	doors  map[string]string // of the running process

	server *postatest.Server // nil while it does not run
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
		s := n.server
		n.stop(t)
		if t.Failed() && s != nil {
			t.Logf("the log of %s:\n%s", n.name, s.Log())
		}
	})
	return n
}

// start runs the server and waits until it is ready. It is killed at failpoints
// such as "store.committed=kill:3".
func (n *node) start(t testing.TB, failpoints ...string) {
	t.Helper()
	n.server = postatest.Start(t, postatest.Options{Config: n.config, Env: []string{"POSTA_FAILPOINTS=" + strings.Join(failpoints, ",")}})
	n.doors = n.server.Doors
}

// kill ends the process as a power cut does.
func (n *node) kill() {
	n.server.Kill()
	n.server = nil
}

// died waits for the end of a process that was killed.
func (n *node) died() {
	<-n.server.Ended()
	n.server = nil
}

// stop ends it, if it runs.
func (n *node) stop(t testing.TB) {
	t.Helper()
	if s := n.server; s != nil {
		n.server = nil
		s.Stop(t)
	}
}

// posta gives a command at this node; it must succeed.
func (n *node) posta(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	out, status := postatest.Run(t, n.config, stdin, nil, args...)
	if status != 0 {
		t.Fatalf("posta %s: exit status %d\n%s", strings.Join(args, " "), status, out)
	}
	return out
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
