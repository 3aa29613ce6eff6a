package pack

import (
	"crypto/sha256"
	"math/rand/v2"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/blob/blobtest"
	"posta/internal/durable"
)

// nowhere is a file system that keeps nothing: what remains is the cost of the store itself.
type nowhere struct{ durable.FS }

type voidFile struct{ durable.File }

func (n nowhere) Create(name string) (durable.File, error) {
	f, err := n.FS.Create(name)
	return voidFile{f}, err
}
func (voidFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (voidFile) Preallocate(int64) error                { return nil }
func (voidFile) Truncate(int64) error                   { return nil }
func (voidFile) Sync() error                            { return nil }

func BenchmarkPut12KiB(b *testing.B) {
	data := make([]byte, 12<<10)
	rec := blob.Record{ID: blob.NewID(time.Now()), SHA256: sha256.Sum256(data), Accept: make([]byte, 200), Body: blob.Bytes(data)}
	for name, fsys := range map[string]durable.FS{"no disk": nowhere{durable.NewMem()}, "disk": osFS(b)} {
		b.Run(name, func(b *testing.B) {
			s := mustOpen(b, fsys, Config{PackBytes: 1 << 30})
			b.Cleanup(func() { s.Close() })
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				recs := []blob.Record{rec}
				for pb.Next() {
					if _, err := s.Put(b.Context(), recs); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkOpen12KiB(b *testing.B) {
	s := mustOpen(b, osFS(b), Config{})
	defer s.Close()
	it := blobtest.Put(b, s, rand.New(rand.NewPCG(1, 1)), 12<<10)
	b.ReportAllocs()
	b.SetBytes(12 << 10)
	for b.Loop() {
		r, err := s.Open(b.Context(), it.ID, it.At)
		if err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}
