package storetest

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// testFetch: what is wanted comes, as it was given.
func testFetch(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	acct := person(t, a, 0)
	inbox := named(t, a, acct, "INBOX").ID
	d := into(acct, store.Target{Role: mailbox.Inbox})
	d.Flags, d.Keywords, d.Skip = mailbox.Flagged|mailbox.Deleted, []string{"work", "$Junk", "WORK"}, 7
	before := time.Now().Add(-time.Second)
	var uids []mailbox.UID
	for range 5 {
		uids = append(uids, send(t, a, 1000, d)[0].UID)
	}
	for _, want := range []store.Want{0, store.WantEnvelope, store.WantStructure, store.WantPreview, store.WantBytes, store.WantEnvelope | store.WantBytes} {
		got, err := b.Fetch(ctx, acct, inbox, store.FetchQuery{From: 1, UIDs: []mailbox.UID{uids[1], uids[3], 999}, Want: want})
		if err != nil || len(got) != 2 {
			t.Fatalf("Fetch: %+v, %v", got, err)
		}
		m := got[1]
		if m.UID != uids[3] || m.Flags != d.Flags || !slices.Equal(m.Keywords, []string{"$Junk", "work"}) || !m.InternalDate.Equal(epoch) || m.Expunged ||
			m.SaveDate.Before(before) || m.Size != 1000-7+int64(len(d.Prefix)) {
			t.Errorf("want %d: fetched %+v", want, m.Message)
		}
		if want&store.WantEnvelope != 0 && (!bytes.Equal(m.Envelope, d.Envelope) || !m.Sent.Equal(d.Sent)) {
			t.Errorf("envelope %q, sent %v", m.Envelope, m.Sent)
		}
		if want&store.WantStructure != 0 && !bytes.Equal(m.Structure, d.Structure) {
			t.Errorf("structure %q", m.Structure)
		}
		if want&store.WantPreview != 0 && m.Preview != d.Preview {
			t.Errorf("preview %q", m.Preview)
		}
		if want&store.WantBytes != 0 && (!bytes.Equal(m.Prefix, d.Prefix) || m.Skip != 7 || m.Blob.Size != 1000 || m.Blob.At.Unit == "" || m.Blob.SHA256 == [32]byte{}) {
			t.Errorf("bytes %q from %d of %+v", m.Prefix, m.Skip, m.Blob)
		}
	}
	for what, c := range map[string]struct {
		q    store.FetchQuery
		want []mailbox.UID
	}{
		"all":            {store.FetchQuery{}, uids},
		"a range":        {store.FetchQuery{From: uids[1], To: uids[3]}, uids[1:4]},
		"an open range":  {store.FetchQuery{From: uids[3]}, uids[3:]},
		"a page":         {store.FetchQuery{From: 1, Limit: 2}, uids[:2]},
		"an empty range": {store.FetchQuery{From: 3, To: 2}, nil},
		"of none":        {store.FetchQuery{UIDs: []mailbox.UID{}}, nil},
	} {
		got, err := a.Fetch(ctx, acct, inbox, c.q)
		var have []mailbox.UID
		for _, m := range got {
			have = append(have, m.UID)
		}
		if err != nil || !slices.Equal(have, c.want) {
			t.Errorf("%s: %v, %v; want %v", what, have, err, c.want)
		}
	}
	if _, err := a.Fetch(ctx, acct, inbox, store.FetchQuery{UIDs: make([]mailbox.UID, 2000)}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("Fetch of too many: %v", err)
	}
	testStrangers(t, a, inbox, uids)
}

