package rescue_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"posta/internal/config"
	"posta/internal/pgtest"
)

// engines gives houses of every kind: metadata in SQLite or PostgreSQL, bytes in
// packs or in a bucket.
type engines struct {
	pg  *pgtest.Server // nil where it is not installed
	url string         // of the S3 service
	n   int            // databases and buckets made
	new func(bucket string) error

	hold    chan struct{} // while not nil and open, the first holds GETs of objects wait
	holds   int64
	waiting atomic.Int64 // GETs that came while there was a hold
}

// kind is a combination of engines.
type kind struct {
	name     string
	postgres bool
	bucket   bool
}

var kinds = []kind{
	{"SQLite and packs", false, false},
	{"SQLite and S3", false, true},
	{"PostgreSQL and packs", true, false},
	{"PostgreSQL and S3", true, true},
}

func newEngines(t testing.TB) *engines {
	t.Helper()
	backend := s3mem.New()
	e := &engines{new: backend.CreateBucket}
	service := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hold := e.hold; hold != nil && r.Method == http.MethodGet && r.URL.RawQuery == "" {
			if e.waiting.Add(1) <= e.holds {
				<-hold
			}
		}
		service.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	e.url = server.URL
	if pgtest.Wanted() {
		e.pg = pgtest.Start(t)
	}
	return e
}

// place gives a configuration new, empty places of a kind.
func (e *engines) place(t testing.TB, cfg *config.Config, k kind) {
	t.Helper()
	cfg.Store.PostgreSQL, cfg.Blobs.S3 = "", nil
	e.n++
	if k.postgres {
		if e.pg == nil {
			t.Skip("PostgreSQL is not installed")
		}
		db := fmt.Sprint("house", e.n)
		e.pg.Create(t, db, "template1")
		cfg.Store.PostgreSQL = e.pg.URL(db)
	}
	if k.bucket {
		name := fmt.Sprint("house", e.n)
		if err := e.new(name); err != nil {
			t.Fatal(err)
		}
		cfg.Blobs.S3 = &config.S3{Endpoint: e.url, Bucket: name, Prefix: "blobs/", Region: "us-east-1", AccessKey: "posta", SecretKey: "open sesame"}
	}
}

// house makes a new house of a kind.
func (e *engines) house(t testing.TB, k kind) *house {
	t.Helper()
	return newHouseWith(t, func(cfg *config.Config) { e.place(t, cfg, k) })
}
