package access_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"posta/internal/access"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

func openStore(t testing.TB) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func change(t testing.TB, s store.Access, put []store.AccessEntry, gone ...string) {
	t.Helper()
	err := s.ChangeAccess(t.Context(), func(tx store.AccessTx) (store.Audit, error) {
		return store.Audit{Command: "access.edit"}, errors.Join(tx.Put(put...), tx.Delete(gone...))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func entryOf(key, value string) store.AccessEntry {
	return store.AccessEntry{Key: key, Value: value}
}

// counting counts the rows that are read.
type counting struct {
	store.Access
	rows int
}

func (c *counting) AccessSince(ctx context.Context, change int64, limit int) ([]store.AccessEntry, error) {
	out, err := c.Access.AccessSince(ctx, change, limit)
	c.rows += len(out)
	return out, err
}

func (c *counting) ListAccess(ctx context.Context, after string, limit int) ([]store.AccessEntry, error) {
	out, err := c.Access.ListAccess(ctx, after, limit)
	c.rows += len(out)
	return out, err
}

// A node reads the map once, then only what changed; when what was removed is
// forgotten it begins again.
func TestFollow(t *testing.T) {
	s := openStore(t)
	for at := 0; at < 5000; at += 500 {
		var put []store.AccessEntry
		for i := range 500 {
			put = append(put, entryOf(fmt.Sprintf("From:d%04d.example", at+i), "REJECT"))
		}
		change(t, s, put)
	}
	src := &counting{Access: s}
	f := access.Follow(src)
	now := time.Now()
	if f.Loaded() || f.At(now).Len() != 0 {
		t.Error("it is read before anybody asked")
	}
	refresh := func(want, rows int) {
		t.Helper()
		src.rows = 0
		if err := f.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := f.At(now).Len(); got != want || src.rows != rows {
			t.Errorf("%d entries, %d rows read; want %d, %d", got, src.rows, want, rows)
		}
	}
	refresh(5000, 5000)
	refresh(5000, 0)
	change(t, s, []store.AccessEntry{entryOf("From:new.example", "OK"), entryOf("From:d0001.example", "OK")}, "From:d0002.example")
	refresh(5000, 3)
	change(t, s, nil, "From:d0003.example")
	if err := s.SweepAccess(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	refresh(4999, 4999)
	k, _ := access.ParseKey("From:d0001.example")
	if v, ok := f.At(now).Get(k); !ok || v.Action != access.OK {
		t.Errorf("d0001: %v", v)
	}
}

// An entry ends at its time, without a look at the store; one whose end was taken
// away stays.
func TestFollowEnds(t *testing.T) {
	s := openStore(t)
	now := time.Now()
	f := access.Follow(s)
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	put := func(key string, minutes int) {
		e := entryOf(key, "RELAY")
		if minutes > 0 {
			e.Until = at(minutes)
		}
		change(t, s, []store.AccessEntry{e})
	}
	put("Connect:192.0.2.1", 10)
	put("Connect:192.0.2.2", 20)
	put("Connect:192.0.2.3", 0)
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]int{{0, 3}, {9, 3}, {10, 2}, {10, 2}} {
		if n := f.At(at(c[0])).Len(); n != c[1] {
			t.Errorf("after %d minutes: %d entries, want %d", c[0], n, c[1])
		}
	}
	put("Connect:192.0.2.2", 0)
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := f.At(at(60)).Len(); n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
}

// A million entries come in as an import sends them, while a node follows; and are
// read at a start.
func BenchmarkImport(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		s := openStore(b)
		f := access.Follow(s)
		if err := f.Refresh(b.Context()); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		for at := 0; at < n; at += store.MaxAccessStep {
			put := make([]store.AccessEntry, store.MaxAccessStep)
			for i := range put {
				put[i] = entryOf(fmt.Sprintf("From:d%07d.example", at+i), "REJECT")
			}
			change(b, s, put)
			if err := f.Refresh(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/import")
		began = time.Now()
		fresh := access.Follow(s)
		if err := fresh.Refresh(b.Context()); err != nil || fresh.At(began).Len() != n {
			b.Fatal(fresh.At(began).Len(), err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/start")
	}
}
