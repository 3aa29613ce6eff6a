package pack

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/blob/blobtest"
	"posta/internal/durable"
)

// ctx: the stories run outside of any test's own context.
var ctx = context.Background()

// small makes packs and steps so small that a short script crosses every border.
func small() Config {
	return Config{PackBytes: 10 << 10, SoloBytes: 4 << 10, ReserveBytes: 2 << 10, Now: func() time.Time { return time.UnixMilli(1_700_000_000_000) }}
}

// story is a life of a store: Puts of all sizes, a compaction, a restart. It goes on after errors, and
// keeps the books of what was acknowledged.
type story struct {
	mu    sync.Mutex
	rows  map[blob.ID]blobtest.Item // what the metadata store holds: acknowledged, with location
	fails int
}

func (y *story) put(s blob.Store, rng *rand.Rand, size int) {
	it, rec := blobtest.Record(rng, size)
	locs, err := s.Put(ctx, []blob.Record{rec})
	y.mu.Lock()
	defer y.mu.Unlock()
	if err != nil {
		y.fails++
		return
	}
	it.At = locs[0]
	y.rows[it.ID] = it
}

func (y *story) moved(_ context.Context, moves []blob.Move) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, m := range moves {
		it := y.rows[m.ID]
		it.At = m.To
		y.rows[m.ID] = it
	}
	return nil
}

func (y *story) live(_ context.Context, entries []blob.Entry) ([]bool, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	alive := make([]bool, len(entries))
	for i, e := range entries {
		alive[i] = y.rows[e.ID].At == e.Location
	}
	return alive, nil
}

func (y *story) snapshot() []blobtest.Item {
	y.mu.Lock()
	defer y.mu.Unlock()
	var items []blobtest.Item
	for _, it := range y.rows {
		items = append(items, it)
	}
	return items
}

// puts is how many records the story puts.
const puts = 28

// tell runs the story on fsys. Without faults every step succeeds.
func (y *story) tell(fsys durable.FS, cfg Config) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 2 {
		s, err := Open(ctx, fsys, ".", cfg)
		if err != nil {
			y.fails++
			continue
		}
		for _, size := range []int{700, 0, 1500, 5000, 2500, 100} {
			y.put(s, rng, size)
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() { y.put(s, rand.New(rand.NewPCG(uint64(round), uint64(i))), 1000+i) })
		}
		wg.Wait()
		for _, size := range []int{2000, 3000, 3500} {
			y.put(s, rng, size)
		}
		units, _ := s.Units(ctx)
		for _, u := range units {
			if u.Sealed && s.Rewrite(ctx, u.Name, y.live, y.moved) != nil {
				y.fails++
			}
		}
		y.put(s, rng, 50)
		if s.Close() != nil {
			y.fails++
		}
	}
}

