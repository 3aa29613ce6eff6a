package crashtest

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"posta/internal/config"
	"posta/internal/postatest"
)

// server is a running posta.
type server struct {
	*postatest.Server
	t testing.TB
}

// launch starts posta serve and does not wait; it is killed when the test ends.
// wrap stands before the command: strace, for example.
func launch(t testing.TB, cfg *config.Config, wrap []string, env ...string) *server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "posta.toml")
	text, err := cfg.Text()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{postatest.Launch(t, postatest.Options{Config: file, Wrap: wrap, Env: env}), t}
	t.Cleanup(s.Kill)
	return s
}

// start is launch that waits for the doors.
func start(t testing.TB, cfg *config.Config, env ...string) *server {
	t.Helper()
	s := launch(t, cfg, nil, env...)
	s.Await(t)
	return s
}

// awaitEnd waits for a death that a failpoint was to bring.
func (s *server) awaitEnd(atMost time.Duration) {
	s.t.Helper()
	s.AwaitEnd(s.t, atMost)
}

// stop ends it gently.
func (s *server) stop() {
	s.t.Helper()
	s.Stop(s.t)
}

func host(a string) string { h, _, _ := net.SplitHostPort(a); return h }
func port(a string) string { _, p, _ := net.SplitHostPort(a); return p }
