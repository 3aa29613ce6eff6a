// Package postatest builds the program as it is released and runs it as a process
// for tests: started with a configuration, waited for until its doors are open,
// stopped as a service manager does or killed as a crash does.
//
// A package whose tests use it calls Main from its TestMain.
package postatest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
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
)

// build is the program of this process of tests.
type build struct {
	once      sync.Once
	dir, path string
	err       error
}

var program build

// Main runs the tests and removes the program that they built.
func Main(m *testing.M) int {
	defer func() {
		if program.dir != "" {
			os.RemoveAll(program.dir)
		}
	}()
	return m.Run()
}

// Program is the path of the program. It is built once, without C; anybody may
// run it.
func Program(t testing.TB) string {
	t.Helper()
	program.once.Do(func() { program.err = program.make() })
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}

func (b *build) make() error {
	var err error
	if b.dir, err = os.MkdirTemp("", "posta-test-"); err != nil {
		return err
	}
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	b.path = filepath.Join(b.dir, "posta")
	c := exec.Command("go", "build", "-o", b.path, "posta/cmd/posta")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// Run gives one command and returns its output, what it said of errors behind it,
// and its exit status. Config is the file that it reads; c may set how it runs,
// and may be nil.
func Run(t testing.TB, config, stdin string, c func(*exec.Cmd), args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Program(t), append([]string{"--config", config, "--lang", "en"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	if c != nil {
		c(cmd)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out) + stderr.String(), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}

// Options are how a server is started.
type Options struct {
	Config string   // posta.toml; its log must be JSON, and its level not above info
	Dir    string   // where the process is; "": where the test is
	Wrap   []string // stands before the command: strace, for example
	Env    []string // besides the test's own
}

// Server is posta serve, a running or ended process.
type Server struct {
	Doors map[string]string // name → host:port, or path; once it is ready

	cmd   *exec.Cmd
	ready chan struct{}
	ended chan struct{}
	err   error // of Wait, once it has ended

	mu  sync.Mutex
	log []string // its last lines
}

// maxLog is how many lines of a server's log are kept.
const maxLog = 2000

// Launch starts a server and does not wait. Who launches it ends it.
func Launch(t testing.TB, o Options) *Server {
	t.Helper()
	args := append(append([]string(nil), o.Wrap...), Program(t), "--config", o.Config, "serve")
	s := &Server{cmd: exec.Command(args[0], args[1:]...), ready: make(chan struct{}), ended: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env = o.Dir, append(os.Environ(), o.Env...)
	out, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		defer close(s.ended)
		s.read(out)
		s.err = s.cmd.Wait()
	}()
	return s
}

// Start is Launch, and waits until the doors are open.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := Launch(t, o)
	s.Await(t)
	return s
}

// read follows the log until the process ends.
func (s *Server) read(out io.Reader) {
	in := bufio.NewScanner(out)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		s.note(in.Text())
		var entry struct {
			Msg   string
			Doors map[string]string
		}
		if json.Unmarshal(in.Bytes(), &entry) == nil && entry.Msg == "ready" && s.Doors == nil {
			s.Doors = entry.Doors
			close(s.ready)
		}
	}
	_, _ = io.Copy(io.Discard, out) // a line without end must not hold the process up
}

func (s *Server) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log = append(s.log, line); len(s.log) > maxLog {
		s.log = s.log[len(s.log)-maxLog/2:]
	}
}

// Log is what the server said last.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.log, "\n")
}

// Pid is the process id; that of the wrapper, if there is one.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Ready is closed when the doors are open; never, if the server dies before.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Ended is closed when the process is gone.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// Dead reports whether the process is gone.
func (s *Server) Dead() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// Await waits until the doors are open.
func (s *Server) Await(t testing.TB) {
	t.Helper()
	select {
	case <-s.ready:
	case <-s.ended:
		t.Fatalf("the server ended before it was ready: %v\n%s", s.err, s.Log())
	case <-time.After(60 * time.Second):
		s.Kill()
		t.Fatalf("the server is not ready after 60 s\n%s", s.Log())
	}
}

// Kill ends the process as a crash does and waits until it is gone.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may be dead already
	<-s.ended
}

// AwaitEnd waits for a death that a failpoint is to bring.
func (s *Server) AwaitEnd(t testing.TB, atMost time.Duration) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(atMost):
		t.Errorf("the step was not reached:\n%s", s.Log())
		s.Kill()
	}
}

// Stop ends it as a service manager does; it must then say that all went well, and
// must not have ended by itself.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.Dead() {
		t.Errorf("the server ended by itself: %v\n%s", s.err, s.Log())
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	select {
	case <-s.ended:
	case <-time.After(60 * time.Second): // longer than the server gives its sessions
		t.Error("the server did not stop within 60 s")
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // leaves its stacks in the log
		<-s.ended
		t.Log(s.Log())
	}
	if s.err != nil {
		t.Errorf("the server stopped with %v", s.err)
	}
}

// Peer finds a program that others wrote.
func Peer(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		Missing(t, name+" is not installed")
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Missing ends a test that lacks what it needs: it is passed over, or fails with
// POSTA_REQUIRE_PEERS=1 (.ci/run).
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("POSTA_REQUIRE_PEERS") == "1" {
		t.Fatal("POSTA_REQUIRE_PEERS=1, but " + why)
	}
	t.Skip(why)
}
