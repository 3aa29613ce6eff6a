package outbox

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
	"posta/internal/trace"
)

// house is a store with accounts.
type house struct {
	store.Store
	accounts []mailbox.AccountID
}

func newHouse(t *testing.T, accounts int) *house {
	t.Helper()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Verify(context.Background(), func(b store.Breach) { t.Errorf("%s: %s", b.Invariant, b.Detail) }); err != nil {
			t.Error(err)
		}
		st.Close()
	})
	h := &house{Store: st}
	err = st.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		d := &store.Domain{Name: "empresa.test"}
		if err := tx.PutDomain(d); err != nil {
			return store.Audit{}, err
		}
		h.accounts = nil
		for i := range accounts {
			a := &store.Account{Domain: d.ID, Login: fmt.Sprintf("u%d@empresa.test", i)}
			if err := tx.PutAccount(a); err != nil {
				return store.Audit{}, err
			}
			h.accounts = append(h.accounts, a.ID)
		}
		return store.Audit{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// accept takes a letter for every account and for as many recipients elsewhere.
func (h *house) accept(t *testing.T, elsewhere int) mail.ID {
	t.Helper()
	now := time.Now()
	id := blob.NewID(now)
	a := &store.Accept{ID: mail.NewID(now), Blob: store.NewBlob{ID: id, At: blob.Location{Unit: "p", Length: 180}, Size: 100, SHA256: sha256.Sum256(id[:])}}
	rec := &trace.Record{ID: a.ID, At: now, Stage: trace.Accepted}
	tr := rec.Encode()
	a.Trace = &tr
	for _, acc := range h.accounts {
		a.Deliveries = append(a.Deliveries, store.Delivery{Account: acc, Target: store.Target{Role: mailbox.Inbox}})
	}
	e := store.Enqueue{Expires: now.Add(time.Hour)}
	for i := range elsewhere {
		e.Recipients = append(e.Recipients, store.QueueTo{Address: fmt.Sprintf("x%d@example.net", i), Domain: "example.net"})
	}
	if elsewhere > 0 {
		a.Enqueues = []store.Enqueue{e}
	}
	if err := a.Split(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Accept(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a.ID
}

// placed is how often the letters came to the accounts.
func (h *house) placed(t *testing.T) (times map[int64]int) {
	t.Helper()
	times = map[int64]int{}
	for _, acc := range h.accounts {
		_, messages, _, err := h.Usage(t.Context(), acc)
		if err != nil {
			t.Fatal(err)
		}
		times[messages]++
	}
	return times
}

// run works until no job is left.
func run(t *testing.T, st Store, jobs store.Jobs) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { New(Config{Store: st, Node: "node", Poll: 10 * time.Millisecond}).Run(ctx) })
	for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		left, err := jobs.ListJobs(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("jobs are left: %+v", left[0].Last)
		}
	}
	stop()
	wg.Wait()
}

// Everybody of a large alias has the letter, once, and the trace says how.
func TestOutbox(t *testing.T) {
	h := newHouse(t, 700)
	id := h.accept(t, 1500)
	if times := h.placed(t); times[1] == 0 || times[0] == 0 {
		t.Fatalf("placed with the accept: %v", times)
	}
	run(t, h, h)
	if times := h.placed(t); times[1] != 700 {
		t.Errorf("times placed: %v", times)
	}
	seen := map[string]bool{}
	for after := int64(0); ; {
		page, err := h.ListQueue(t.Context(), store.QueueFilter{Message: id, After: after})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if seen[e.Address] {
				t.Errorf("%s is queued twice", e.Address)
			}
			seen[e.Address], after = true, e.ID
		}
	}
	if len(seen) != 1500 {
		t.Errorf("%d are queued", len(seen))
	}
	got, err := h.Trace(t.Context(), id)
	if err != nil || len(got.Events) != 1 {
		t.Fatalf("events: %+v, %v", got.Events, err)
	}
	if e, err := trace.DecodeEvent(got.Events[0]); err != nil || e.Kind != "expanded" {
		t.Errorf("event: %+v, %v", e, err)
	}
}

// An account that is deleted meanwhile is left out; the others have the letter.
func TestAccountIsGone(t *testing.T) {
	h := newHouse(t, 400)
	id := h.accept(t, 0)
	gone := h.accounts[390]
	err := h.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) { return store.Audit{}, tx.DeleteAccount(gone) })
	if err != nil {
		t.Fatal(err)
	}
	h.accounts = append(h.accounts[:390:390], h.accounts[391:]...)
	run(t, h, h)
	if times := h.placed(t); times[1] != 399 {
		t.Errorf("times placed: %v", times)
	}
	got, err := h.Trace(t.Context(), id)
	if err != nil || len(got.Events) != 2 {
		t.Errorf("events: %+v, %v", got.Events, err)
	}
}

// unsteady fails in every way that a database can, now and then.
type unsteady struct {
	*house
	n int
}

func (u *unsteady) Accept(ctx context.Context, a *store.Accept) ([]store.Placed, error) {
	u.n++
	switch u.n % 4 {
	case 1:
		return nil, store.ErrFull
	case 2:
		placed, err := u.house.Accept(ctx, a)
		return placed, errors.Join(store.ErrUnknown, err) // committed, and nobody knows
	case 3:
		return nil, store.ErrUnknown // not committed, and nobody knows
	}
	return u.house.Accept(ctx, a)
}

// A disk that is full, replies that are lost: all is done in the end, and once.
func TestUnsteadyStore(t *testing.T) {
	h := newHouse(t, 600)
	h.accept(t, 0)
	u := &unsteady{house: h}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		New(Config{Store: u, Node: "node", Poll: 10 * time.Millisecond, Lease: 300 * time.Millisecond}).Run(ctx)
	})
	for limit := time.Now().Add(time.Minute); h.placed(t)[1] < 600 && time.Now().Before(limit); {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(time.Second) // were it done again, it would be now
	stop()
	wg.Wait()
	if times := h.placed(t); times[1] != 600 {
		t.Errorf("times placed: %v", times)
	}
	if u.n < 4 {
		t.Errorf("only %d steps were tried", u.n)
	}
}

// A stop between two steps gives the job back at once, with its progress.
func TestStop(t *testing.T) {
	h := newHouse(t, 600)
	h.accept(t, 0)
	ctx, stop := context.WithCancel(t.Context())
	st := &stopping{house: h, stop: stop}
	if err := New(Config{Store: st, Node: "first"}).Run(ctx); err != nil {
		t.Fatal(err)
	}
	j, err := h.ClaimJob(t.Context(), "second", []string{store.OutboxKind}, time.Millisecond)
	if err != nil || string(j.Cursor) != "500" || j.Tries != 0 {
		t.Fatalf("the job that was given back: %+v, %v", j, err)
	}
	time.Sleep(5 * time.Millisecond)
	run(t, h, h)
	if times := h.placed(t); times[1] != 600 {
		t.Errorf("times placed: %v", times)
	}
}

// stopping ends the run with its first step.
type stopping struct {
	*house
	stop func()
}

func (s *stopping) Accept(ctx context.Context, a *store.Accept) ([]store.Placed, error) {
	s.stop()
	return s.house.Accept(ctx, a)
}
