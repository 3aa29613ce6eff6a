package pack

import (
	"errors"
	"fmt"
	"testing"

	"posta/internal/blob"
	"posta/internal/blob/blobtest"
	"posta/internal/blob/record"
	"posta/internal/durable"
)

func TestConformance(t *testing.T) {
	for name, fresh := range map[string]func(*testing.T) durable.FS{
		"mem": func(*testing.T) durable.FS { return durable.NewMem() },
		"os":  func(t *testing.T) durable.FS { return osFS(t) },
	} {
		for _, kind := range []record.Compression{record.None, record.Zstd} {
			if name == "os" && kind != record.None {
				continue // the rest is the codec's, which record tests
			}
			t.Run(fmt.Sprintf("%s %d", name, kind), func(t *testing.T) {
				blobtest.Run(t, func(t *testing.T) blobtest.Env {
					fsys := fresh(t)
					cfg := Config{SoloBytes: 1 << 20, PackBytes: 4 << 20, ReserveBytes: 256 << 10, OpenFiles: 2, Compression: kind}
					cfg.Damaged = func(d blob.Damage) { t.Errorf("damage: %v", d) }
					return blobtest.Env{SoloBytes: 1 << 20, Open: func(t testing.TB) blob.Store { return mustOpen(t, fsys, cfg) }}
				})
			})
		}
	}
}

func osFS(t testing.TB) *durable.OS {
	t.Helper()
	fsys, err := durable.OpenOS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fsys.Close() })
	return fsys
}

func mustOpen(t testing.TB, fsys durable.FS, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), fsys, "blobs", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	for name, fsys := range map[string]durable.FS{"mem": durable.NewMem(), "os": osFS(t)} {
		s := mustOpen(t, fsys, Config{})
		if _, err := Open(t.Context(), fsys, "blobs", Config{}); !errors.Is(err, durable.ErrLocked) {
			t.Errorf("%s: a second Open: %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := mustOpen(t, fsys, Config{}).Close(); err != nil {
			t.Fatal(err)
		}
	}
}
