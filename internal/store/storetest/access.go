package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"posta/internal/store"
)

// changeAccess runs one change of the access map.
func changeAccess(t testing.TB, s store.Access, f func(store.AccessTx) error) error {
	t.Helper()
	return s.ChangeAccess(t.Context(), func(tx store.AccessTx) (store.Audit, error) {
		return store.Audit{At: epoch, Principal: "uid:0", Command: "access.test"}, f(tx)
	})
}

// below puts a store's own access map under another store.Access.
type below struct{ store.Store }

// rulesOf is a store whose access map is that of the rules: both keep one contract.
func rulesOf(s store.Store) store.Store {
	return struct {
		below
		store.Access
	}{below{s}, s.Rules()}
}

// accessFollower takes changes as a node does.
type accessFollower struct {
	change int64
	values map[string]string
}

// follow reads on in small pages, and begins again when it must.
func (f *accessFollower) follow(t testing.TB, s store.Access) {
	t.Helper()
	for {
		page, err := s.AccessSince(t.Context(), f.change, 3)
		if errors.Is(err, store.ErrConflict) {
			if f.change, err = s.AccessChange(t.Context()); err == nil {
				f.values = listAccess(t, s)
				continue
			}
		}
		if err != nil {
			t.Error(err)
			return
		}
		for _, e := range page {
			if e.Change <= f.change {
				t.Errorf("change %d of %s behind %d", e.Change, e.Key, f.change)
			}
			f.change, f.values[e.Key] = e.Change, e.Value
			if e.Value == "" {
				delete(f.values, e.Key)
			}
		}
		if len(page) < 3 {
			return
		}
	}
}

// listAccess reads all entries in pages.
func listAccess(t testing.TB, s store.Access) map[string]string {
	t.Helper()
	out, after := map[string]string{}, ""
	for {
		page, err := s.ListAccess(t.Context(), after, 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			if e.Key <= after {
				t.Errorf("%q is listed behind %q", e.Key, after)
			}
			after, out[e.Key] = e.Key, e.Value
		}
		if len(page) < 4 {
			return out
		}
	}
}

