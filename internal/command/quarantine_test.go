package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/blob/pack"
	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/durable"
	"posta/internal/mail"
	"posta/internal/quarantine"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

const heldText = "From: ines@bien.test\r\nSubject: hola\r\n\r\nuno\r\n"

// heldHouse is a House in which a letter is held for ana, luis and somebody who is
// gone, since a week, and one since today.
func heldHouse(t *testing.T) (*command.House, []int64) {
	t.Helper()
	now := time.Now()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := pack.Open(t.Context(), durable.NewMem(), "blobs", pack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close(); blobs.Close() })
	dir, err := directory.Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	h := &command.House{Store: st, Blobs: blobs, Directory: dir, Quarantine: &quarantine.Releaser{Store: st, Directory: dir}}
	give(t, h, "domain.add", `{"name":"empresa.test"}`, nil)
	for _, a := range []string{"ana", "luis"} {
		give(t, h, "account.add", fmt.Sprintf(`{"address":"%s@empresa.test","password":"correct horse"}`, a), nil)
	}
	var ids []int64
	for i, to := range []string{"ana", "luis", "nadie", "ana"} {
		at := now.Add(-7 * 24 * time.Hour)
		if i == 3 {
			at = now
		}
		id := blob.NewID(at)
		loc, err := blobs.Put(t.Context(), []blob.Record{{ID: id, Body: blob.Bytes([]byte(heldText))}})
		if err != nil {
			t.Fatal(err)
		}
		a := &store.Accept{ID: mail.NewID(at), Blob: store.NewBlob{ID: id, At: loc[0], Size: int64(len(heldText))}}
		a.Holds = []store.Quarantined{{
			Recipient: to + "@empresa.test", Domain: "empresa.test", Author: "ines@bien.test", Subject: "hola", Review: true, Reasons: []store.HoldReason{{Check: "dkim.missing"}},
			Stored: store.Delivery{Prefix: []byte("Return-Path: <ines@bien.test>\r\n"), InternalDate: at, Preview: "uno"}, Out: store.Enqueue{ReversePath: "ines@bien.test"},
		}}
		if _, err := st.Accept(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		list, err := st.ListHeld(t.Context(), store.HeldFilter{Message: a.ID})
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		ids = append(ids, list[0].ID)
	}
	return h, ids
}

// owner gives the commands of this file.
var owner = command.Principal{Name: "uid:0", Role: store.Owner}

