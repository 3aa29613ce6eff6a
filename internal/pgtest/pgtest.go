// Package pgtest starts a PostgreSQL for a test: Debian's own, on a free port of
// loopback, with its files in memory where there is such a place, as an
// unprivileged user when the test runs as root. It ends with the test.
//
// Without PostgreSQL a test is skipped, unless POSTA_REQUIRE_PEERS=1 asks for it.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"posta/internal/postatest"
)

// Server is a PostgreSQL that a test has started for itself.
type Server struct {
	Port int // of 127.0.0.1

	bin, dir string
	attr     *syscall.SysProcAttr
	cmd      *exec.Cmd // the running server
}

// Start starts a server and waits until it answers.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{Port: postatest.FreePort(t), bin: programs(t), dir: folder(t)}
	s.attr = unprivileged(t, s.dir)
	if out, err := s.command("initdb", "-D", s.dir+"/data", "-U", "posta", "-A", "trust", "-E", "UTF8", "-N").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	t.Cleanup(func() { s.Stop(t) })
	s.Restart(t)
	return s
}

// Restart starts the server again after Stop, and waits until it answers.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(s.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd = s.command("postgres", "-D", s.dir+"/data", "-k", s.dir, "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port),
		"-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "deadlock_timeout=100ms",
		"-c", "autovacuum=off", "-c", "jit=off", "-c", "wal_level=minimal", "-c", "max_wal_senders=0")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		c, err := s.Connect(context.Background(), "postgres")
		if err == nil {
			_ = c.Close(context.Background())
			return
		}
		if time.Since(start) > 20*time.Second {
			text, _ := os.ReadFile(s.dir + "/log")
			t.Fatalf("postgres does not answer: %v\n%s", err, text)
		}
	}
}

// Stop ends the server without a shutdown, as a crash does: every client's
// connection breaks, what was committed is kept. A server that does not run stays
// so.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGQUIT) // PostgreSQL's "immediate shutdown"
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Wanted tells whether Start would not skip the test: for tests of which only a
// part needs a server.
func Wanted() bool { return len(installed()) > 0 || os.Getenv("POSTA_REQUIRE_PEERS") == "1" }

func installed() []string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	return found
}

// programs finds the newest PostgreSQL of the machine.
func programs(t testing.TB) string {
	t.Helper()
	found := installed()
	if len(found) == 0 {
		if os.Getenv("POSTA_REQUIRE_PEERS") == "1" {
			t.Fatal("POSTA_REQUIRE_PEERS=1, but there is no /usr/lib/postgresql/*/bin/initdb")
		}
		t.Skip("PostgreSQL is not installed")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1])
}

func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "posta-pg-")
	if err != nil {
		dir, err = os.MkdirTemp("", "posta-pg-")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// unprivileged gives the folder to a user who may run PostgreSQL.
func unprivileged(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	if err := errors.Join(uerr, gerr, os.Chown(dir, uid, gid)); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir, c.SysProcAttr = s.dir, s.attr
	c.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	return c
}

// URL is where a database is.
func (s *Server) URL(db string) string {
	return fmt.Sprintf("postgres://posta@127.0.0.1:%d/%s?sslmode=disable", s.Port, db)
}

// Connect opens a connection that the caller closes.
func (s *Server) Connect(ctx context.Context, db string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, s.URL(db))
}

// Create makes a database as a copy of another; of "template1" it is empty.
func (s *Server) Create(t testing.TB, name, template string) {
	t.Helper()
	c, err := s.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatal(err)
	}
}
