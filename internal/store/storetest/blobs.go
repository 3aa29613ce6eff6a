package storetest

import (
	"errors"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// The life of a blob's row: alive while anything refers to it, doomed after,
// forgotten when its bytes are gone.
func testBlobLife(t *testing.T, a, b store.Store) {
	ana := person(t, a, 0)
	inbox := named(t, a, ana, "INBOX").ID
	kept, dead, nobody := letter(100), letter(200), letter(300)
	for _, l := range []store.NewBlob{kept, dead} {
		if _, err := a.Accept(t.Context(), &store.Accept{ID: mail.NewID(time.Now()), Blob: l, Deliveries: []store.Delivery{into(ana, store.Target{ID: inbox})}}); err != nil {
			t.Fatal(err)
		}
	}
	// Everybody's filing discards it: the accept refers to no blob.
	if _, err := a.Accept(t.Context(), &store.Accept{ID: mail.NewID(time.Now()), Blob: nobody}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Expunge(t.Context(), ana, inbox, []mailbox.UID{2}, false); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Doom(t.Context(), 1); err != nil || n != 1 {
		t.Errorf("Doom of at most one: %d, %v", n, err)
	}
	if n, err := b.Doom(t.Context(), 100); err != nil || n != 1 {
		t.Errorf("Doom of the rest: %d, %v", n, err)
	}
	if n, err := a.Doom(t.Context(), 100); err != nil || n != 0 {
		t.Errorf("Doom again: %d, %v", n, err)
	}
	doomed, err := a.Doomed(t.Context(), time.Now().Add(time.Hour), 100)
	if err != nil || len(doomed) != 2 || doomed[0].Doomed.IsZero() {
		t.Errorf("Doomed: %+v, %v", doomed, err)
	}
	if early, err := a.Doomed(t.Context(), time.Now().Add(-time.Hour), 100); err != nil || len(early) != 0 {
		t.Errorf("doomed before an hour ago: %+v, %v", early, err)
	}
	again := &store.Accept{ID: mail.NewID(time.Now()), Blob: store.NewBlob{ID: dead.ID, Size: 200}, Deliveries: []store.Delivery{into(ana, store.Target{ID: inbox})}}
	if _, err := b.Accept(t.Context(), again); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a new reference to a doomed blob: %v, want ErrNotFound", err)
	}
	if use, err := a.UnitUse(t.Context()); err != nil || use["test/0"] != 180+280+380 {
		t.Errorf("UnitUse: %v, %v", use, err)
	}
	testMoves(t, a, b, kept)
	if err := a.Forget(t.Context(), []blob.ID{kept.ID, dead.ID, nobody.ID}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[blob.ID]error{kept.ID: nil, dead.ID: store.ErrNotFound, nobody.ID: store.ErrNotFound} {
		if _, err := b.BlobRef(t.Context(), id); !errors.Is(err, want) {
			t.Errorf("BlobRef after Forget: %v, want %v", err, want)
		}
	}
	var seen []blob.ID
	if err := b.EachBlob(t.Context(), func(r store.BlobRef) error { seen = append(seen, r.ID); return nil }); err != nil || len(seen) != 1 || seen[0] != kept.ID {
		t.Errorf("EachBlob: %v, %v", seen, err)
	}
	sound(t, a)
}

// A move that comes too late moves nothing.
func testMoves(t *testing.T, a, b store.Store, l store.NewBlob) {
	to := blob.Location{Unit: "test/1", Offset: 64, Length: l.At.Length}
	late := blob.Location{Unit: "test/2", Length: l.At.Length}
	moves := []blob.Move{{ID: l.ID, From: l.At, To: to}, {ID: l.ID, From: l.At, To: late}, {ID: blob.NewID(time.Now()), From: l.At, To: late}}
	if err := a.MoveBlobs(t.Context(), moves); err != nil {
		t.Fatal(err)
	}
	ref, err := b.BlobRef(t.Context(), l.ID)
	if err != nil || ref.At != to || ref.Size != l.Size || ref.SHA256 != l.SHA256 || !ref.Doomed.IsZero() {
		t.Errorf("after the move: %+v, %v; want %v", ref, err, to)
	}
}