// Random changes through two handles are what a plain map would have, and what a
// node that takes only what changed sees.
func testAccess(t *testing.T, a, b store.Store) {
	model := map[string]string{}
	f := accessFollower{values: map[string]string{}}
	r := rand.New(rand.NewPCG(1, 2))
	handles := []store.Store{a, b}
	for round := range 60 {
		s := handles[r.IntN(2)]
		err := changeAccess(t, s, func(tx store.AccessTx) error {
			var put []store.AccessEntry
			var gone []string
			for _, i := range r.Perm(20)[:1+r.IntN(6)] {
				key := fmt.Sprintf("From:d%02d.example", i)
				if r.IntN(3) == 0 {
					gone = append(gone, key)
					delete(model, key)
					continue
				}
				value := fmt.Sprintf("ERROR:5.7.1:550 round %d", round)
				put = append(put, store.AccessEntry{Key: key, Value: value, Note: "note", Who: "uid:0", At: epoch})
				model[key] = value
			}
			return errors.Join(tx.Put(put...), tx.Delete(gone...))
		})
		if err != nil {
			t.Fatal(err)
		}
		if r.IntN(4) == 0 {
			f.follow(t, handles[r.IntN(2)])
			if !maps.Equal(f.values, model) {
				t.Fatalf("round %d: the follower has %v\nwant %v", round, f.values, model)
			}
		}
		if r.IntN(10) == 0 { // everything that was removed is forgotten
			if err := s.SweepAccess(t.Context(), time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.follow(t, a)
	if got := listAccess(t, b); !maps.Equal(got, model) || !maps.Equal(f.values, model) {
		t.Errorf("listed %v\nfollowed %v\nwant %v", got, f.values, model)
	}
	if n, err := b.AccessChange(t.Context()); err != nil || n < f.change {
		t.Errorf("the newest change is %d, %v; %d was seen", n, err, f.change)
	}
	testAccessErrors(t, a, b)
	testAccessEnd(t, a)
	sound(t, a)
}

// What fails changes nothing and writes no audit record.
func testAccessErrors(t *testing.T, a, b store.Store) {
	before, audits := listAccess(t, a), audited(t, a)
	e := store.AccessEntry{Key: "To:x@example.org", Value: "REJECT", Note: "ñ", Who: "ana@example.org", At: epoch, Until: epoch.AddDate(100, 0, 0)}
	many := make([]store.AccessEntry, store.MaxAccessStep+1)
	for i := range many {
		many[i] = store.AccessEntry{Key: fmt.Sprint("k", i), Value: "OK"}
	}
	stop := errors.New("stop")
	for name, tt := range map[string]struct {
		want error
		do   func(store.AccessTx) error
	}{
		"an error of f": {stop, func(tx store.AccessTx) error { return errors.Join(tx.Put(e), stop) }},
		"a key twice":   {store.ErrInvalid, func(tx store.AccessTx) error { return tx.Put(e, e) }},
		"no value":      {store.ErrInvalid, func(tx store.AccessTx) error { return tx.Put(store.AccessEntry{Key: "x"}) }},
		"too many":      {store.ErrInvalid, func(tx store.AccessTx) error { return tx.Put(many...) }},
	} {
		if err := changeAccess(t, a, tt.do); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := listAccess(t, b); !maps.Equal(got, before) || audited(t, b) != audits {
		t.Errorf("what failed left %v", got)
	}
	if err := changeAccess(t, a, func(tx store.AccessTx) error { return tx.Put(e) }); err != nil {
		t.Fatal(err)
	}
	got, err := b.AccessEntries(t.Context(), "To:x@example.org", "nobody")
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if e.Change = got[0].Change; got[0] != e {
		t.Errorf("the entry is %+v, want %+v", got[0], e)
	}
	if audited(t, b) != audits+1 {
		t.Error("the change is not in the audit log")
	}
}

func audited(t *testing.T, s store.Store) int {
	t.Helper()
	log, err := s.AuditLog(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(log)
}

// An entry that is over is not listed, and a sweep tells the followers.
func testAccessEnd(t *testing.T, s store.Store) {
	n, err := s.AccessChange(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := accessFollower{change: n, values: map[string]string{}}
	if err := changeAccess(t, s, func(tx store.AccessTx) error {
		return tx.Put(store.AccessEntry{Key: "over", Value: "OK", Until: epoch.Add(time.Hour)}) // long ago
	}); err != nil {
		t.Fatal(err)
	}
	f.follow(t, s)
	if _, ok := f.values["over"]; !ok {
		t.Error("the follower does not hear of an entry that is over, and of its end")
	}
	if _, ok := listAccess(t, s)["over"]; ok {
		t.Error("it is listed")
	}
	if err := s.SweepAccess(t.Context(), epoch); err != nil {
		t.Fatal(err)
	}
	f.follow(t, s)
	if _, ok := f.values["over"]; ok {
		t.Error("the follower was not told")
	}
}

// Writers on both handles while a follower reads: no change is passed over.
func testAccessConcurrent(t *testing.T, a, b store.Store) {
	var wg sync.WaitGroup
	for i, s := range []store.Store{a, b} {
		wg.Go(func() {
			for n := range 40 {
				err := changeAccess(t, s, func(tx store.AccessTx) error {
					return tx.Put(store.AccessEntry{Key: fmt.Sprintf("w%d-%d", i, n%7), Value: fmt.Sprint(n)}, store.AccessEntry{Key: "both", Value: fmt.Sprint(i, " ", n)})
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	f := accessFollower{values: map[string]string{}}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		f.follow(t, b)
	}
	f.follow(t, a)
	if got := listAccess(t, a); !maps.Equal(got, f.values) {
		t.Errorf("followed %v\nlisted %v", f.values, got)
	}
	keys := slices.Sorted(maps.Keys(f.values))
	if len(keys) != 15 || !strings.HasPrefix(keys[0], "both") {
		t.Errorf("keys %v", keys)
	}
	sound(t, b)
}
