package gather

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/blob"
)

func letter(size int) []blob.Record {
	return []blob.Record{{ID: blob.NewID(time.Now()), Body: blob.Bytes(make([]byte, size))}}
}

func alone(*blob.Record) (blob.Location, error) { return blob.Location{Unit: "alone"}, nil }

// place answers a batch: each Put gets the number of its batch as its unit.
func place(n int, batch []*Put, err error) {
	for _, p := range batch {
		if p.Take() {
			for _, i := range p.Small {
				p.Locs[i].Unit = fmt.Sprint(n)
			}
		}
	}
	Answer(batch, err)
}

// Who comes within the time of the first shares its batch; who comes later, or
// above a limit, has the next.
func TestBatches(t *testing.T) {
	type call struct {
		at   time.Duration
		size int
	}
	ms := time.Millisecond
	for _, c := range []struct {
		name   string
		limits Limits
		calls  []call
		want   []string // the unit of each call
	}{
		{"within the time", Limits{Solo: 9000, Bytes: 1 << 20, Wait: 20 * ms}, []call{{0, 10}, {5 * ms, 10}, {19 * ms, 10}, {21 * ms, 10}}, []string{"1", "1", "1", "2"}},
		{"until it is full", Limits{Solo: 9000, Bytes: 4000, Wait: 20 * ms}, []call{{0, 3000}, {1 * ms, 3000}, {2 * ms, 3000}}, []string{"1", "1", "2"}},
		{"by number", Limits{Solo: 9000, Bytes: 1 << 20, Records: 2, Wait: 20 * ms}, []call{{0, 10}, {1 * ms, 10}, {2 * ms, 10}}, []string{"1", "1", "2"}},
		{"a large one goes alone", Limits{Solo: 9000, Bytes: 1 << 20, Wait: 20 * ms}, []call{{0, 10}, {1 * ms, 9001}, {2 * ms, 10}}, []string{"1", "alone", "1"}},
		{"nobody is waited for", Limits{Solo: 9000, Bytes: 1 << 20}, []call{{0, 10}, {1 * ms, 10}}, []string{"1", "2"}},
		{"nor is who is not on his way", Limits{Solo: 9000, Bytes: 1 << 20, Linger: 20 * ms}, []call{{0, 10}, {1 * ms, 10}}, []string{"1", "2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New(c.limits)
				g.Go(func() {
					n := 0
					for batch := g.Next(); batch != nil; batch = g.Next() {
						n++
						place(n, batch, nil)
					}
				})
				var wg sync.WaitGroup
				for i, call := range c.calls {
					wg.Go(func() {
						time.Sleep(call.at)
						at, err := g.Put(t.Context(), letter(call.size), alone)
						if err != nil || at[0].Unit != c.want[i] {
							t.Errorf("call %d is in batch %v, %v; want %s", i, at, err, c.want[i])
						}
					})
				}
				wg.Wait()
				g.Close()
			})
		})
	}
}

// What waits while a batch is written shares the next, though nobody is waited for.
func TestBehindAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Limits{Solo: 9000, Bytes: 1 << 20})
		var sizes []int
		g.Go(func() {
			for batch := g.Next(); batch != nil; batch = g.Next() {
				sizes = append(sizes, len(batch))
				time.Sleep(time.Millisecond)
				place(len(sizes), batch, nil)
			}
		})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if i > 0 {
					time.Sleep(time.Microsecond) // the first is being written
				}
				if _, err := g.Put(t.Context(), letter(10), alone); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		g.Close()
		if fmt.Sprint(sizes) != "[1 7]" {
			t.Errorf("batches of %v, want [1 7]", sizes)
		}
	})
}

// An error of the batch is everybody's, a fault of one Put its own. Who goes away
// before his turn is not touched; from then on he waits for the end.
func TestOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Limits{Solo: 9000, Bytes: 1 << 20, Wait: 20 * time.Millisecond})
		broken, own := errors.New("the disk is broken"), errors.New("a fault of its own")
		g.Go(func() {
			batch := g.Next()
			var mine []*Put
			for _, p := range batch {
				if !p.Take() {
					continue
				}
				mine = append(mine, p)
				if p.Bytes() == batch[0].Bytes() {
					p.Err = own
				}
			}
			if len(batch) != 4 || len(mine) != 3 {
				t.Errorf("%d of %d may be touched, want 3 of 4", len(mine), len(batch))
			}
			time.Sleep(10 * time.Millisecond)
			Answer(batch, broken)
			for g.Next() != nil {
				t.Error("a Put after the gatherer was closed")
			}
		})
		put := func(after time.Duration, size int, patience time.Duration, want error) func() {
			return func() {
				time.Sleep(after)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if _, err := g.Put(ctx, letter(size), alone); !errors.Is(err, want) {
					t.Errorf("%d octets: %v, want %v", size, err, want)
				}
			}
		}
		var wg sync.WaitGroup
		wg.Go(put(0, 10, time.Second, own))
		wg.Go(put(time.Millisecond, 5000, time.Second, broken))
		wg.Go(put(time.Millisecond, 6000, 5*time.Millisecond, context.DeadlineExceeded)) // gone before the 20 ms are over
		wg.Go(put(time.Millisecond, 7000, 21*time.Millisecond, broken))                  // too late to go
		wg.Wait()
		g.Close()
		if _, err := g.Put(t.Context(), letter(10), alone); !errors.Is(err, blob.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if _, err := g.Put(t.Context(), letter(9001), alone); !errors.Is(err, blob.ErrClosed) {
			t.Errorf("a large one after Close: %v", err)
		}
	})
}
