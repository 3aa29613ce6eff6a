package storetest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// testMailConcurrent lets writers through two handles change one account all at
// once, while followers keep a view of a mailbox by Changes alone. In the end
// nothing is lost, nothing is there twice, and each view is the mailbox.
func testMailConcurrent(t *testing.T, a, b store.Store) {
	acct := person(t, a, 0)
	inbox, archive := named(t, a, acct, "INBOX"), named(t, a, acct, "Archive")
	handles := [2]store.Store{a, b}
	var came, went, copied atomic.Int64
	var writers, followers sync.WaitGroup
	for n := range 6 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 3))
			s := handles[n%2]
			for range 16 {
				src, dst := inbox.ID, archive.ID
				if rng.IntN(2) == 0 {
					src, dst = dst, src
				}
				change(t, s, acct, src, dst, rng, &came, &went, &copied)
			}
		})
	}
	stop := make(chan struct{})
	views := [4]*follower{}
	for n := range views {
		box := [2]mailbox.ID{inbox.ID, archive.ID}[n/2]
		f := &follower{store: handles[n%2], account: acct, box: box, live: map[mailbox.UID]mailbox.Message{}}
		views[n] = f
		followers.Go(func() { f.follow(t, stop) })
	}
	writers.Wait()
	close(stop)
	followers.Wait()
	for _, f := range views {
		f.compare(t)
	}
	_, messages, _, err := a.Usage(t.Context(), acct)
	if err != nil || messages != came.Load()+copied.Load()-went.Load() {
		t.Errorf("%d messages, %v; %d came, %d were copied, %d went", messages, err, came.Load(), copied.Load(), went.Load())
	}
	sound(t, a)
}

// change does one random operation.
func change(t *testing.T, s store.Store, acct mailbox.AccountID, src, dst mailbox.ID, rng *rand.Rand, came, went, copied *atomic.Int64) {
	uids, _, err := s.UIDs(t.Context(), acct, src)
	if err != nil {
		t.Errorf("UIDs: %v", err)
	}
	var some []mailbox.UID
	for _, u := range uids {
		if rng.IntN(3) == 0 {
			some = append(some, u)
		}
	}
	switch n := rng.IntN(10); {
	case n < 4:
		_, err = s.Accept(t.Context(), &store.Accept{ID: mail.NewID(time.Now()), Blob: letter(rng.Int64N(9000)),
			Deliveries: []store.Delivery{into(acct, store.Target{ID: src}), into(acct, store.Target{ID: dst})}})
		came.Add(2)
	case n < 6:
		op := store.FlagOp{Mode: store.FlagMode(rng.IntN(3)), Flags: mailbox.Flags(rng.IntN(32)), Keywords: []string{"$Junk"}}
		_, _, err = s.SetFlags(t.Context(), acct, src, some, op, 0)
	case n < 7:
		var gone []mailbox.UID
		gone, _, err = s.Expunge(t.Context(), acct, src, some, false)
		went.Add(int64(len(gone)))
	case n < 9:
		_, _, err = s.Move(t.Context(), acct, src, some, dst)
	default:
		var from []mailbox.UID
		from, _, err = s.Copy(t.Context(), acct, src, some[:min(len(some), 5)], dst)
		copied.Add(int64(len(from)))
	}
	if err != nil {
		t.Errorf("while others write: %v", err)
	}
}

// follower is an IMAP session's view, or a JMAP client's cache.
type follower struct {
	store   store.Store
	account mailbox.AccountID
	box     mailbox.ID
	since   mailbox.ModSeq
	live    map[mailbox.UID]mailbox.Message
}

// follow reads changes when the store wakes it, until stop, and then once more.
func (f *follower) follow(t *testing.T, stop <-chan struct{}) {
	wake, cancel := f.store.Subscribe(f.account)
	defer cancel()
	for last := false; ; {
		f.catchUp(t)
		if last {
			return
		}
		select {
		case <-wake:
		case <-time.After(30 * time.Second):
			t.Error("no wake-up in 30 s")
			last = true
		case <-stop:
			last = true
		}
	}
}

func (f *follower) catchUp(t *testing.T) {
	const page = 7
	for {
		changes, _, err := f.store.Changes(t.Context(), f.account, f.box, f.since, page)
		if err != nil {
			t.Errorf("Changes: %v", err)
			return
		}
		for _, ch := range changes {
			if ch.ModSeq <= f.since {
				t.Errorf("MODSEQ %d after %d", ch.ModSeq, f.since)
			}
			f.since = ch.ModSeq
			if ch.Expunged {
				delete(f.live, ch.UID)
			} else {
				f.live[ch.UID] = ch
			}
		}
		if len(changes) < page {
			return
		}
	}
}

func (f *follower) compare(t *testing.T) {
	all := fetchAll(t, f.store, f.account, f.box, 0, 100)
	if len(all) != len(f.live) {
		t.Errorf("the follower sees %d messages, there are %d", len(f.live), len(all))
	}
	for _, m := range all {
		if got := f.live[m.UID]; !sameMessage(got, m.Message) {
			t.Errorf("the follower sees %+v, there is %+v", got, m.Message)
		}
	}
}

// testMailSteps moves, flags, copies and expunges more than one transaction may
// hold, and sees that the store does it in steps which add up.
func testMailSteps(t *testing.T, a, b store.Store) {
	acct := person(t, a, 0)
	inbox, trash := named(t, a, acct, "INBOX").ID, named(t, a, acct, "Trash").ID
	const total = 720
	var uids []mailbox.UID
	for range total / 60 {
		ds := make([]store.Delivery, 60)
		for i := range ds {
			ds[i] = into(acct, store.Target{ID: inbox})
		}
		for _, p := range send(t, a, 1000, ds...) {
			uids = append(uids, p.UID)
		}
	}
	changed, failed, err := b.SetFlags(t.Context(), acct, inbox, uids, store.FlagOp{Mode: store.Add, Flags: mailbox.Seen}, 0)
	if err != nil || len(changed) != total || len(failed) != 0 {
		t.Fatalf("SetFlags changed %d, failed %d, %v", len(changed), len(failed), err)
	}
	if box := named(t, a, acct, "INBOX"); box.Unseen != 0 || box.Exists != total {
		t.Errorf("after the flags: %+v", box)
	}
	from, to, err := a.Copy(t.Context(), acct, inbox, uids, trash)
	if err != nil || !slices.Equal(from, uids) || len(to) != total {
		t.Fatalf("Copy: %d to %d, %v", len(from), len(to), err)
	}
	from, _, err = b.Move(t.Context(), acct, inbox, uids, trash)
	if err != nil || !slices.Equal(from, uids) {
		t.Fatalf("Move: %d, %v", len(from), err)
	}
	if err := a.DeleteMailbox(t.Context(), acct, trash); err != nil {
		t.Fatalf("DeleteMailbox: %v", err)
	}
	if octets, messages, _, err := b.Usage(t.Context(), acct); octets != 0 || messages != 0 || err != nil {
		t.Errorf("left: %d octets, %d messages, %v", octets, messages, err)
	}
	if _, _, err := a.UIDs(t.Context(), acct, trash); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("UIDs of a mailbox that is gone: %v", err)
	}
	sound(t, b)
}