// mustHold opens what a crash left and demands every acknowledged record, twice, with writing between.
func mustHold(t *testing.T, after string, fsys *durable.Mem, items []blobtest.Item) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Log(after)
		}
	}()
	rng := rand.New(rand.NewPCG(9, 9))
	for range 2 {
		cfg := small()
		s, err := Open(ctx, fsys, ".", cfg)
		if err != nil {
			t.Fatalf("Open after a crash: %v", err)
		}
		for _, it := range items {
			blobtest.Check(t, s, it)
		}
		found := map[blob.ID]bool{}
		bad, err := s.Scan(ctx, func(e blob.Entry) error {
			found[e.ID] = true
			return nil
		})
		if err != nil || len(bad) > 0 {
			t.Fatalf("Scan: %v, %v", bad, err)
		}
		for _, it := range items {
			if !found[it.ID] {
				t.Fatalf("Scan does not find blob %v at %v", it.ID, it.At)
			}
		}
		items = append(items, blobtest.Put(t, s, rng, 1500))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// After a power cut before or after any operation, every Put that had returned is readable.
func TestPowerCutAnywhere(t *testing.T) {
	t.Parallel()
	mem := durable.NewMem()
	y := &story{rows: map[blob.ID]blobtest.Item{}}
	type cut struct {
		op    durable.Op
		disk  *durable.Mem
		items []blobtest.Item
	}
	var mu sync.Mutex
	var cuts []cut
	rng := rand.New(rand.NewPCG(5, 6))
	y.tell(durable.NewFaulty(mem, func(op durable.Op) error {
		if !op.Changes() {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		// The books first: what they hold was durable before the disk is looked at. A unit that has been
		// dropped is no longer in the books, since the move is committed before.
		items := y.snapshot()
		for range 2 {
			cuts = append(cuts, cut{op, mem.CrashClone(rng), items})
		}
		return nil
	}), small())
	if y.fails > 0 || len(y.rows) != puts {
		t.Fatalf("without faults: %d failures, %d rows", y.fails, len(y.rows))
	}
	for _, c := range cuts {
		mustHold(t, fmt.Sprintf("power cut before operation %d, %s %s", c.op.N, c.op.Kind, c.op.Name), c.disk, c.items)
	}
}

// The test above has teeth: without the sync, records are lost.
func TestPowerCutNeedsSync(t *testing.T) {
	t.Parallel()
	mem := durable.NewMem()
	cfg := small()
	cfg.unsyncedWrite = true
	s, err := Open(ctx, mem, ".", cfg)
	if err != nil {
		t.Fatal(err)
	}
	it := blobtest.Put(t, s, rand.New(rand.NewPCG(1, 1)), 3000)
	lost := 0
	rng := rand.New(rand.NewPCG(2, 2))
	for range 20 {
		after, err := Open(ctx, mem.CrashClone(rng), ".", small())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := blob.ReadAll(ctx, after, it.ID, it.At); err != nil {
			lost++
		}
		after.Close()
	}
	s.Close()
	if lost == 0 {
		t.Error("unsynced records survive every crash: CrashClone forgets nothing")
	}
}

// faults are the ways in which a disk fails, and the operations that fail so.
var faults = []struct {
	name  string
	err   error
	kinds []string // empty: all
}{
	{"EIO", syscall.EIO, nil},
	{"ENOSPC", syscall.ENOSPC, []string{"create", "rename", "write", "sync", "syncdir", "preallocate"}},
	{"short write", durable.ShortWrite{N: 700, Err: syscall.ENOSPC}, []string{"write"}},
}

// A disk that fails at any one operation, or for some while, loses nothing acknowledged; and the store goes
// on when the fault is over.
func TestFaultAnywhere(t *testing.T) {
	t.Parallel()
	for _, fault := range faults {
		for _, length := range []int64{1, 15} {
			t.Run(fmt.Sprintf("%s for %d", fault.name, length), func(t *testing.T) {
				t.Parallel()
				// Every operation for the single fault, every tenth start for the long one.
				for n := int64(1); oneFault(t, n, length, fault.err, fault.kinds); n += 1 + length/15*9 {
				}
			})
		}
	}
}

// oneFault lets the n-th to (n+length-1)-th operation of some kinds fail, and tells whether there were any.
func oneFault(t *testing.T, n, length int64, fault error, kinds []string) bool {
	t.Helper()
	mem := durable.NewMem()
	var mu sync.Mutex
	var failed []string
	var seen int64
	y := &story{rows: map[blob.ID]blobtest.Item{}}
	y.tell(durable.NewFaulty(mem, func(op durable.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if len(kinds) > 0 && !slices.Contains(kinds, op.Kind) {
			return nil
		}
		if seen++; seen < n || seen >= n+length {
			return nil
		}
		failed = append(failed, fmt.Sprintf("%d %s %s", op.N, op.Kind, op.Name))
		return fault
	}), small())
	if len(failed) == 0 {
		return false
	}
	items := y.snapshot()
	if len(items) < puts && y.fails == 0 {
		t.Fatalf("fault at %v: %d rows and no failure", failed, len(items))
	}
	disk := mem.CrashClone(rand.New(rand.NewPCG(uint64(n), uint64(length))))
	mustHold(t, fmt.Sprintf("faults at %v", failed), disk, items)
	return true
}

// A full disk refuses mail with ErrFull, leaves no litter, and mail flows again when there is space.
func TestFullDiskRecovers(t *testing.T) {
	t.Parallel()
	mem := durable.NewMem()
	full := false
	fsys := durable.NewFaulty(mem, func(op durable.Op) error {
		if full && (op.Kind == "preallocate" || op.Kind == "write") {
			return syscall.ENOSPC
		}
		return nil
	})
	s := mustOpen(t, fsys, small())
	defer s.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	before := blobtest.Put(t, s, rng, 1000)
	full = true
	for _, size := range []int{3000, 100, 5000} {
		_, rec := blobtest.Record(rng, size)
		for range 3 {
			if _, err := s.Put(ctx, []blob.Record{rec}); !errors.Is(err, blob.ErrFull) {
				t.Fatalf("Put of %d bytes on a full disk: %v", size, err)
			}
		}
	}
	blobtest.Check(t, s, before)
	full = false
	after := blobtest.Put(t, s, rng, 3000)
	blobtest.Check(t, s, before)
	blobtest.Check(t, s, after)
	if list, _ := mem.ReadDir("blobs"); len(list) != 2 {
		t.Errorf("the folder holds %v, want two packs", list)
	}
}

// A failed fsync is the end of a pack, and what it held before is checked.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	mem := durable.NewMem()
	fail := false
	fsys := durable.NewFaulty(mem, func(op durable.Op) error {
		if fail && op.Kind == "sync" {
			fail = false
			return syscall.EIO
		}
		return nil
	})
	cfg := small()
	cfg.Damaged = func(d blob.Damage) { t.Errorf("damage: %v", d) }
	s := mustOpen(t, fsys, cfg)
	rng := rand.New(rand.NewPCG(1, 1))
	first := blobtest.Put(t, s, rng, 1000)
	fail = true
	_, rec := blobtest.Record(rng, 1000)
	if _, err := s.Put(ctx, []blob.Record{rec}); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Put with a failing sync: %v", err)
	}
	second := blobtest.Put(t, s, rng, 1000)
	if first.At.Unit == second.At.Unit {
		t.Error("a pack was used after its sync had failed")
	}
	blobtest.Check(t, s, first)
	blobtest.Check(t, s, second)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
