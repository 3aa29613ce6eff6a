package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// testOutbox: an accept that is too large for one transaction is whole from the
// first; its steps are committed with what they do, each once, whoever does them;
// the blob stays while there is something to do.
func testOutbox(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	ana, bob := person(t, a, 0), person(t, a, 0)
	acc := &store.Accept{ID: mail.NewID(time.Now()), Blob: letter(100)}
	acc.Trace = &store.TraceRecord{ID: acc.ID, Body: []byte("trace"), Keys: []string{"todos@example.org"}}
	for range 300 {
		acc.Deliveries = append(acc.Deliveries, into(ana, store.Target{Role: mailbox.Inbox}))
	}
	acc.Deliveries[299] = into(bob, store.Target{Name: "Listas"})
	e := store.Enqueue{ReversePath: "x@example.org", Binary: true, EightBit: true, Sign: true, Seal: "alias.example.org", Expires: time.Now().Add(time.Hour)}
	for i := range 900 {
		e.Recipients = append(e.Recipients, store.QueueTo{Address: fmt.Sprintf("u%d@example.net", i), Domain: "example.net"})
	}
	acc.Enqueues = []store.Enqueue{e}
	if err := acc.Split(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Accept(ctx, acc); err != nil {
		t.Fatal(err)
	}
	inbox := named(t, a, ana, "INBOX").ID
	if n := len(live(t, b, ana, inbox)); n == 0 || n >= 299 {
		t.Fatalf("%d are placed with the accept", n)
	}
	// What is placed may be expunged before the rest is: the job needs the bytes.
	if _, _, err := a.Expunge(ctx, ana, inbox, nil, false); err != nil {
		t.Fatal(err)
	}
	gone := len(acc.Deliveries)
	if n, err := b.Doom(ctx, 10); n != 0 || err != nil {
		t.Errorf("Doom while the job needs the blob: %d, %v", n, err)
	}
	sound(t, b)

	lost, err := a.ClaimJob(ctx, "dies", []string{store.OutboxKind}, time.Millisecond)
	if err != nil || lost.Blob != acc.Blob.ID {
		t.Fatalf("ClaimJob: %+v, %v", lost, err)
	}
	time.Sleep(5 * time.Millisecond)
	job, err := b.ClaimJob(ctx, "node", []string{store.OutboxKind}, time.Minute)
	if err != nil || job.ID != lost.ID {
		t.Fatalf("ClaimJob after the lease: %+v, %v", job, err)
	}
	traced := stepOf(t, &job, 10)
	traced.Trace = acc.Trace
	for name, c := range map[string]struct {
		step *store.Accept
		want error
	}{
		"of who lost the lease": {stepOf(t, &lost, 10), store.ErrFenced},
		"of no job":             {&store.Accept{ID: acc.ID, Step: &store.JobStep{ID: 1 << 40, Lease: time.Minute}}, store.ErrFenced},
		"with a trace":          {traced, store.ErrInvalid},
	} {
		if _, err := a.Accept(ctx, c.step); !errors.Is(err, c.want) {
			t.Errorf("a step %s: %v, want %v", name, err, c.want)
		}
	}
	for over := false; !over; {
		step := stepOf(t, &job, 100)
		for i, want := range []error{nil, store.ErrFenced} { // whoever repeats it does nothing
			if _, err := [2]store.Store{a, b}[i].Accept(ctx, step); !errors.Is(err, want) {
				t.Fatalf("step at %s, try %d: %v, want %v", job.Cursor, i, err, want)
			}
		}
		over, job.Cursor = step.Step.End, step.Step.Cursor
		sound(t, b)
	}
	if got := len(live(t, b, ana, inbox)); got != 299-gone {
		t.Errorf("ana has %d letters, want %d", got, 299-gone)
	}
	if got := len(live(t, a, bob, named(t, a, bob, "Listas").ID)); got != 1 {
		t.Errorf("bob has %d letters", got)
	}
	queued, err := b.ListQueue(ctx, store.QueueFilter{Message: acc.ID})
	addresses := map[string]bool{}
	for _, q := range queued {
		addresses[q.Address] = q.Binary && q.EightBit && q.Sign && q.Seal == "alias.example.org" && !q.RetFull && !q.UTF8 && !q.RequireTLS
	}
	for a, asGiven := range addresses {
		if !asGiven {
			t.Errorf("%s is not queued as it was given", a)
		}
	}
	if err != nil || len(queued) != 900 || len(addresses) != 900 {
		t.Errorf("%d recipients are queued, %d of them different, %v", len(queued), len(addresses), err)
	}
	if jobs, err := a.ListJobs(ctx, 10); err != nil || len(jobs) != 0 {
		t.Errorf("jobs that are left: %+v, %v", jobs, err)
	}
	testOutboxSkipped(t, a, bob)
}

// testOutboxSkipped: a job that does nothing with its blob sets it free at its end.
func testOutboxSkipped(t *testing.T, a store.Store, bob mailbox.AccountID) {
	ctx := t.Context()
	acc := &store.Accept{ID: mail.NewID(time.Now()), Blob: letter(50)}
	for range 251 {
		acc.Deliveries = append(acc.Deliveries, into(bob, store.Target{Name: "Solo"}))
	}
	if err := acc.Split(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Accept(ctx, acc); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Expunge(ctx, bob, named(t, a, bob, "Solo").ID, nil, false); err != nil {
		t.Fatal(err)
	}
	job, err := a.ClaimJob(ctx, "node", []string{store.OutboxKind}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	o, err := store.DecodeOutbox(&job)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Accept(ctx, o.Skip(&job)); err != nil {
		t.Fatal(err)
	}
	if n, err := a.Doom(ctx, 10); n != 1 || err != nil {
		t.Errorf("Doom after the job: %d, %v", n, err)
	}
	sound(t, a)
}

// stepOf is the next step of a job, of at most most items, with a lease.
func stepOf(t *testing.T, j *store.Job, most int) *store.Accept {
	t.Helper()
	o, err := store.DecodeOutbox(j)
	if err != nil {
		t.Fatal(err)
	}
	s := o.Step(j, most)
	s.Step.Lease = time.Minute
	return s
}

func live(t *testing.T, s store.Store, acc mailbox.AccountID, m mailbox.ID) []mailbox.UID {
	t.Helper()
	uids, _, err := s.UIDs(t.Context(), acc, m)
	if err != nil {
		t.Fatal(err)
	}
	return uids
}
