package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// quarantined is how a letter for an address is held.
func quarantined(to string) store.Quarantined {
	return store.Quarantined{
		Recipient: to, Domain: domainOf(to), Original: "rfc822;" + to, Notify: mail.NotifyFailure, Author: "Inés@example.net", Subject: "Café\x00 at 5",
		Reasons: []store.HoldReason{{Check: "dkim.missing"}, {Check: "dmarc.missing", Seen: "_dmarc.example.net"}},
		Review:  true,
		Stored:  store.Delivery{Prefix: []byte("Return-Path: <ines@example.net>\r\n"), Skip: 3, InternalDate: epoch, Sent: epoch.Add(-time.Minute), Envelope: []byte("envelope"), Structure: []byte("structure"), Preview: "Dear Ana"},
		Out:     store.Enqueue{ReversePath: "ines@example.net", Prefix: []byte("Received: here\r\n"), EnvID: "QQ1", RetFull: true, UTF8: true, Seal: "example.org"},
	}
}

// hold accepts a letter that is held, and nothing else.
func hold(t testing.TB, s store.Store, holds ...store.Quarantined) (mail.ID, store.NewBlob) {
	t.Helper()
	a := &store.Accept{ID: mail.NewID(time.Now()), Blob: letter(1000), Holds: holds, Confirm: []store.ConfirmKey{store.ConfirmKey(blob.NewID(time.Now()))}}
	a.Trace = &store.TraceRecord{ID: a.ID, Body: []byte("trace"), Keys: []string{"ines@example.net"}}
	if _, err := s.Accept(t.Context(), a); err != nil {
		t.Fatalf("Accept: %v", err)
	}
	return a.ID, a.Blob
}

func listHeld(t testing.TB, s store.Store, f store.HeldFilter) []store.HeldMail {
	t.Helper()
	list, err := s.ListHeld(t.Context(), f)
	if err != nil {
		t.Fatalf("ListHeld: %v", err)
	}
	return list
}

// releaseTo is the release of held mail into an inbox.
func releaseTo(h store.HeldMail, acc mailbox.AccountID) *store.Accept {
	d := h.Stored
	d.Account, d.Target = acc, store.Target{Role: mailbox.Inbox}
	return &store.Accept{
		ID: h.Message, Blob: store.NewBlob{ID: h.Blob.ID, Size: h.Blob.Size}, Deliveries: []store.Delivery{d},
		Release: &store.HeldRelease{ID: h.ID, Event: store.TraceEvent{At: epoch, Body: []byte("released")}, Audit: store.Audit{At: epoch, Command: "quarantine.release", Object: fmt.Sprint(h.ID)}},
	}
}

func gone(store.HeldMail) store.TraceEvent {
	return store.TraceEvent{At: epoch, Body: []byte("gone")}
}

// testHeldLife follows held mail from the accept to its release.
func testHeldLife(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	ana, d := person(t, a, 10), unique()
	id, l := hold(t, a, quarantined("Ana+x@"+d), quarantined("bob@"+d))
	if n, err := a.Doom(ctx, 100); err != nil || n != 0 {
		t.Errorf("the blob of held mail was doomed: %d, %v", n, err)
	}
	got := listHeld(t, b, store.HeldFilter{Domain: d, Whole: true})
	if len(got) != 2 {
		t.Fatalf("held: %+v", got)
	}
	want := quarantined("Ana+x@" + d)
	h := got[0]
	if h.Message != id || h.Recipient != want.Recipient || h.Domain != d || h.Original != want.Original || h.Notify != want.Notify || h.Author != want.Author ||
		h.Subject != "Café\uFFFD at 5" || !slices.Equal(h.Reasons, want.Reasons) || !h.Review || !reflect.DeepEqual(h.Stored, want.Stored) ||
		h.Size != 1000-3+int64(len(want.Stored.Prefix)) || !h.At.Equal(epoch) || !h.Told.IsZero() || !h.Reviewed.IsZero() || h.Blob.ID != l.ID ||
		h.Out.ReversePath != "ines@example.net" || string(h.Out.Prefix) != "Received: here\r\n" || h.Out.EnvID != "QQ1" || !h.Out.RetFull || !h.Out.UTF8 || h.Out.Sign || h.Out.Seal != "example.org" {
		t.Errorf("held: %+v", h)
	}
	testHeldList(t, b, d, got)
	if m := named(t, b, ana, "INBOX"); m.Exists != 0 {
		t.Errorf("%d letters are in the inbox", m.Exists)
	}
	placed, err := b.Accept(ctx, releaseTo(h, ana))
	if err != nil || len(placed) != 1 || placed[0].UID != 1 {
		t.Fatalf("release: %+v, %v", placed, err)
	}
	if _, err := a.Accept(ctx, releaseTo(h, ana)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("release again: %v", err)
	}
	// The other recipient turns out to lead to the same account.
	placed, err = a.Accept(ctx, releaseTo(got[1], ana))
	if err != nil || placed[0].UID != 0 || placed[0].Account != ana {
		t.Errorf("release to an account that has it: %+v, %v", placed, err)
	}
	if m := named(t, b, ana, "INBOX"); m.Exists != 1 {
		t.Errorf("%d letters are in the inbox", m.Exists)
	}
	if left := listHeld(t, a, store.HeldFilter{Domain: d}); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	tr, err := b.Trace(ctx, id)
	if err != nil || len(tr.Events) != 2 || string(tr.Events[0].Body) != "released" {
		t.Errorf("trace: %+v, %v", tr, err)
	}
	log, err := b.AuditLog(ctx, 10)
	for _, r := range got {
		if err != nil || !slices.ContainsFunc(log, func(l store.Audit) bool {
			return l.Command == "quarantine.release" && l.Object == fmt.Sprint(r.ID)
		}) {
			t.Errorf("audit of %d: %+v, %v", r.ID, log, err)
		}
	}
	sound(t, a)
}

