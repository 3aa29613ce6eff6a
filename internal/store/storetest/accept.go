package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// One message goes to several accounts; each Delivery says where it went, in
// order; mailboxes that are missing are made.
func testAcceptPlaces(t *testing.T, a, b store.Store) {
	ana, bob := person(t, a, 0), person(t, a, 0)
	lists := named(t, a, bob, "Archive")
	deliveries := []store.Delivery{
		into(bob, store.Target{Role: mailbox.Inbox}),
		into(ana, store.Target{Name: "inbox"}),
		into(ana, store.Target{Name: "Lists/go"}),
		into(bob, store.Target{ID: lists.ID}),
		into(ana, store.Target{Role: mailbox.Recovered}),
		into(bob, store.Target{Role: mailbox.Inbox}),
	}
	deliveries[2].Flags, deliveries[2].Keywords = mailbox.Seen|mailbox.Flagged, []string{"$Work", "$work"}
	placed := send(t, a, 1000, deliveries...)
	for i, name := range []string{"INBOX", "INBOX", "Lists/go", "Archive", "Recovered", "INBOX"} {
		acc := deliveries[i].Account
		m := named(t, b, acc, name)
		p := placed[i]
		if p.Account != acc || p.Mailbox != m.ID || p.UIDValidity != m.UIDValidity || p.UID == 0 || p.UID >= m.UIDNext || p.ModSeq == 0 || p.ModSeq > m.HighModSeq {
			t.Errorf("delivery %d went to %+v, want %s %+v", i, p, name, m)
		}
	}
	if placed[0].UID != 1 || placed[5].UID != 2 {
		t.Errorf("two letters into one INBOX have the UIDs %d and %d", placed[0].UID, placed[5].UID)
	}
	got := fetchAll(t, b, ana, placed[2].Mailbox, store.WantBytes|store.WantEnvelope|store.WantStructure|store.WantPreview, 10)
	d := deliveries[2]
	if len(got) != 1 || string(got[0].Prefix) != string(d.Prefix) || string(got[0].Envelope) != string(d.Envelope) || string(got[0].Structure) != string(d.Structure) ||
		got[0].Preview != d.Preview || got[0].Size != 1000+int64(len(d.Prefix)) || !got[0].Sent.Equal(d.Sent) || !got[0].InternalDate.Equal(d.InternalDate) ||
		got[0].Flags != d.Flags || !slices.Equal(got[0].Keywords, []string{"$Work"}) || got[0].Blob.Size != 1000 || got[0].Blob.At.Unit != "test/0" {
		t.Errorf("what came is %+v", got)
	}
	sound(t, b)
}

