package cluster

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

const (
	bucketName = "mail"
	accessKey  = "posta"
	secretKey  = "open sesame"
)

// bucket is an S3 service in memory that answers 503 when told to.
type bucket struct {
	url     string
	down    atomic.Bool
	refused atomic.Int64 // requests answered 503
}

func newBucket(t testing.TB) *bucket {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(bucketName); err != nil {
		t.Fatal(err)
	}
	service := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	b := &bucket{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !b.down.Load() {
			service.ServeHTTP(w, r)
			return
		}
		b.refused.Add(1)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>ServiceUnavailable</Code></Error>`)
	}))
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}