// testStrangers: another account gets at nothing by its number.
func testStrangers(t *testing.T, s store.Store, box mailbox.ID, uids []mailbox.UID) {
	ctx := t.Context()
	eve := person(t, s, 0)
	own := named(t, s, eve, "INBOX").ID
	calls := map[string]func() error{
		"UIDs":    func() error { _, _, err := s.UIDs(ctx, eve, box); return err },
		"Fetch":   func() error { _, err := s.Fetch(ctx, eve, box, store.FetchQuery{}); return err },
		"Changes": func() error { _, _, err := s.Changes(ctx, eve, box, 0, 0); return err },
		"SetFlags": func() error {
			_, _, err := s.SetFlags(ctx, eve, box, uids, store.FlagOp{Mode: store.Add, Flags: mailbox.Seen}, 0)
			return err
		},
		"SetFlags of none": func() error { _, _, err := s.SetFlags(ctx, eve, box, nil, store.FlagOp{}, 0); return err },
		"Expunge":          func() error { _, _, err := s.Expunge(ctx, eve, box, uids, false); return err },
		"Expunge all":      func() error { _, _, err := s.Expunge(ctx, eve, box, nil, false); return err },
		"Copy from":        func() error { _, _, err := s.Copy(ctx, eve, box, uids, own); return err },
		"Copy to":          func() error { _, _, err := s.Copy(ctx, eve, own, nil, box); return err },
		"Move from":        func() error { _, _, err := s.Move(ctx, eve, box, uids, own); return err },
		"Move to":          func() error { _, _, err := s.Move(ctx, eve, own, uids, box); return err },
		"Rename":           func() error { return s.RenameMailbox(ctx, eve, box, "mine") },
		"Delete":           func() error { return s.DeleteMailbox(ctx, eve, box) },
	}
	for what, call := range calls {
		if err := call(); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s by another account: %v", what, err)
		}
	}
	for what, call := range map[string]func() error{
		"ListMailboxes": func() error { _, err := s.ListMailboxes(ctx, 1<<40); return err },
		"ModSeq":        func() error { _, err := s.ModSeq(ctx, 1<<40); return err },
		"Usage":         func() error { _, _, _, err := s.Usage(ctx, 1<<40); return err },
	} {
		if err := call(); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s of no account: %v", what, err)
		}
	}
}

