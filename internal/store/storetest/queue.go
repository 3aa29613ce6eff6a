package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"posta/internal/mail"
	"posta/internal/store"
)

// post accepts a letter for remote recipients and returns its id.
func post(t testing.TB, s store.Store, due time.Time, to ...string) mail.ID {
	t.Helper()
	e := store.Enqueue{ReversePath: "ana@example.org", Prefix: []byte("Received: here\r\n"), EnvID: "QQ314159", Seal: "alias.example.org", Expires: epoch.AddDate(0, 0, 5)}
	for _, address := range to {
		e.Recipients = append(e.Recipients, store.QueueTo{Address: address, Domain: domainOf(address), Original: "rfc822;" + address, Notify: mail.NotifyFailure, Due: due})
	}
	id := mail.NewID(time.Now())
	if _, err := s.Accept(t.Context(), &store.Accept{ID: id, Blob: letter(4000), Enqueues: []store.Enqueue{e}}); err != nil {
		t.Fatalf("Accept: %v", err)
	}
	return id
}

func domainOf(address string) string {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == '@' {
			return address[i+1:]
		}
	}
	return ""
}

// unique gives a domain that no other test of this store uses.
func unique() string { return mail.NewID(time.Now()).String() + ".example" }

func claim(t testing.TB, s store.Store, limit, perDomain int, lease time.Duration) []store.QueueEntry {
	t.Helper()
	got, err := s.ClaimQueue(t.Context(), "node", limit, perDomain, lease)
	if err != nil {
		t.Fatalf("ClaimQueue: %v", err)
	}
	return got
}

func outcome(e store.QueueEntry, state store.QueueState) store.Attempt {
	return store.Attempt{Entry: e.ID, Fence: e.Fence, State: state, Reply: "250 2.0.0 ok", Remote: "mx.example.net [192.0.2.1]",
		Event: store.TraceEvent{At: epoch, Body: []byte("event")}}
}

func idsOf(entries []store.QueueEntry) []int64 {
	out := make([]int64, len(entries))
	for i, e := range entries {
		out[i] = e.ID
	}
	return out
}

// testQueueLife follows one message from the accept to its last recipient.
func testQueueLife(t *testing.T, a, b store.Store) {
	ctx, d := t.Context(), unique()
	id := post(t, a, time.Time{}, "bob@"+d, "eve@"+d)
	next, err := b.NextDue(ctx)
	if err != nil || next.IsZero() || time.Until(next) > time.Minute {
		t.Errorf("NextDue = %v, %v", next, err)
	}
	got := claim(t, b, 10, 1, time.Minute)
	if len(got) != 2 {
		t.Fatalf("claimed %+v, want both recipients", got)
	}
	for i, e := range got {
		want := []string{"bob@" + d, "eve@" + d}[i]
		if e.Message != id || e.Address != want || e.Domain != d || e.Original != "rfc822;"+want || e.Notify != mail.NotifyFailure ||
			e.ReversePath != "ana@example.org" || string(e.Prefix) != "Received: here\r\n" || e.EnvID != "QQ314159" || e.Seal != "alias.example.org" || !e.Expires.Equal(epoch.AddDate(0, 0, 5)) ||
			e.Blob.Size != 4000 || e.State != store.Ready || e.Attempts != 0 || e.Sending || e.Created.IsZero() || e.Group != got[0].Group {
			t.Errorf("claimed %+v", e)
		}
	}
	if again := claim(t, a, 10, 10, time.Minute); len(again) != 0 {
		t.Errorf("claimed twice: %+v", again)
	}
	if n, err := a.EditQueue(ctx, idsOf(got), store.Drop, store.Audit{At: epoch, Command: "queue.drop"}); n != 0 || err != nil {
		t.Errorf("leased entries were dropped: %d, %v", n, err)
	}
	if err := a.StartAttempt(ctx, idsOf(got), got[0].Fence); err != nil {
		t.Errorf("StartAttempt: %v", err)
	}
	if err := a.ExtendQueue(ctx, idsOf(got), got[0].Fence+1, time.Minute); !errors.Is(err, store.ErrFenced) {
		t.Errorf("ExtendQueue with a wrong fence: %v", err)
	}
	if err := a.ExtendQueue(ctx, idsOf(got), got[0].Fence, time.Minute); err != nil {
		t.Errorf("ExtendQueue: %v", err)
	}
	later := outcome(got[1], store.Ready)
	later.Due, later.Reply, later.Delayed = time.Now().Add(time.Hour), "451 4.7.1 later", true
	if err := b.FinishQueue(ctx, store.Finish{Attempts: []store.Attempt{outcome(got[0], store.Done), later}}); err != nil {
		t.Fatalf("FinishQueue: %v", err)
	}
	if err := a.ExtendQueue(ctx, idsOf(got[1:]), got[1].Fence, time.Minute); !errors.Is(err, store.ErrFenced) {
		t.Errorf("ExtendQueue after the end of the lease: %v", err)
	}
	left, err := a.ListQueue(ctx, store.QueueFilter{Message: id})
	if err != nil || len(left) != 1 || left[0].Address != "eve@"+d || left[0].Attempts != 1 || left[0].Last != "451 4.7.1 later" ||
		!left[0].Delayed || left[0].Sending || left[0].LastAt.IsZero() || left[0].Due.Sub(later.Due).Abs() > time.Millisecond {
		t.Fatalf("left: %+v, %v", left, err)
	}
	testEdits(t, a, b, left[0], id)
}