// give gives a command and decodes its result.
func give(t *testing.T, h *command.House, name, args string, out any) {
	t.Helper()
	got, err := command.Do(t.Context(), h, owner, name, []byte(args))
	if err != nil {
		t.Fatalf("%s %s: %v", name, args, err)
	}
	b, err := json.Marshal(got)
	if err == nil && out != nil {
		err = json.Unmarshal(b, out)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func heldIDs(t *testing.T, h *command.House, args string) []int64 {
	t.Helper()
	var list []command.HeldItem
	give(t, h, "quarantine.ls", args, &list)
	var out []int64
	for _, it := range list {
		out = append(out, it.ID)
	}
	return out
}

func TestQuarantineList(t *testing.T) {
	h, ids := heldHouse(t)
	for args, want := range map[string][]int64{
		`{}`:                                  ids,
		`{"recipient":"ANA@empresa.test"}`:    {ids[0], ids[3]},
		`{"domain":"Empresa.test","limit":2}`: ids[:2],
		`{"overdue":true}`:                    ids[:3],
		`{"domain":"otra.test"}`:              nil,
	} {
		if got := heldIDs(t, h, args); !slices.Equal(got, want) {
			t.Errorf("ls %s: %v, want %v", args, got, want)
		}
	}
	// To show a message is to review it: it is overdue no longer.
	var shown command.HeldDetail
	give(t, h, "quarantine.show", fmt.Sprintf(`{"id":%d}`, ids[0]), &shown)
	if shown.Header != "Return-Path: <ines@bien.test>\nFrom: ines@bien.test\nSubject: hola" || shown.Preview != "uno" || !shown.Overdue || shown.From != "ines@bien.test" {
		t.Errorf("shown: %+v", shown)
	}
	var raw command.HeldDetail
	give(t, h, "quarantine.show", fmt.Sprintf(`{"id":%d,"raw":true}`, ids[0]), &raw)
	if string(raw.Raw) != heldText || raw.Reviewed.IsZero() || raw.Overdue {
		t.Errorf("raw: %+v", raw)
	}
	if got := heldIDs(t, h, `{"overdue":true}`); !slices.Equal(got, ids[1:3]) {
		t.Errorf("overdue after the review: %v", got)
	}
	log, err := h.Store.AuditLog(t.Context(), 1)
	if err != nil || log[0].Command != "quarantine.show" || log[0].Object != fmt.Sprintf("%d ana@empresa.test", ids[0]) {
		t.Errorf("audit: %+v, %v", log, err)
	}
}

// hooks remembers what it is told.
type hooks struct{ learnt []string }

func (k *hooks) LearnGood(_ context.Context, _ command.Principal, recipient string, m store.Contents) error {
	b, err := io.ReadAll(io.NewSectionReader(m.Blob, m.Skip, m.Blob.Size()))
	k.learnt = append(k.learnt, recipient+" "+string(m.Prefix)+string(b))
	return err
}

// A release teaches and allows if it is asked to, after it has happened; without
// anybody to teach nothing is released.
func TestQuarantineRelease(t *testing.T) {
	h, ids := heldHouse(t)
	refused := func(name, args string, kind error, key string) {
		t.Helper()
		_, err := command.Do(t.Context(), h, owner, name, []byte(args))
		if e, ok := errors.AsType[*command.Error](err); !errors.Is(err, kind) || !ok || e.Key != key {
			t.Errorf("%s %s: %v", name, args, err)
		}
	}
	one := fmt.Sprintf(`{"ids":[%d],"train":true}`, ids[0])
	refused("quarantine.release", `{"ids":[]}`, command.ErrUsage, "error.quarantine.which")
	refused("quarantine.release", one, command.ErrUsage, "error.quarantine.train")
	refused("quarantine.release", fmt.Sprintf(`{"ids":[%d]}`, ids[2]), command.ErrMissing, "error.quarantine.nowhere")
	refused("quarantine.release", `{"ids":[4711]}`, command.ErrMissing, "error.quarantine.none")
	refused("quarantine.delete", `{"ids":[4711]}`, command.ErrMissing, "error.quarantine.none")
	refused("quarantine.delete", `{"ids":[]}`, command.ErrUsage, "error.quarantine.which")
	refused("quarantine.show", `{"id":0}`, command.ErrMissing, "error.quarantine.none")
	refused("quarantine.ls", `{"message":"x"}`, command.ErrUsage, "error.quarantine.id")
	refused("digest.show", `{"token":"x"}`, command.ErrMissing, "error.digest.none")
	if got := heldIDs(t, h, `{}`); len(got) != 4 {
		t.Fatalf("refusals released something: %v", got)
	}
	helper := command.Principal{Name: "helper", Role: store.Helpdesk}
	for _, name := range []string{"quarantine.show", "quarantine.release", "quarantine.delete", "quarantine.term"} {
		if _, err := command.Do(t.Context(), h, helper, name, []byte(`{}`)); !errors.Is(err, command.ErrDenied) {
			t.Errorf("%s by the help desk: %v", name, err)
		}
	}
	k := &hooks{}
	h.Learner = k
	var out []command.Released
	give(t, h, "quarantine.release", fmt.Sprintf(`{"ids":[%d,%d],"train":true,"allow":true}`, ids[0], ids[1]), &out)
	if len(out) != 2 || len(out[0].Problems)+len(out[1].Problems) != 0 || !slices.Equal(out[1].Places, []string{"luis@empresa.test → inbox"}) {
		t.Errorf("released: %+v", out)
	}
	if want := "ana@empresa.test Return-Path: <ines@bien.test>\r\n" + heldText; len(k.learnt) != 2 || k.learnt[0] != want {
		t.Errorf("learnt: %q", k.learnt)
	}
	var entry command.AccessEntry
	give(t, h, "access.show", `{"key":"From:ines@bien.test"}`, &entry)
	if entry.Value != "OK" || entry.Who != "uid:0" || !strings.HasPrefix(entry.Note, "quarantine ") {
		t.Errorf("allowed: %+v", entry)
	}
	// What was done before a failure is told with it.
	refused("quarantine.release", fmt.Sprintf(`{"ids":[%d,%d]}`, ids[3], ids[2]), command.ErrMissing, "error.quarantine.part")
	var n command.Count
	give(t, h, "quarantine.delete", fmt.Sprintf(`{"ids":[%d,%d]}`, ids[2], ids[3]), &n)
	if left := heldIDs(t, h, `{}`); n.Changed != 1 || len(left) != 0 {
		t.Errorf("deleted %d, left %v", n.Changed, left)
	}
}

// What the access map says of a sender already is not changed by a release; a sender
// without a reverse-path cannot be allowed. Either is told, and the mail is released.
func TestQuarantineAllow(t *testing.T) {
	h, ids := heldHouse(t)
	give(t, h, "access.add", `{"key":"From:ines@bien.test","value":"REJECT"}`, nil)
	var out []command.Released
	give(t, h, "quarantine.release", fmt.Sprintf(`{"ids":[%d],"allow":true}`, ids[0]), &out)
	want := []string{"From:ines@bien.test", "REJECT"}
	if len(out) != 1 || len(out[0].Problems) != 1 || out[0].Problems[0].Key != "error.quarantine.known" || !slices.Equal(out[0].Problems[0].Args, want) {
		t.Errorf("released: %+v", out)
	}
	var entry command.AccessEntry
	give(t, h, "access.show", `{"key":"From:ines@bien.test"}`, &entry)
	if entry.Value != "REJECT" {
		t.Errorf("the map says %+v", entry)
	}
	now := time.Now()
	a := &store.Accept{ID: mail.NewID(now), Blob: store.NewBlob{ID: blob.NewID(now), At: blob.Location{Unit: "x", Length: 9}, Size: 9}}
	a.Holds = []store.Quarantined{{Recipient: "ana@empresa.test", Domain: "empresa.test"}}
	if _, err := h.Store.Accept(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	var list []command.HeldItem
	give(t, h, "quarantine.ls", fmt.Sprintf(`{"message":%q}`, a.ID), &list)
	give(t, h, "quarantine.release", fmt.Sprintf(`{"ids":[%d],"allow":true}`, list[0].ID), &out)
	if len(out) != 1 || len(out[0].Problems) != 1 || out[0].Problems[0].Key != "error.quarantine.nobody" {
		t.Errorf("released: %+v", out)
	}
}
