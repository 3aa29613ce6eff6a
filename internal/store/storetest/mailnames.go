package storetest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// testMailboxNames walks through the rules of mailbox names: RFC 9051 §5.1,
// §6.3.4 to §6.3.9.
func testMailboxNames(t *testing.T, a, b store.Store) {
	acct := person(t, a, 0)
	ctx := t.Context()
	for _, c := range []struct {
		what, name string
		role       mailbox.Role
		want       error
	}{
		{"a name", "Lists", mailbox.None, nil},
		{"the same name", "Lists", mailbox.None, store.ErrExists},
		{"below it", "Lists/go", mailbox.None, nil},
		{"with parents that are missing", "Kunden/2026/März", mailbox.None, nil},
		{"names differ by case", "lists", mailbox.None, nil},
		{"INBOX in any case", "inBox", mailbox.None, store.ErrExists},
		{"below INBOX in any case", "inbox/old", mailbox.None, nil},
		{"below INBOX again", "INBOX/old", mailbox.None, store.ErrExists},
		{"a role that is taken", "Spam", mailbox.Junk, store.ErrExists},
		{"a role that is free", "Saved", mailbox.Recovered, nil},
		{"an empty name", "", mailbox.None, store.ErrInvalid},
		{"an empty level", "a//b", mailbox.None, store.ErrInvalid},
		{"a separator at the end", "a/", mailbox.None, store.ErrInvalid},
		{"a separator at the start", "/a", mailbox.None, store.ErrInvalid},
		{"a control character", "a\r\nb", mailbox.None, store.ErrInvalid},
		{"not UTF-8", "a\xff", mailbox.None, store.ErrInvalid},
		{"too long", strings.Repeat("x", 2000), mailbox.None, store.ErrInvalid},
		{"too deep", strings.Repeat("x/", 100) + "x", mailbox.None, store.ErrInvalid},
	} {
		m, err := a.CreateMailbox(ctx, acct, c.name, c.role)
		if !errors.Is(err, c.want) || (c.want == nil && (m.ID == 0 || m.UIDValidity == 0 || m.UIDNext != 1 || m.Role != c.role)) {
			t.Errorf("%s: CreateMailbox(%.20q) = %+v, %v; want %v", c.what, c.name, m, err, c.want)
		}
	}
	if m := named(t, b, acct, "Kunden/2026"); m.Exists != 0 {
		t.Errorf("a parent: %+v", m)
	}
	named(t, b, acct, "INBOX/old")

	kunden, lists := named(t, a, acct, "Kunden"), named(t, a, acct, "Lists")
	for _, c := range []struct {
		what string
		err  error
		want error
	}{
		{"rename to what is there", a.RenameMailbox(ctx, acct, kunden.ID, "Lists"), store.ErrExists},
		{"rename below itself", a.RenameMailbox(ctx, acct, kunden.ID, "Kunden/2026/Kunden"), store.ErrInvalid},
		{"rename to itself", a.RenameMailbox(ctx, acct, kunden.ID, "Kunden"), store.ErrExists},
		{"rename to nothing", a.RenameMailbox(ctx, acct, kunden.ID, ""), store.ErrInvalid},
		{"rename what is not there", a.RenameMailbox(ctx, acct, kunden.ID+1000000, "x"), store.ErrNotFound},
		{"rename another's", a.RenameMailbox(ctx, person(t, a, 0), kunden.ID, "x"), store.ErrNotFound},
		{"rename with children", b.RenameMailbox(ctx, acct, kunden.ID, "Old/Clients"), nil},
		{"delete with children", a.DeleteMailbox(ctx, acct, lists.ID), store.ErrConflict},
		{"delete INBOX", a.DeleteMailbox(ctx, acct, named(t, a, acct, "INBOX").ID), store.ErrConflict},
		{"delete what is not there", a.DeleteMailbox(ctx, acct, lists.ID+1000000), store.ErrNotFound},
	} {
		if !errors.Is(c.err, c.want) || (c.want == nil && c.err != nil) {
			t.Errorf("%s: %v, want %v", c.what, c.err, c.want)
		}
	}
	if m := named(t, a, acct, "Old/Clients/2026/März"); m.Account != acct {
		t.Errorf("after the rename: %+v", m)
	}
	if m, err := b.GetMailbox(ctx, acct, kunden.ID); err != nil || m.Name != "Old/Clients" || m.UIDValidity != kunden.UIDValidity {
		t.Errorf("GetMailbox: %+v, %v", m, err)
	}
	if _, err := b.GetMailbox(ctx, person(t, b, 0), kunden.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("GetMailbox of another's: %v", err)
	}
	testSubscriptions(t, a, b, acct)
	sound(t, a)
}

