package rescue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"posta/internal/app"
	"posta/internal/blob"
	"posta/internal/config"
	"posta/internal/durable"
	"posta/internal/mail"
	"posta/internal/rescue"
	"posta/internal/store"
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

// A backup is taken while fifty deliver and records are moved; restored, every
// message acknowledged before it began is there, and everything holds.
func TestBackupOfABusyHouse(t *testing.T) {
	t.Parallel()
	e := newEngines(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { busyBackup(t, e, k) })
	}
}

func busyBackup(t *testing.T, e *engines, k kind) {
	h := e.house(t, k)
	fill(t, h, 0, 200)
	var acked sync.Map // mail.ID → time of the reply
	var stop atomic.Bool
	var replies atomic.Int64
	var wg sync.WaitGroup
	for w := range 50 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				id, err := h.send(t.Context(), letter{from: "ana@empresa.test", to: []string{ours[w%3]}, text: text(1000*w+i, 2000)})
				if err != nil {
					t.Errorf("delivery beside a backup: %v", err)
					return
				}
				acked.Store(id, time.Now())
				replies.Add(1)
			}
		})
	}
	wg.Go(func() { h.moveAll(&stop) })
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
	r := e.restore(t, h, dir, k)
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

// moveAll compacts, as if every unit that is sealed and known to the rows were
// half dead, until it is told to stop: what a backup copies moves under it, and
// what has moved is to be removed.
func (h *house) moveAll(stop *atomic.Bool) {
	ctx := h.t.Context()
	gone := map[string]bool{}
	for ; !stop.Load(); time.Sleep(5 * time.Millisecond) {
		units, err := h.state.Blobs.Units(ctx)
		if err != nil {
			h.t.Errorf("compaction beside a backup: %v", err)
		}
		use, err := h.state.Store.UnitUse(ctx)
		if err != nil {
			h.t.Errorf("compaction beside a backup: %v", err)
		}
		moved := 0
		for _, u := range units {
			// A unit that no row knew yet may be that of an accept under way; one whose
			// records have moved away goes.
			if !u.Sealed || use[u.Name] == 0 && !gone[u.Name] || moved == 20 {
				continue
			}
			if err := h.state.Blobs.Rewrite(ctx, u.Name, h.alive, h.state.Store.MoveBlobs); err != nil && !errors.Is(err, blob.ErrNotFound) {
				h.t.Errorf("compaction beside a backup: %v", err)
			}
			gone[u.Name] = true
			moved++
		}
	}
}