func testHeldList(t *testing.T, s store.Store, d string, all []store.HeldMail) {
	t.Helper()
	for what, c := range map[string]struct {
		f    store.HeldFilter
		want []int64
	}{
		"recipient":    {store.HeldFilter{Recipient: "ana+X@" + strings.ToUpper(d)}, []int64{all[0].ID}},
		"message":      {store.HeldFilter{Message: all[0].Message}, []int64{all[0].ID, all[1].ID}},
		"id":           {store.HeldFilter{ID: all[1].ID}, []int64{all[1].ID}},
		"page":         {store.HeldFilter{Domain: d, After: all[0].ID, Limit: 5}, []int64{all[1].ID}},
		"limit":        {store.HeldFilter{Domain: d, Limit: 1}, []int64{all[0].ID}},
		"old":          {store.HeldFilter{Domain: d, Before: all[0].At.Add(-time.Hour)}, nil},
		"not so old":   {store.HeldFilter{Domain: d, Before: time.Now().Add(time.Hour), Untold: true, Unreviewed: true}, []int64{all[0].ID, all[1].ID}},
		"of a digest":  {store.HeldFilter{Digest: &store.DigestKey{9}}, nil},
		"other domain": {store.HeldFilter{Domain: "x." + d}, nil},
	} {
		var ids []int64
		for _, h := range listHeld(t, s, c.f) {
			ids = append(ids, h.ID)
			if h.Stored.Prefix != nil || h.Out.Prefix != nil || h.Stored.Preview == "" {
				t.Errorf("ListHeld by %s brings bytes", what)
			}
		}
		if !slices.Equal(ids, c.want) {
			t.Errorf("ListHeld by %s: %v, want %v", what, ids, c.want)
		}
	}
}