// testEdits holds, releases and retries the entry, and drops it in the end.
func testEdits(t *testing.T, a, b store.Store, e store.QueueEntry, id mail.ID) {
	ctx := t.Context()
	edit := func(what store.QueueEdit, want int) {
		t.Helper()
		n, err := b.EditQueue(ctx, []int64{e.ID}, what, store.Audit{At: epoch, Principal: "uid:0", Command: fmt.Sprint("queue.", what), Object: id.String()})
		if n != want || err != nil {
			t.Errorf("EditQueue(%d) = %d, %v; want %d", what, n, err, want)
		}
	}
	edit(store.Hold, 1)
	edit(store.Hold, 0)
	edit(store.Retry, 0) // held: release it first
	if next, err := a.NextDue(ctx); err != nil || !next.IsZero() {
		t.Errorf("NextDue with one held entry: %v, %v", next, err)
	}
	edit(store.Release, 1)
	if got := claim(t, a, 10, 10, time.Minute); len(got) != 0 {
		t.Errorf("claimed an hour early: %+v", got)
	}
	edit(store.Retry, 1)
	got := claim(t, a, 10, 10, time.Minute)
	if len(got) != 1 || got[0].ID != e.ID || got[0].Attempts != 1 {
		t.Fatalf("after Retry: %+v", got)
	}
	again := outcome(got[0], store.Ready)
	again.Due = time.Now().Add(time.Hour)
	if err := a.FinishQueue(ctx, store.Finish{Attempts: []store.Attempt{again}}); err != nil {
		t.Fatal(err)
	}
	if err := a.FinishQueue(ctx, store.Finish{Attempts: []store.Attempt{again}}); !errors.Is(err, store.ErrFenced) {
		t.Errorf("an outcome recorded twice: %v", err)
	}
	edit(store.Drop, 1)
	if left, err := a.ListQueue(ctx, store.QueueFilter{Message: id}); len(left) != 0 || err != nil {
		t.Errorf("left: %+v, %v", left, err)
	}
	log, err := a.AuditLog(ctx, 1)
	if err != nil || len(log) != 1 || log[0].Object != id.String() {
		t.Errorf("audit: %+v, %v", log, err)
	}
	sound(t, a)
}

// testQueueLease: a lease that ran out is claimed again, told as sending; the
// first holder is fenced off.
func testQueueLease(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	id := post(t, a, time.Time{}, "bob@"+unique())
	first := claim(t, a, 1, 1, 20*time.Millisecond)
	if len(first) != 1 {
		t.Fatalf("claimed %+v", first)
	}
	if err := a.StartAttempt(ctx, idsOf(first), first[0].Fence); err != nil {
		t.Fatal(err)
	}
	var second []store.QueueEntry
	for deadline := time.Now().Add(10 * time.Second); len(second) == 0 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		second = claim(t, b, 1, 1, time.Minute)
	}
	if len(second) != 1 || second[0].ID != first[0].ID || !second[0].Sending || second[0].Fence == first[0].Fence {
		t.Fatalf("claimed again: %+v", second)
	}
	for what, err := range map[string]error{
		"FinishQueue":  a.FinishQueue(ctx, store.Finish{Attempts: []store.Attempt{outcome(first[0], store.Done)}}),
		"ExtendQueue":  a.ExtendQueue(ctx, idsOf(first), first[0].Fence, time.Minute),
		"StartAttempt": a.StartAttempt(ctx, idsOf(first), first[0].Fence),
	} {
		if !errors.Is(err, store.ErrFenced) {
			t.Errorf("%s by the first holder: %v", what, err)
		}
	}
	// The DSN and the end of the recipient are one transaction: a second accept
	// of it finds the lease gone and leaves nothing.
	acct := person(t, a, 0)
	dsn := func() error {
		_, err := b.Accept(ctx, &store.Accept{ID: mail.NewID(time.Now()), Blob: letter(900),
			Deliveries:  []store.Delivery{into(acct, store.Target{Name: "INBOX"})},
			FinishQueue: &store.Finish{Attempts: []store.Attempt{outcome(second[0], store.Failed)}}})
		return err
	}
	if err := dsn(); err != nil {
		t.Errorf("Accept of the DSN: %v", err)
	}
	if err := dsn(); !errors.Is(err, store.ErrFenced) {
		t.Errorf("Accept of the DSN again: %v", err)
	}
	if m := named(t, a, acct, "INBOX"); m.Exists != 1 {
		t.Errorf("%d DSNs", m.Exists)
	}
	if left, err := a.ListQueue(ctx, store.QueueFilter{Message: id}); len(left) != 0 || err != nil {
		t.Errorf("left: %+v, %v", left, err)
	}
	sound(t, a)
}

// slowBacklog is more than a claim looks at before it asks each domain.
const slowBacklog = 160

