package crashtest

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"posta/internal/config"
)

// server is a running posta.
type server struct {
	t     testing.TB
	cmd   *exec.Cmd
	doors map[string]string
	log   *lines
	ended chan struct{} // the process is gone
}

// lines keeps the end of what a server says.
type lines struct {
	mu   sync.Mutex
	last []string
}

func (l *lines) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last = append(l.last, s); len(l.last) > 60 {
		l.last = l.last[1:]
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, "\n")
}

// launch starts posta serve; ready is closed when its doors are open, and says
// nothing if it dies before. wrap stands before the command: strace, for example.
func launch(t testing.TB, cfg *config.Config, wrap []string, env ...string) (s *server, ready chan struct{}) {
	t.Helper()
	program, err := posta()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "posta.toml")
	text, err := cfg.Text()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append(append([]string(nil), wrap...), program, "--config", file, "serve")
	s = &server{t: t, cmd: exec.Command(args[0], args[1:]...), log: &lines{}, ended: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), env...)
	out, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready = make(chan struct{})
	go func() {
		defer close(s.ended)
		s.read(out, ready)
		_ = s.cmd.Wait() // how it ended is the test's matter
	}()
	t.Cleanup(s.kill)
	return s, ready
}

// read follows the log until the process ends.
func (s *server) read(out io.Reader, ready chan struct{}) {
	in := bufio.NewScanner(out)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		s.log.add(in.Text())
		var line struct {
			Msg   string            `json:"msg"`
			Doors map[string]string `json:"doors"`
		}
		if json.Unmarshal(in.Bytes(), &line) == nil && line.Msg == "ready" && s.doors == nil {
			s.doors = line.Doors
			close(ready)
		}
	}
}

// start is launch that waits for the doors.
func start(t testing.TB, cfg *config.Config, env ...string) *server {
	t.Helper()
	s, ready := launch(t, cfg, nil, env...)
	s.await(ready)
	return s
}

func (s *server) await(ready chan struct{}) {
	s.t.Helper()
	select {
	case <-ready:
	case <-s.ended:
		s.t.Fatalf("the server ended before it was ready:\n%s", s.log)
	case <-time.After(60 * time.Second):
		s.t.Fatalf("the server is not ready:\n%s", s.log)
	}
}

// kill ends the process as a crash does and waits until it is gone.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may be dead already
	<-s.ended
}

func (s *server) dead() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// awaitEnd waits for a death that a failpoint was to bring.
func (s *server) awaitEnd(atMost time.Duration) {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(atMost):
		s.t.Errorf("the step was not reached:\n%s", s.log)
		s.kill()
	}
}

// stop ends it gently.
func (s *server) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Error(err)
	}
	select {
	case <-s.ended:
	case <-time.After(60 * time.Second):
		s.t.Errorf("the server does not stop:\n%s", s.log)
		s.kill()
	}
}

func host(a string) string { h, _, _ := net.SplitHostPort(a); return h }
func port(a string) string { _, p, _ := net.SplitHostPort(a); return p }