// What is wrong leaves nothing behind.
func testAcceptErrors(t *testing.T, a, b store.Store) {
	ana, bob := person(t, a, 500), person(t, a, 0)
	known := &store.Accept{ID: mail.NewID(time.Now()), Blob: letter(10), Deliveries: []store.Delivery{into(bob, store.Target{Role: mailbox.Inbox})}}
	if _, err := a.Accept(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	full := into(ana, store.Target{Role: mailbox.Inbox})
	full.CheckQuota = true
	for name, test := range map[string]struct {
		want   error
		accept store.Accept
	}{
		"the same accept": {store.ErrExists, *known},
		"the same blob":   {store.ErrExists, store.Accept{ID: mail.NewID(time.Now()), Blob: known.Blob, Deliveries: known.Deliveries}},
		"no blob":         {store.ErrInvalid, store.Accept{ID: mail.NewID(time.Now()), Deliveries: known.Deliveries}},
		"a blob that is not there": {store.ErrNotFound, store.Accept{
			ID: mail.NewID(time.Now()), Blob: store.NewBlob{ID: blob.NewID(time.Now()), Size: 5}, Deliveries: known.Deliveries,
		}},
		"no such account": {store.ErrNotFound, store.Accept{ID: mail.NewID(time.Now()), Blob: letter(10), Deliveries: []store.Delivery{into(1<<40, store.Target{Role: mailbox.Inbox})}}},
		"a mailbox of somebody else": {store.ErrNotFound, store.Accept{
			ID: mail.NewID(time.Now()), Blob: letter(10), Deliveries: []store.Delivery{into(ana, store.Target{ID: named(t, a, bob, "INBOX").ID})},
		}},
		"no such mailbox": {store.ErrNotFound, store.Accept{ID: mail.NewID(time.Now()), Blob: letter(10), Deliveries: []store.Delivery{into(ana, store.Target{ID: 1 << 40})}}},
		"over quota":      {store.ErrQuota, store.Accept{ID: mail.NewID(time.Now()), Blob: letter(501), Deliveries: []store.Delivery{into(bob, store.Target{Role: mailbox.Inbox}), full}}},
		"a fence that is lost": {store.ErrFenced, store.Accept{
			ID: mail.NewID(time.Now()), Blob: letter(10), Deliveries: []store.Delivery{into(bob, store.Target{Name: "New"})},
			FinishQueue: &store.Finish{Attempts: []store.Attempt{{Entry: 1 << 40, Fence: 1, State: store.Failed}}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			before := named(t, b, bob, "INBOX")
			if _, err := b.Accept(t.Context(), &test.accept); !errors.Is(err, test.want) {
				t.Errorf("Accept: %v, want %v", err, test.want)
			}
			if after := named(t, a, bob, "INBOX"); after != before {
				t.Errorf("INBOX is %+v, was %+v", after, before)
			}
			if yes, err := a.Accepted(t.Context(), test.accept.ID); err != nil || yes != (test.accept.ID == known.ID) {
				t.Errorf("Accepted: %v, %v", yes, err)
			}
		})
	}
	// What was accepted in the session is placed in spite of the quota.
	send(t, a, 501, into(ana, store.Target{Role: mailbox.Inbox}))
	// A blob that exists is delivered again by its id.
	again := &store.Accept{ID: mail.NewID(time.Now()), Blob: store.NewBlob{ID: known.Blob.ID, Size: 10}, Deliveries: known.Deliveries}
	if _, err := b.Accept(t.Context(), again); err != nil {
		t.Errorf("a second delivery of a blob: %v", err)
	}
	sound(t, a)
}

// Writers through two handles accept for the same accounts in every order; no
// UID is given twice, none is left out, and all end.
func testAcceptConcurrent(t *testing.T, a, b store.Store) {
	people := []mailbox.AccountID{person(t, a, 0), person(t, a, 0), person(t, a, 0)}
	const writers, each = 8, 12
	var mu sync.Mutex
	uids := map[mailbox.AccountID][]mailbox.UID{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			s := []store.Store{a, b}[w%2]
			for i := range each {
				var ds []store.Delivery
				for k := range people {
					ds = append(ds, into(people[(k*(w%2*2+1)+i)%len(people)], store.Target{Role: mailbox.Inbox}))
				}
				placed, err := s.Accept(t.Context(), &store.Accept{ID: mail.NewID(time.Now()), Blob: letter(100), Deliveries: ds})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, p := range placed {
					uids[p.Account] = append(uids[p.Account], p.UID)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	total := 0
	for _, p := range people {
		got := uids[p]
		slices.Sort(got)
		total += len(got)
		for i, uid := range got {
			if uid != mailbox.UID(i+1) {
				t.Fatalf("UIDs of account %d: %v", p, got)
			}
		}
	}
	if total != writers*each*len(people) {
		t.Errorf("%d letters, want %d", total, writers*each*len(people))
	}
	sound(t, b)
}

func testConfirm(t *testing.T, a, b store.Store) {
	ana := person(t, a, 0)
	keys := func(n byte) []store.ConfirmKey { return []store.ConfirmKey{{n, 1}, {n, 2}} }
	repeated := func(n byte, want bool) {
		t.Helper()
		got, err := b.Repeated(t.Context(), append(keys(n), store.ConfirmKey{99}))
		if err != nil || !slices.Equal(got, []bool{want, want, false}) {
			t.Errorf("Repeated of accept %d: %v, %v; want %v", n, got, err, want)
		}
	}
	accept := func(n byte, at time.Time) mail.ID {
		id := mail.NewID(at)
		_, err := a.Accept(t.Context(), &store.Accept{ID: id, Blob: letter(10), Confirm: keys(n), Deliveries: []store.Delivery{into(ana, store.Target{Role: mailbox.Inbox})}})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	now := time.Now()
	first := accept(1, now)
	repeated(1, false)
	for range 2 { // it may be told twice
		if err := a.Unconfirmed(t.Context(), first, keys(1), now); err != nil {
			t.Fatal(err)
		}
	}
	repeated(1, true)
	if err := a.Unconfirmed(t.Context(), first, keys(2), now.Add(-6*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	repeated(2, false) // too long ago
	accept(3, now)
	accept(4, now.Add(-48*time.Hour))
	if n, err := b.RecoverUnconfirmed(t.Context(), now.Add(-time.Minute)); err != nil || n != 2 {
		t.Errorf("RecoverUnconfirmed: %d, %v; want 2", n, err)
	}
	repeated(3, true)
	repeated(4, false)

	// Unconfirmed from the first, until the client has read our reply; that is
	// written with the next accept.
	_, err := a.Accept(t.Context(), &store.Accept{ID: mail.NewID(now), Blob: letter(10), Confirm: keys(5), Unread: true, Deliveries: []store.Delivery{into(ana, store.Target{Role: mailbox.Inbox})}})
	if err != nil {
		t.Fatal(err)
	}
	repeated(5, true)
	a.Confirmed(keys(5))
	accept(6, now)
	repeated(5, false)
}

func testSubscribe(t *testing.T, a, b store.Store) {
	ana, bob := person(t, a, 0), person(t, a, 0)
	for _, s := range []store.Store{a, b} {
		anas, stop := s.Subscribe(ana)
		bobs, stopBob := s.Subscribe(bob)
		work, stopWork := s.Subscribe(0)
		time.Sleep(300 * time.Millisecond) // hints of what was before are on their way
		for _, ch := range []<-chan struct{}{anas, bobs, work} {
			select {
			case <-ch:
			default:
			}
		}
		send(t, a, 10, into(ana, store.Target{Role: mailbox.Inbox}))
		woken(t, "the account's follower", anas)
		post(t, a, time.Time{}, "x@"+unique())
		woken(t, "the queue", work)
		select {
		case <-bobs:
			t.Error("somebody else's follower was woken")
		default:
		}
		stop()
		stop()
		stopBob()
		stopWork()
	}
}

func woken(t *testing.T, who string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(5 * time.Second):
		t.Errorf("%s was not woken", who)
	}
}