// testHeldErrors: what is wrong leaves nothing behind.
func testHeldErrors(t *testing.T, a, b store.Store) {
	ana, d := person(t, a, 0), unique()
	_, l := hold(t, a, quarantined("ana@"+d))
	h := listHeld(t, b, store.HeldFilter{Domain: d, Whole: true})[0]
	edit := func(f func(*store.Accept)) *store.Accept {
		r := releaseTo(h, ana)
		f(r)
		return r
	}
	other := letter(10)
	for name, c := range map[string]struct {
		a    *store.Accept
		want error
	}{
		"a hold without bytes":        {&store.Accept{ID: mail.NewID(time.Now()), Holds: []store.Quarantined{quarantined("x@" + d)}}, store.ErrInvalid},
		"a hold for nobody":           {&store.Accept{ID: mail.NewID(time.Now()), Blob: letter(10), Holds: []store.Quarantined{{}}}, store.ErrInvalid},
		"a release of another blob":   {edit(func(r *store.Accept) { r.Blob.ID = other.ID }), store.ErrInvalid},
		"a release with a trace":      {edit(func(r *store.Accept) { r.Trace = &store.TraceRecord{} }), store.ErrInvalid},
		"a release of what is gone":   {edit(func(r *store.Accept) { r.Release.ID = 1 << 40 }), store.ErrNotFound},
		"a release to no account":     {edit(func(r *store.Accept) { r.Deliveries[0].Account = 1 << 40 }), store.ErrNotFound},
		"a digest of nothing":         {&store.Accept{Digest: &store.Digest{Until: epoch}}, store.ErrInvalid},
		"a digest of what is not":     {&store.Accept{Digest: &store.Digest{Until: epoch, Held: []int64{1 << 40}}}, store.ErrConflict},
		"a digest of more than fits":  {&store.Accept{Digest: &store.Digest{Until: epoch, Held: make([]int64, store.MaxDigest+1)}}, store.ErrInvalid},
		"a digest that never expires": {&store.Accept{Digest: &store.Digest{Held: []int64{h.ID}}}, store.ErrInvalid},
	} {
		if _, err := b.Accept(t.Context(), c.a); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if left := listHeld(t, a, store.HeldFilter{Domain: d}); len(left) != 1 || !left[0].Told.IsZero() || left[0].Blob.ID != l.ID {
		t.Errorf("left: %+v", left)
	}
	sound(t, a)
}

// testHeldTold: a digest marks what it tells of, once; its link finds that until
// its time is over.
func testHeldTold(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	ana, d := person(t, a, 0), unique()
	hold(t, a, quarantined("ana@"+d), quarantined("bob@"+d))
	held := listHeld(t, a, store.HeldFilter{Domain: d})
	until := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	digest := func(k byte, ids ...int64) *store.Accept {
		return &store.Accept{
			ID: mail.NewID(time.Now()), Blob: letter(300), Deliveries: []store.Delivery{into(ana, store.Target{Role: mailbox.Inbox})},
			Digest: &store.Digest{Key: store.DigestKey{k}, To: "ana@" + d, Until: until, Held: ids},
		}
	}
	if _, err := a.Accept(ctx, digest(1, held[0].ID)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Accept(ctx, digest(2, held[0].ID, held[1].ID)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("told twice: %v", err)
	}
	if _, err := b.Accept(ctx, digest(1, held[1].ID)); !errors.Is(err, store.ErrExists) {
		t.Errorf("two digests with one token: %v", err)
	}
	if m := named(t, a, ana, "INBOX"); m.Exists != 1 {
		t.Errorf("%d digests came", m.Exists)
	}
	got := listHeld(t, b, store.HeldFilter{Digest: &store.DigestKey{1}})
	if len(got) != 1 || got[0].ID != held[0].ID || got[0].Told.IsZero() {
		t.Errorf("told by the digest: %+v", got)
	}
	if got := listHeld(t, b, store.HeldFilter{Domain: d, Untold: true}); len(got) != 1 || got[0].ID != held[1].ID {
		t.Errorf("untold: %+v", got)
	}
	if dg, err := b.Digest(ctx, store.DigestKey{1}, time.Now()); err != nil || dg.To != "ana@"+d || !dg.Until.Equal(until) {
		t.Errorf("Digest: %+v, %v", dg, err)
	}
	for what, err := range map[string]error{
		"another key":  second(b.Digest(ctx, store.DigestKey{2}, time.Now())),
		"after a time": second(b.Digest(ctx, store.DigestKey{1}, until)),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Digest by %s: %v", what, err)
		}
	}
	if err := a.DropDigests(ctx, until.Add(time.Second)); err != nil {
		t.Error(err)
	}
	if _, err := b.Digest(ctx, store.DigestKey{1}, time.Now()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Digest after DropDigests: %v", err)
	}
	sound(t, a)
}

func second[T any](_ T, err error) error { return err }

// testHeldExpiry: what goes by itself was told of, and was reviewed if it must be.
func testHeldExpiry(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	ana, d := person(t, a, 0), unique()
	id, l := hold(t, a, quarantined("told@"+d), quarantined("seen@"+d), quarantined("untold@"+d))
	spam := quarantined("spam@" + d)
	spam.Review = false
	hold(t, a, spam)
	byName := map[string]store.HeldMail{}
	for _, h := range listHeld(t, a, store.HeldFilter{Domain: d}) {
		byName[strings.TrimSuffix(h.Recipient, "@"+d)] = h
	}
	tell := &store.Accept{ID: mail.NewID(time.Now()), Blob: letter(300), Deliveries: []store.Delivery{into(ana, store.Target{Role: mailbox.Inbox})}}
	tell.Digest = &store.Digest{Key: store.DigestKey(l.SHA256), To: "x", Until: time.Now().Add(time.Hour), Held: []int64{byName["told"].ID, byName["seen"].ID, byName["spam"].ID}}
	if _, err := a.Accept(ctx, tell); err != nil {
		t.Fatal(err)
	}
	review := func(want int, names ...string) {
		t.Helper()
		var ids []int64
		for _, n := range names {
			ids = append(ids, byName[n].ID)
		}
		if n, err := b.ReviewHeld(ctx, append(ids, 1<<40), store.Audit{At: epoch, Command: "quarantine.show"}); n != want || err != nil {
			t.Errorf("ReviewHeld(%v) = %d, %v; want %d", names, n, err, want)
		}
	}
	review(2, "seen", "untold")
	review(0, "seen")
	soon := epoch.Add(time.Second)
	expire := func(domain string, before time.Time, limit, want int) {
		t.Helper()
		if n, err := b.ExpireHeld(ctx, domain, before, limit, gone); n != want || err != nil {
			t.Errorf("ExpireHeld(%s, %v, %d) = %d, %v; want %d", domain, before, limit, n, err, want)
		}
	}
	expire(d, epoch, 10, 0)
	expire("x."+d, soon, 10, 0)
	expire(d, soon, 1, 1)
	expire(d, soon, 10, 1)
	expire(d, soon, 10, 0)
	var left []string
	for _, h := range listHeld(t, a, store.HeldFilter{Domain: d}) {
		left = append(left, h.Recipient)
	}
	if want := []string{"told@" + d, "untold@" + d}; !slices.Equal(left, want) {
		t.Errorf("left: %v, want %v", left, want)
	}
	stats, err := a.HeldStats(ctx)
	if err != nil || len(stats) != 1 || stats[0].Domain != d || stats[0].Count != 2 || stats[0].Waiting != 1 || stats[0].Octets != 2*byName["told"].Size ||
		!stats[0].Oldest.Equal(byName["told"].At) || !stats[0].Since.Equal(byName["told"].At) {
		t.Errorf("HeldStats: %+v, %v", stats, err)
	}
	if tr, err := a.Trace(ctx, id); err != nil || len(tr.Events) != 1 || string(tr.Events[0].Body) != "gone" {
		t.Errorf("trace: %+v, %v", tr, err)
	}
	if n, err := b.DropHeld(ctx, []int64{byName["told"].ID, byName["told"].ID, byName["untold"].ID, byName["spam"].ID}, gone, store.Audit{At: epoch, Command: "quarantine.delete"}); n != 2 || err != nil {
		t.Errorf("DropHeld: %d, %v", n, err)
	}
	if log, err := a.AuditLog(ctx, 10); err != nil || !slices.ContainsFunc(log, func(l store.Audit) bool { return l.Command == "quarantine.delete" }) {
		t.Errorf("audit: %+v, %v", log, err)
	}
	if n, err := a.Doom(ctx, 100); err != nil || n != 2 {
		t.Errorf("Doom: %d, %v; want the two letters", n, err)
	}
	if _, err := b.Accept(ctx, releaseTo(byName["told"], ana)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("release of what was deleted: %v", err)
	}
	sound(t, a)
}

// testHeldConcurrent: many release and delete the same held mail through two
// handles; each message ends exactly once, and none is placed twice.
func testHeldConcurrent(t *testing.T, a, b store.Store) {
	ana, d := person(t, a, 0), unique()
	const letters = 12
	for i := range letters {
		hold(t, a, quarantined(fmt.Sprintf("u%d@%s", i, d)))
	}
	list := listHeld(t, a, store.HeldFilter{Domain: d, Whole: true})
	var released, dropped atomic.Int64
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			s := []store.Store{a, b}[w%2]
			for i := range list {
				h := list[(i+w)%len(list)]
				if w >= 4 {
					n, err := s.DropHeld(t.Context(), []int64{h.ID}, gone, store.Audit{At: epoch, Command: "quarantine.delete"})
					if err != nil {
						t.Error(err)
					}
					dropped.Add(int64(n))
					continue
				}
				switch _, err := s.Accept(t.Context(), releaseTo(h, ana)); {
				case err == nil:
					released.Add(1)
				case !errors.Is(err, store.ErrNotFound):
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	m := named(t, b, ana, "INBOX")
	if released.Load()+dropped.Load() != letters || int64(m.Exists) != released.Load() {
		t.Errorf("%d were released and %d deleted of %d; %d are in the inbox", released.Load(), dropped.Load(), letters, m.Exists)
	}
	if left := listHeld(t, a, store.HeldFilter{Domain: d}); len(left) != 0 {
		t.Errorf("left: %d", len(left))
	}
	sound(t, b)
}
