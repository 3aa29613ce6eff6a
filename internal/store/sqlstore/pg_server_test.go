package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// pgServer is a PostgreSQL that a test has started for itself.
type pgServer struct {
	port int
	dbs  atomic.Int64
}

// startPG starts Debian's PostgreSQL on a free port of loopback, as an
// unprivileged user when the test runs as root. Without it the test is skipped,
// unless POSTA_REQUIRE_PEERS=1 asks for it.
func startPG(t *testing.T) *pgServer {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		if os.Getenv("POSTA_REQUIRE_PEERS") == "1" {
			t.Fatal("POSTA_REQUIRE_PEERS=1, but there is no /usr/lib/postgresql/*/bin/initdb")
		}
		t.Skip("PostgreSQL is not installed")
	}
	slices.Sort(found)
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("", "posta-pg-") // short: a socket's path has 107 octets at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	attr := unprivileged(t, dir)
	run := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), args...)
		c.Dir, c.SysProcAttr = dir, attr
		c.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
		return c
	}
	if out, err := run("initdb", "-D", dir+"/data", "-U", "posta", "-A", "trust", "-E", "UTF8", "-N").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s := &pgServer{port: freePort(t)}
	server := run("postgres", "-D", dir+"/data", "-k", dir, "-h", "127.0.0.1", "-p", strconv.Itoa(s.port),
		"-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "deadlock_timeout=100ms")
	log, err := os.Create(dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = server.Wait()
		_ = log.Close()
	})
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		c, err := pgx.Connect(context.Background(), s.dsn("postgres"))
		if err == nil {
			_ = c.Close(context.Background())
			return s
		}
		if time.Since(start) > 20*time.Second {
			text, _ := os.ReadFile(dir + "/log")
			t.Fatalf("postgres does not answer: %v\n%s", err, text)
		}
	}
}

// unprivileged gives the folder to a user who may run PostgreSQL.
func unprivileged(t *testing.T, dir string) *syscall.SysProcAttr {
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

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *pgServer) dsn(db string) string { return s.dsnAt(s.port, db) }

func (s *pgServer) dsnAt(port int, db string) string {
	return fmt.Sprintf("postgres://posta@127.0.0.1:%d/%s?sslmode=disable", port, db)
}

// newDB makes an empty database and gives its name.
func (s *pgServer) newDB(t *testing.T) string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.dsn("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	name := fmt.Sprint("t", s.dbs.Add(1))
	if _, err := c.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return name
}

// open opens a store on a database.
func (s *pgServer) open(t *testing.T, db string) *Store {
	t.Helper()
	return mustOpen(t, Options{Postgres: s.dsn(db)})
}

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := openStore(t, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}
