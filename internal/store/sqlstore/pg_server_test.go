package sqlstore

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"posta/internal/pgtest"
)

// pgServer is a PostgreSQL that a test has started for itself.
type pgServer struct {
	*pgtest.Server
	dbs      atomic.Int64
	template sync.Once
}

func startPG(t testing.TB) *pgServer {
	t.Helper()
	return &pgServer{Server: pgtest.Start(t)}
}

func (s *pgServer) dsn(db string) string { return s.dsnAt(s.Port, db) }

func (s *pgServer) dsnAt(port int, db string) string {
	return fmt.Sprintf("postgres://posta@127.0.0.1:%d/%s?sslmode=disable&pool_max_conns=8", port, db)
}

// newDB makes a database with an empty store and gives its name. All are copies
// of one: making the tables takes longer.
func (s *pgServer) newDB(t testing.TB) string {
	t.Helper()
	s.template.Do(func() {
		s.Create(t, "empty", "template1")
		made, err := Open(t.Context(), Options{Postgres: s.dsn("empty")})
		if err != nil {
			t.Fatal(err)
		}
		if err := made.Close(); err != nil {
			t.Fatal(err)
		}
	})
	name := fmt.Sprint("t", s.dbs.Add(1))
	s.Create(t, name, "empty")
	return name
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
