package rescue_test

import (
	"reflect"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/intake"
	"posta/internal/mailbox"
	"posta/internal/policy"
	"posta/internal/rescue"
	"posta/internal/store"
)

// heldHere lists what is held, without what is new after a rebuild.
func (h *house) heldHere() []store.HeldMail {
	h.t.Helper()
	list, err := h.state.Store.ListHeld(h.t.Context(), store.HeldFilter{Whole: true})
	if err != nil {
		h.t.Fatal(err)
	}
	for i := range list {
		list[i].ID = 0
		list[i].At, list[i].Stored.InternalDate = list[i].At.Truncate(time.Second), list[i].Stored.InternalDate.Truncate(time.Second)
	}
	return list
}

// What is held comes back held, for each of its recipients, from the bytes alone; it
// can be released then.
func TestRebuildHeld(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.in = intake.New(intake.Config{Hostname: h.cfg.Hostname, TempDir: t.TempDir(), Policies: policy.NewLive(policy.Guia)},
		h.state.Directory, h.state.Store, h.state.Blobs, world, nil)
	if _, err := h.send(t.Context(), letter{from: "ana@empresa.test", to: []string{"ana@empresa.test"}, text: text(0, 900)}); err != nil {
		t.Fatal(err)
	}
	l := letter{from: "x@example.net", to: []string{"ana@empresa.test", "luis@empresa.test"}, text: text(1, 900)}
	if _, err := h.sendAs(t.Context(), stranger("mx.example.net"), l); err != nil {
		t.Fatal(err)
	}
	l.to, l.text = []string{"eva@tienda.test"}, "Authentication-Results: mail.empresa.test; spf=pass\r\n"+text(2, 900)
	if _, err := h.sendAs(t.Context(), stranger("mx.example.net"), l); err != nil {
		t.Fatal(err)
	}
	want := h.heldHere()
	if len(want) != 3 || want[2].Stored.Skip == 0 {
		t.Fatalf("held: %+v", want)
	}
	h.sound()
	h.close()
	h.lose()
	out := h.rebuild(rescue.Options{})
	if out.Hold != 3 || len(out.Problems) != 0 {
		t.Errorf("rebuilt: %+v", out)
	}
	got := h.heldHere()
	if len(got) != 3 {
		t.Fatalf("held again: %+v", got)
	}
	for i := range got {
		got[i].Blob.At = want[i].Blob.At
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("held again:\n%+v, was\n%+v", got[i], want[i])
		}
	}
	h.sound()
	list, err := h.state.Store.ListHeld(t.Context(), store.HeldFilter{Recipient: "luis@empresa.test", Whole: true})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	// Only who had mail in mailboxes has an account again.
	boss := command.Principal{Name: "test", Role: store.Owner}
	release := func() error {
		_, err := h.state.House().Quarantine.Release(t.Context(), &list[0], store.Audit{Principal: boss.Name, Command: "quarantine.release"})
		return err
	}
	if err := release(); err == nil {
		t.Error("released to nobody")
	}
	if _, err := command.Do(t.Context(), h.state.House(), boss, "account.add", []byte(`{"address":"luis@empresa.test","password":"correct horse"}`)); err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Errorf("released after the rebuild: %v", err)
	}
	acc := h.state.Directory.View().ByLogin("luis@empresa.test")
	boxes, err := h.state.Store.ListMailboxes(t.Context(), acc.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range boxes {
		if b.Role == mailbox.Inbox && b.Exists != 1 {
			t.Errorf("luis has %d letters", b.Exists)
		}
	}
	h.sound()
}
