package rescue_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"posta/internal/app"
	"posta/internal/config"
	"posta/internal/mail"
	"posta/internal/rescue"
)

func copyInto(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A backup is taken while fifty deliver and packs are compacted; restored, every
// message acknowledged before it began is there, and everything holds.
func TestBackupOfABusyHouse(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	fill(t, h, 0, 200)
	var acked sync.Map // mail.ID → time of the reply
	var stop atomic.Bool
	var replies atomic.Int64
	var wg sync.WaitGroup
	for w := range 50 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				id, err := h.send(t.Context(), letter{"ana@empresa.test", []string{ours[w%3]}, text(1000*w+i, 2000)})
				if err != nil {
					t.Errorf("delivery beside a backup: %v", err)
					return
				}
				acked.Store(id, time.Now())
				replies.Add(1)
			}
		})
	}
	wg.Go(func() {
		for !stop.Load() {
			if err := app.Compact(t.Context(), h.state.Store, h.state.Blobs, time.Now().Add(2*time.Hour)); err != nil {
				t.Errorf("compaction beside a backup: %v", err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	for replies.Load() < 50 && !t.Failed() { // however busy the machine is
		time.Sleep(5 * time.Millisecond)
	}
	dir := filepath.Join(t.TempDir(), "backup")
	began := time.Now()
	saved, err := h.state.House().Rescue.Backup(t.Context(), dir)
	took := time.Since(began)
	time.Sleep(50 * time.Millisecond)
	stop.Store(true)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	h.sound()
	t.Logf("%+v in %v", saved, took)

	if v, err := rescue.VerifyBackup(t.Context(), dir, t.TempDir()); err != nil || len(v.Breaches) > 0 || v.Messages < saved.Messages {
		t.Errorf("verify: %+v, %v", v, err)
	}
	cfg := *h.cfg
	cfg.Data = filepath.Join(t.TempDir(), "restored")
	if _, err := rescue.Restore(t.Context(), dir, app.RestorePlaces(&cfg)); err != nil {
		t.Fatal(err)
	}
	r := openHouse(t, &cfg)
	r.sound()
	before, after := 0, 0
	acked.Range(func(id, at any) bool {
		there, err := r.state.Store.Accepted(t.Context(), id.(mail.ID))
		switch {
		case err != nil:
			t.Error(err)
		case at.(time.Time).Before(began) && !there:
			t.Errorf("%s was acknowledged %v before the backup began and is not in it", id, began.Sub(at.(time.Time)))
		case at.(time.Time).Before(began):
			before++
		case there:
			after++
		}
		return true
	})
	if before == 0 {
		t.Error("nothing was acknowledged before the backup: the test shows nothing")
	}
	t.Logf("%d acknowledged before, %d more that came meanwhile", before, after)
	r.contents(t.Context()) // reads every byte by the way of readers
}

func backedUp(t *testing.T) (h *house, dir string) {
	t.Helper()
	h = newHouse(t)
	fill(t, h, 0, 30)
	dir = filepath.Join(t.TempDir(), "backup")
	if _, err := h.state.House().Rescue.Backup(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return h, dir
}

// What is torn, changed or missing is recognised, each by its name.
func TestBackupDamage(t *testing.T) {
	t.Parallel()
	flip := func(name string, at int) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			files, err := filepath.Glob(filepath.Join(dir, name))
			if err != nil || len(files) == 0 {
				t.Fatal(name, err)
			}
			b, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			b[(at+len(b))%len(b)] ^= 1
			if err := os.WriteFile(files[0], b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		torn   bool
		breach string
	}{
		{"nothing", func(*testing.T, string) {}, false, ""},
		{"no manifest", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "manifest.json")) }, true, ""},
		{"manifest changed", func(t *testing.T, dir string) {
			name := filepath.Join(dir, "manifest.json")
			b, _ := os.ReadFile(name)
			b = bytes.Replace(b, []byte(`"messages": `), []byte(`"messages": 1`), 1)
			os.WriteFile(name, b, 0o600)
		}, true, ""},
		{"snapshot flipped", flip("posta.db", 5000), false, "backup.file"},
		{"pack flipped", flip("blobs/*", 3000), false, "blob.corrupt"},
		{"pack missing", func(t *testing.T, dir string) {
			files, _ := filepath.Glob(filepath.Join(dir, "blobs", "*"))
			os.Remove(files[0])
		}, false, "blob.missing"},
		{"snapshot missing", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "posta.db")) }, false, "backup.file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, dir := backedUp(t)
			h.close()
			c.damage(t, dir)
			v, err := rescue.VerifyBackup(t.Context(), dir, t.TempDir())
			if errors.Is(err, rescue.ErrTorn) != c.torn || !c.torn && err != nil {
				t.Fatalf("torn: %v, want %v", err, c.torn)
			}
			found := c.breach == "" && len(v.Breaches) == 0
			for _, b := range v.Breaches {
				found = found || b.Invariant == c.breach
			}
			if !found {
				t.Errorf("breaches %+v, want %q", v.Breaches, c.breach)
			}
			cfg := config.Default()
			cfg.Data = filepath.Join(t.TempDir(), "restored")
			_, err = rescue.Restore(t.Context(), dir, app.RestorePlaces(cfg))
			if damaged := c.torn || c.breach != ""; damaged != (err != nil) {
				t.Errorf("restore: %v", err)
			}
			if _, statErr := os.Stat(filepath.Join(cfg.Data, "meta")); (err == nil) != (statErr == nil) {
				t.Errorf("restore answered %v, and the metadata: %v", err, statErr)
			}
		})
	}
}

// Nothing is overwritten, neither by a backup nor by a restore; a restore that was
// broken off is taken up.
func TestBackupAndRestoreNeedRoom(t *testing.T) {
	t.Parallel()
	h, dir := backedUp(t)
	if _, err := h.state.House().Rescue.Backup(t.Context(), dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second backup into one folder: %v", err)
	}
	if _, err := rescue.Restore(t.Context(), dir, app.RestorePlaces(h.cfg)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a restore over a house: %v", err)
	}
	cfg := config.Default()
	cfg.Data = t.TempDir()
	if err := os.MkdirAll(filepath.Join(cfg.Data, "restore.tmp", "blobs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := rescue.Restore(t.Context(), dir, app.RestorePlaces(cfg)); err != nil {
		t.Fatal(err)
	}
	openHouse(t, cfg).sound()
}

// A copied pack that was open stays as it is in the backup, and what is verified
// is not changed.
func TestVerifyBackupChangesNothing(t *testing.T) {
	t.Parallel()
	_, dir := backedUp(t)
	tree := func() map[string]string {
		out := map[string]string{}
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(p)
			out[p] = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := tree()
	if v, err := rescue.VerifyBackup(t.Context(), dir, t.TempDir()); err != nil || len(v.Breaches) > 0 {
		t.Fatal(v, err)
	}
	after := tree()
	if len(after) != len(before) {
		t.Errorf("%d files became %d", len(before), len(after))
	}
	for name, b := range before {
		if after[name] != b {
			t.Errorf("%s was changed", name)
		}
	}
}