// alive is blob.Live by the rows as they are.
func (h *house) alive(ctx context.Context, entries []blob.Entry) ([]bool, error) {
	out := make([]bool, len(entries))
	for i, e := range entries {
		ref, err := h.state.Store.BlobRef(ctx, e.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		out[i] = err == nil && ref.At == e.Location
	}
	return out, nil
}

// restore restores a backup into new places of a kind and opens what came of it.
func (e *engines) restore(t *testing.T, h *house, dir string, k kind) *house {
	t.Helper()
	cfg := *h.cfg
	cfg.Data = filepath.Join(t.TempDir(), "restored")
	e.place(t, &cfg, k)
	if _, err := rescue.Restore(t.Context(), dir, app.RestorePlaces(&cfg)); err != nil {
		t.Fatal(err)
	}
	return openHouse(t, &cfg)
}

// A backup of any kind of house is one of every kind.
func TestRestoreIntoEveryEngine(t *testing.T) {
	t.Parallel()
	e := newEngines(t)
	for _, from := range kinds {
		t.Run("from "+from.name, func(t *testing.T) {
			h := e.house(t, from)
			fill(t, h, 0, 30)
			mail, queue := h.contents(t.Context()), h.queued(t.Context())
			dir := filepath.Join(t.TempDir(), "backup")
			if _, err := h.state.House().Rescue.Backup(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			for _, to := range kinds {
				t.Run("into "+to.name, func(t *testing.T) {
					r := e.restore(t, h, dir, to)
					r.sound()
					if got := r.contents(t.Context()); !maps.Equal(got, mail) {
						t.Errorf("the mailboxes have %d messages, they had %d", len(got), len(mail))
					}
					if got := r.queued(t.Context()); !maps.Equal(got, queue) {
						t.Errorf("the queue has %d entries, it had %d", len(got), len(queue))
					}
					fill(t, r, 100, 20) // it goes on
					r.sound()
					_, err := rescue.Restore(t.Context(), dir, app.RestorePlaces(&config.Config{Data: filepath.Join(t.TempDir(), "again"), Store: r.cfg.Store, Blobs: r.cfg.Blobs}))
					if foreign := to.postgres || to.bucket; foreign != errors.Is(err, fs.ErrExist) {
						t.Errorf("a second restore into the same places: %v", err)
					}
				})
			}
		})
	}
}

// A message whose object is gone costs itself: the backup says that it is not in
// it, and all others are.
func TestBackupOfADamagedHouse(t *testing.T) {
	t.Parallel()
	e := newEngines(t)
	h := e.house(t, kinds[1])
	fill(t, h, 0, 30)
	var lost store.BlobRef
	all := 0
	if err := h.state.Store.EachBlob(t.Context(), func(r store.BlobRef) error { lost = r; all++; return nil }); err != nil {
		t.Fatal(err)
	}
	use := int64(0)
	if err := h.state.Store.EachBlob(t.Context(), func(r store.BlobRef) error {
		if r.At.Unit == lost.At.Unit {
			use++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, e.url+"/"+h.cfg.Blobs.S3.Bucket+"/blobs/"+lost.At.Unit, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil || answer.StatusCode/100 != 2 {
		t.Fatal(answer, err)
	}
	answer.Body.Close()
	dir := filepath.Join(t.TempDir(), "backup")
	saved, err := h.state.House().Rescue.Backup(t.Context(), dir)
	if err != nil || saved.Damaged != use || saved.Messages != int64(all) {
		t.Fatalf("%+v, %v; %d of %d messages are gone", saved, err, use, all)
	}
	v, err := rescue.VerifyBackup(t.Context(), dir, t.TempDir())
	if err != nil || int64(len(v.Breaches)) != use || v.Breaches[0].Invariant != "blob.missing" || v.Messages != int64(all)-use {
		t.Errorf("verify: %+v, %v", v, err)
	}
	for _, k := range kinds[:2] {
		if v := e.restore(t, h, dir, k).verify(); int64(len(v.Breaches)) != use || v.Messages != int64(all)-use {
			t.Errorf("restored into %s: %+v", k.name, v)
		}
	}
}

// Whatever the house is kept in: a backup that fails at a step is known as torn, or
// it is whole; the house takes no harm, and the next backup is whole.
func TestBackupFailsAtEachStep(t *testing.T) {
	t.Parallel()
	e := newEngines(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			h := e.house(t, k)
			fill(t, h, 0, 12)
			h.close()
			for _, point := range []string{"backup.snapshot", "backup.copy", "backup.manifest", "backup.done"} {
				fp, err := durable.ParseFailpoints(point + "=eio")
				if err != nil {
					t.Fatal(err)
				}
				st, err := app.OpenState(t.Context(), h.cfg, fp)
				if err != nil {
					t.Fatal(err)
				}
				dir := filepath.Join(t.TempDir(), "backup")
				if _, err := st.House().Rescue.Backup(t.Context(), dir); !errors.Is(err, syscall.EIO) {
					t.Errorf("%s: %v", point, err)
				}
				if err := st.Close(); err != nil {
					t.Fatal(err)
				}
				v, err := rescue.VerifyBackup(t.Context(), dir, t.TempDir())
				if whole := point == "backup.done"; whole && (err != nil || len(v.Breaches) > 0) || !whole && !errors.Is(err, rescue.ErrTorn) {
					t.Errorf("%s: the backup is %+v, %v", point, v, err)
				}
			}
			again := openHouse(t, h.cfg)
			again.sound()
			dir := filepath.Join(t.TempDir(), "backup")
			if _, err := again.state.House().Rescue.Backup(t.Context(), dir); err != nil {
				t.Error(err)
			}
			if v, err := rescue.VerifyBackup(t.Context(), dir, t.TempDir()); err != nil || len(v.Breaches) > 0 || v.Messages == 0 {
				t.Errorf("the next backup is %+v, %v", v, err)
			}
		})
	}
}

// An object that is compacted away while a backup waits for it stays until the
// backup has it, and goes then.
func TestBackupPinsObjects(t *testing.T) {
	t.Parallel()
	e := newEngines(t)
	h := e.house(t, kinds[1])
	fill(t, h, 0, 20)
	units := func() map[string]bool {
		t.Helper()
		list, err := h.state.Blobs.Units(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]bool{}
		for _, u := range list {
			out[u.Name] = true
		}
		return out
	}
	before := units()
	e.hold, e.holds = make(chan struct{}), 1
	ended := make(chan error, 1)
	dir := filepath.Join(t.TempDir(), "backup")
	go func() {
		saved, err := h.state.House().Rescue.Backup(t.Context(), dir)
		if err == nil && saved.Damaged > 0 {
			err = fmt.Errorf("%+v", saved)
		}
		ended <- err
	}()
	for e.waiting.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	for range 2 { // the second finds nothing alive
		for name := range before {
			if err := h.state.Blobs.Rewrite(t.Context(), name, h.alive, h.state.Store.MoveBlobs); err != nil {
				t.Error(err)
			}
		}
	}
	close(e.hold)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if v, err := rescue.VerifyBackup(t.Context(), dir, t.TempDir()); err != nil || len(v.Breaches) > 0 {
		t.Errorf("%+v, %v", v, err)
	}
	for name := range units() {
		if before[name] {
			t.Errorf("%s is still there", name)
		}
	}
	h.sound()
}

// While a backup runs at one node, no other begins one, and none may sweep.
func TestOneBackupAtATime(t *testing.T) {
	t.Parallel()
	e := newEngines(t)
	h := e.house(t, kinds[1])
	fill(t, h, 0, 6)
	runs := func() bool {
		t.Helper()
		is, err := rescue.BackupRuns(t.Context(), h.state.Store, "another node")
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	if runs() {
		t.Error("a backup runs before any was asked for")
	}
	e.hold, e.holds = make(chan struct{}), 1
	first := make(chan error, 1)
	dir := t.TempDir()
	go func() {
		_, err := h.state.House().Rescue.Backup(t.Context(), filepath.Join(dir, "first"))
		first <- err
	}()
	for e.waiting.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	if !runs() {
		t.Error("nobody knows that a backup runs")
	}
	if _, err := h.state.House().Rescue.Backup(t.Context(), filepath.Join(dir, "second")); !errors.Is(err, rescue.ErrRunning) {
		t.Errorf("a second backup meanwhile: %v", err)
	}
	close(e.hold)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if runs() {
		t.Error("a backup that has ended still runs")
	}
	// One that was killed before it had its lease leaves a job that nobody works on.
	if err := h.state.Store.AddJob(t.Context(), store.Job{Key: "backup", Kind: "backup"}); err != nil {
		t.Fatal(err)
	}
	if runs() {
		t.Error("what a dead backup has left is taken for a backup")
	}
	if jobs, err := h.state.Store.ListJobs(t.Context(), 0); err != nil || len(jobs) != 0 {
		t.Errorf("jobs %+v, %v", jobs, err)
	}
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