// testFlags: keywords keep their spelling, and what is not allowed is refused
// before anything changes.
func testFlags(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	acct := person(t, a, 0)
	inbox := named(t, a, acct, "INBOX").ID
	uid := send(t, a, 10, into(acct, store.Target{ID: inbox}))[0].UID
	for _, c := range []struct {
		what  string
		op    store.FlagOp
		flags mailbox.Flags
		words []string
		same  bool
	}{
		{"add", store.FlagOp{Mode: store.Add, Flags: mailbox.Seen, Keywords: []string{"Work"}}, mailbox.Seen, []string{"Work"}, false},
		{"add again", store.FlagOp{Mode: store.Add, Flags: mailbox.Seen, Keywords: []string{"WORK"}}, mailbox.Seen, []string{"Work"}, true},
		{"replace", store.FlagOp{Mode: store.Replace, Flags: mailbox.Draft, Keywords: []string{"work", "$A"}}, mailbox.Draft, []string{"$A", "Work"}, false},
		{"replace by the same", store.FlagOp{Mode: store.Replace, Flags: mailbox.Draft, Keywords: []string{"$a", "work"}}, mailbox.Draft, []string{"$A", "Work"}, true},
		{"remove", store.FlagOp{Mode: store.Remove, Flags: mailbox.Seen, Keywords: []string{"wOrK", "none"}}, mailbox.Draft, []string{"$A"}, false},
		{"remove what is not", store.FlagOp{Mode: store.Remove, Flags: mailbox.Deleted}, mailbox.Draft, []string{"$A"}, true},
		{"replace by nothing", store.FlagOp{Mode: store.Replace}, 0, nil, false},
	} {
		changed, _, err := b.SetFlags(ctx, acct, inbox, []mailbox.UID{uid, uid}, c.op, 0)
		got := fetchAll(t, a, acct, inbox, 0, 10)[0]
		if err != nil || c.same != (len(changed) == 0) || got.Flags != c.flags || !slices.Equal(got.Keywords, c.words) {
			t.Errorf("%s: %+v, %v; now %v %q", c.what, changed, err, got.Flags, got.Keywords)
		}
	}
	for _, bad := range []store.FlagOp{
		{Mode: 9}, {Flags: 0x80}, {Keywords: []string{""}}, {Keywords: []string{"two words"}}, {Keywords: []string{`back\slash`}},
		{Keywords: []string{"ünicode"}}, {Keywords: []string{"a\r\nb"}}, {Keywords: []string{string(make([]byte, 300))}},
	} {
		if _, _, err := a.SetFlags(ctx, acct, inbox, []mailbox.UID{uid}, bad, 0); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// testQuota: a copy that does not fit as a whole leaves nothing; a move always
// fits; an accepted letter is never refused.
func testQuota(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	acct := person(t, a, 10_000)
	inbox, trash := named(t, a, acct, "INBOX").ID, named(t, a, acct, "Trash").ID
	d := into(acct, store.Target{ID: inbox})
	d.Prefix = nil
	var uids []mailbox.UID
	for range 4 {
		uids = append(uids, send(t, a, 2000, d)[0].UID)
	}
	if _, _, err := b.Copy(ctx, acct, inbox, uids[:2], trash); !errors.Is(err, store.ErrQuota) {
		t.Errorf("a copy of 4,000 octets into 2,000: %v", err)
	}
	if m := named(t, b, acct, "Trash"); m.Exists != 0 {
		t.Errorf("a refused copy left %d messages", m.Exists)
	}
	if from, _, err := b.Copy(ctx, acct, inbox, uids[:1], trash); err != nil || len(from) != 1 {
		t.Errorf("a copy of 2,000 octets into 2,000: %v", err)
	}
	d.CheckQuota = true
	if _, err := a.Accept(ctx, &store.Accept{Blob: letter(1), Deliveries: []store.Delivery{d}}); !errors.Is(err, store.ErrQuota) {
		t.Errorf("an APPEND of one octet into none: %v", err)
	}
	if from, _, err := b.Move(ctx, acct, inbox, uids, trash); err != nil || len(from) != 4 {
		t.Errorf("Move: %v", err)
	}
	d.CheckQuota = false
	send(t, a, 5000, d)
	if octets, messages, quota, err := b.Usage(ctx, acct); octets != 15_000 || messages != 6 || quota != 10_000 || err != nil {
		t.Errorf("Usage = %d, %d, %d, %v", octets, messages, quota, err)
	}
	sound(t, a)
}

// testBlobsOfMail: a blob is doomed with its last message, not before.
func testBlobsOfMail(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	acct := person(t, a, 0)
	inbox, trash := named(t, a, acct, "INBOX").ID, named(t, a, acct, "Trash").ID
	uid := send(t, a, 10, into(acct, store.Target{ID: inbox}))[0].UID
	id := fetchAll(t, a, acct, inbox, store.WantBytes, 10)[0].Blob.ID
	_, to, err := a.Copy(ctx, acct, inbox, []mailbox.UID{uid}, trash)
	if err != nil {
		t.Fatal(err)
	}
	doom := func(want int) {
		t.Helper()
		if n, err := b.Doom(ctx, 100); n != want || err != nil {
			t.Errorf("Doom = %d, %v; want %d", n, err, want)
		}
	}
	if _, _, err := a.Expunge(ctx, acct, inbox, nil, false); err != nil {
		t.Fatal(err)
	}
	doom(0)
	if _, _, err := a.Move(ctx, acct, trash, to, inbox); err != nil {
		t.Fatal(err)
	}
	doom(0)
	if ref, err := b.BlobRef(ctx, id); err != nil || !ref.Doomed.IsZero() {
		t.Errorf("BlobRef: %+v, %v", ref, err)
	}
	if _, _, err := a.Expunge(ctx, acct, inbox, nil, false); err != nil {
		t.Fatal(err)
	}
	doom(1)
	doom(0)
	sound(t, a)
}
