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
	"sync"
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

	template sync.Once
}

// startPG starts Debian's PostgreSQL on a free port of loopback, as an
// unprivileged user when the test runs as root. Without it the test is skipped,
// unless POSTA_REQUIRE_PEERS=1 asks for it.
func startPG(t testing.TB) *pgServer {
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
	dir, err := os.MkdirTemp("/dev/shm", "posta-pg-") // in memory where there is such a place
	if err != nil {
		dir, err = os.MkdirTemp("", "posta-pg-")
	}
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
		"-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "deadlock_timeout=100ms",
		"-c", "autovacuum=off", "-c", "jit=off", "-c", "wal_level=minimal", "-c", "max_wal_senders=0")
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
		c, err := s.connect(context.Background())
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
func unprivileged(t testing.TB, dir string) *syscall.SysProcAttr {
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

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *pgServer) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("postgres://posta@127.0.0.1:%d/postgres?sslmode=disable", s.port))
}

func (s *pgServer) dsn(db string) string { return s.dsnAt(s.port, db) }

func (s *pgServer) dsnAt(port int, db string) string {
	return fmt.Sprintf("postgres://posta@127.0.0.1:%d/%s?sslmode=disable&pool_max_conns=8", port, db)
}

// newDB makes a database with an empty store and gives its name. All are copies
// of one: making the tables takes longer.
func (s *pgServer) newDB(t testing.TB) string {
	t.Helper()
	s.template.Do(func() {
		s.create(t, "empty", "template1")
		made, err := Open(t.Context(), Options{Postgres: s.dsn("empty")})
		if err != nil {
			t.Fatal(err)
		}
		if err := made.Close(); err != nil {
			t.Fatal(err)
		}
	})
	name := fmt.Sprint("t", s.dbs.Add(1))
	s.create(t, name, "empty")
	return name
}

func (s *pgServer) create(t testing.TB, name, template string) {
	t.Helper()
	c, err := s.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatal(err)
	}
}

// open opens a store on a database.
func (s *pgServer) open(t testing.TB, db string) *Store {
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
