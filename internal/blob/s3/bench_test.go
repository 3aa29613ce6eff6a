package s3

import (
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"posta/internal/blob"
)

// nowhere is a service that says yes to everything at once: what remains is the
// cost of the store and its client.
type nowhere struct{}

func (nowhere) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Etag": {`"0"`}}, Body: io.NopCloser(strings.NewReader("")),
	}, nil
}

func BenchmarkPut12KiB(b *testing.B) {
	data := make([]byte, 12<<10)
	rec := blob.Record{ID: blob.NewID(time.Now()), SHA256: sha256.Sum256(data), Accept: make([]byte, 200), Body: blob.Bytes(data)}
	s := mustOpen(b, Config{Endpoint: "nowhere.example", Region: "us-east-1", Bucket: "mail", AccessKey: "posta", SecretKey: "open sesame", Transport: nowhere{}})
	b.Cleanup(func() { s.Close() })
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	b.SetParallelism(256) // enough to fill objects of 4 MiB
	b.RunParallel(func(pb *testing.PB) {
		recs := []blob.Record{rec}
		for pb.Next() {
			if _, err := s.Put(b.Context(), recs); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