func testSubscriptions(t *testing.T, a, b store.Store, acct mailbox.AccountID) {
	ctx := t.Context()
	before, err := a.Subscriptions(ctx, acct)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Lists/go", "no such mailbox", "inbox", "Lists/go"} {
		if err := a.SetSubscribed(ctx, acct, name, true); err != nil {
			t.Errorf("SetSubscribed(%s): %v", name, err)
		}
	}
	got, err := b.Subscriptions(ctx, acct)
	want := slices.Sorted(slices.Values(append(before, "INBOX", "Lists/go", "no such mailbox")))
	want = slices.Compact(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Subscriptions = %q, %v; want %q", got, err, want)
	}
	if !named(t, b, acct, "Lists/go").Subscribed || !named(t, b, acct, "INBOX").Subscribed {
		t.Error("a subscribed mailbox is not listed as such")
	}
	if err := b.SetSubscribed(ctx, acct, "Lists/go", false); err != nil {
		t.Error(err)
	}
	if named(t, a, acct, "Lists/go").Subscribed {
		t.Error("still subscribed")
	}
	// RFC 9051 §6.3.5: deleting a mailbox leaves the subscription.
	if err := a.SetSubscribed(ctx, acct, "Lists/go", true); err != nil {
		t.Error(err)
	}
	if err := a.DeleteMailbox(ctx, acct, named(t, a, acct, "Lists/go").ID); err != nil {
		t.Error(err)
	}
	if got, err := a.Subscriptions(ctx, acct); err != nil || !slices.Contains(got, "Lists/go") {
		t.Errorf("after the delete: %q, %v", got, err)
	}
}

// testInboxRename: its messages move away, INBOX stays and is empty, and what
// lies below it stays (RFC 9051 §6.3.6).
func testInboxRename(t *testing.T, a, b store.Store) {
	acct := person(t, a, 0)
	inbox := named(t, a, acct, "INBOX")
	below, err := a.CreateMailbox(t.Context(), acct, "INBOX/below", mailbox.None)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		send(t, a, 100, into(acct, store.Target{Role: mailbox.Inbox}))
	}
	send(t, a, 100, into(acct, store.Target{ID: below.ID}))
	if err := b.RenameMailbox(t.Context(), acct, inbox.ID, "Old/2025"); err != nil {
		t.Fatalf("RenameMailbox: %v", err)
	}
	old := named(t, a, acct, "Old/2025")
	if old.ID == inbox.ID || old.Exists != 5 || old.Unseen != 5 || old.Role != mailbox.None {
		t.Errorf("the new mailbox: %+v", old)
	}
	if m := named(t, a, acct, "INBOX"); m.ID != inbox.ID || m.Exists != 0 || m.Role != mailbox.Inbox || m.UIDNext < 6 {
		t.Errorf("INBOX: %+v", m)
	}
	if m := named(t, a, acct, "INBOX/below"); m.Exists != 1 {
		t.Errorf("below INBOX: %+v", m)
	}
	sound(t, a)
}

// testUIDValidity: a mailbox made again under an old name has another one.
func testUIDValidity(t *testing.T, a, b store.Store) {
	acct := person(t, a, 0)
	seen := map[uint32]bool{}
	last := mailbox.ID(0)
	for range 5 {
		m, err := a.CreateMailbox(t.Context(), acct, "again", mailbox.None)
		if err != nil {
			t.Fatal(err)
		}
		if seen[m.UIDValidity] || m.ID <= last {
			t.Errorf("mailbox %d has UIDVALIDITY %d again", m.ID, m.UIDValidity)
		}
		seen[m.UIDValidity], last = true, m.ID
		send(t, b, 10, into(acct, store.Target{Name: "again"}))
		if err := b.DeleteMailbox(t.Context(), acct, m.ID); err != nil {
			t.Fatal(err)
		}
	}
}