// testQueueFair: a domain that is full holds up nobody behind it, and the stats
// tell who waits.
func testQueueFair(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	slow, quick := unique(), unique()
	past := time.Now().Add(-time.Hour)
	for i := range slowBacklog {
		post(t, a, past.Add(time.Duration(i)*time.Second), fmt.Sprintf("u%d@%s", i, slow))
	}
	wanted := post(t, a, time.Time{}, "bob@"+quick)
	first := claim(t, a, 20, 4, time.Minute)
	n := 0
	for _, e := range first {
		if e.Domain == slow {
			if e.Address != fmt.Sprintf("u%d@%s", n, slow) {
				t.Errorf("claimed %s as number %d", e.Address, n)
			}
			n++
		} else if e.Message != wanted {
			t.Errorf("claimed %+v", e)
		}
	}
	if n != 4 || len(first) != 5 {
		t.Errorf("claimed %d of the slow domain, %d in all; want 4 and 5", n, len(first))
	}
	if more := claim(t, b, 20, 4, time.Minute); len(more) != 0 {
		t.Errorf("claimed beyond the domain's limit: %d", len(more))
	}
	if more := claim(t, b, 3, 6, time.Minute); len(more) != 2 {
		t.Errorf("with room for two more, claimed %d", len(more))
	}
	stats, err := b.QueueStats(ctx)
	if err != nil || len(stats) != 2 {
		t.Fatalf("QueueStats: %+v, %v", stats, err)
	}
	for _, s := range stats {
		if want := map[string]int{slow: slowBacklog, quick: 1}[s.Domain]; s.Count != want || s.State != store.Ready || s.Oldest.IsZero() {
			t.Errorf("QueueStats: %+v, want %d", s, want)
		}
	}
	testQueueList(t, b, slow)
	var done []store.Attempt
	for _, e := range first {
		done = append(done, outcome(e, store.Done))
	}
	if err := b.FinishQueue(ctx, store.Finish{Attempts: done}); err != nil {
		t.Error(err)
	}
	if more := claim(t, a, 20, 4, time.Minute); len(more) != 2 {
		t.Errorf("two of four are leased still, claimed %d", len(more))
	}
	sound(t, a)
}

func testQueueList(t *testing.T, s store.Store, domain string) {
	t.Helper()
	seen, after := 0, int64(0)
	for {
		page, err := s.ListQueue(t.Context(), store.QueueFilter{Domain: domain, Limit: 70, After: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			if e.ID <= after || e.Domain != domain {
				t.Errorf("page after %d has %+v", after, e)
			}
			after = e.ID
		}
		seen += len(page)
		if len(page) < 70 {
			break
		}
	}
	if seen != slowBacklog {
		t.Errorf("pages show %d entries", seen)
	}
	for what, c := range map[string]struct {
		f    store.QueueFilter
		want int
	}{
		"recipient":    {store.QueueFilter{Address: "u7@" + domain}, 1},
		"reverse-path": {store.QueueFilter{Address: "ana@example.org", Domain: domain}, slowBacklog},
		"held":         {store.QueueFilter{Domain: domain, States: []store.QueueState{store.Held}}, 0},
		"ready, held":  {store.QueueFilter{Domain: domain, States: []store.QueueState{store.Held, store.Ready}}, slowBacklog},
		"nobody":       {store.QueueFilter{Address: "nobody@" + domain}, 0},
	} {
		if got, err := s.ListQueue(t.Context(), c.f); err != nil || len(got) != c.want {
			t.Errorf("ListQueue by %s: %d entries, %v; want %d", what, len(got), err, c.want)
		}
	}
}

// testQueueBatch: the recipients of one message at one domain go together, up to
// a hundred in one attempt, and each attempt counts for the domain.
func testQueueBatch(t *testing.T, a, b store.Store) {
	d, other := unique(), unique()
	var to []string
	for i := range 250 {
		to = append(to, fmt.Sprintf("u%d@%s", i, d))
		if i%50 == 0 {
			to = append(to, fmt.Sprintf("u%d@%s", i, other))
		}
	}
	post(t, a, time.Time{}, to...)
	byDomain := func(entries []store.QueueEntry) map[string]int {
		n := map[string]int{}
		for _, e := range entries {
			n[e.Domain]++
		}
		return n
	}
	first := claim(t, a, 300, 1, time.Minute)
	if n := byDomain(first); n[d] != 100 || n[other] != 5 {
		t.Errorf("the first claim: %v", n)
	}
	if more := claim(t, b, 300, 1, time.Minute); len(more) != 0 {
		t.Errorf("a second attempt of the same message: %v", byDomain(more))
	}
	if more := claim(t, b, 300, 2, time.Minute); byDomain(more)[d] != 100 {
		t.Errorf("with room for another: %v", byDomain(more))
	}
	var f store.Finish
	for _, e := range first {
		f.Attempts = append(f.Attempts, outcome(e, store.Done))
	}
	if err := a.FinishQueue(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if more := claim(t, b, 300, 2, time.Minute); byDomain(more)[d] != 50 {
		t.Errorf("the rest: %v", byDomain(more))
	}
	sound(t, a)
}
