package intake

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/command"
	"posta/internal/mail"
	"posta/internal/policy"
	"posta/internal/quarantine"
	"posta/internal/store"
	"posta/internal/trace"
)

// strictly is a house with the values of the five guides.
func strictly(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	h.cfg.Policies = policy.NewLive(policy.Guia)
	return h
}

func (h *house) held(f store.HeldFilter) []store.HeldMail {
	h.t.Helper()
	f.Whole = true
	list, err := h.store.ListHeld(h.t.Context(), f)
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

func (h *house) release(m *store.HeldMail) ([]string, error) {
	r := &quarantine.Releaser{Store: h.store, Directory: h.dir}
	return r.Release(h.t.Context(), m, store.Audit{Principal: "uid:0", Command: "quarantine.release"})
}

// An unsigned letter is accepted and held for its recipient, in no mailbox, with what
// held it; released it is in the inbox as if it had come there, and cannot be released
// again.
func TestHeldAndReleased(t *testing.T) {
	h := strictly(t)
	rcpt, final := h.talk(stranger(), "a@good.example", []string{"Ana+x@empresa.test"}, letter)
	if len(rcpt) != 0 || len(final) != 1 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	if n := len(h.mailIn("ana", "INBOX")) + len(h.mailIn("ana", "Junk")); n != 0 {
		t.Errorf("%d letters are in mailboxes", n)
	}
	list := h.held(store.HeldFilter{})
	if len(list) != 1 {
		t.Fatalf("held: %+v", list)
	}
	m := &list[0]
	var checks []string
	for _, r := range m.Reasons {
		checks = append(checks, r.Check)
	}
	if m.Recipient != "Ana+x@empresa.test" || m.Domain != "empresa.test" || m.Author != "a@good.example" || m.Subject != "hola" || !m.Review ||
		!slices.Contains(checks, "dkim.missing") || !slices.Contains(checks, "dmarc.missing") || m.Out.ReversePath != "a@good.example" {
		t.Errorf("held: %+v", m)
	}
	if b, err := blob.ReadAll(t.Context(), h.blobs, m.Blob.ID, m.Blob.At); err != nil || string(b) != letter {
		t.Errorf("the bytes are %q, %v", b, err)
	}
	h.tracedAs(m.Message, "quarantine", nil)
	places, err := h.release(m)
	if err != nil || !slices.Equal(places, []string{"ana@empresa.test → inbox"}) {
		t.Errorf("release: %v, %v", places, err)
	}
	got := h.mailIn("ana", "INBOX")
	if len(got) != 1 || !strings.HasSuffix(got[0], "\r\n"+letter) || !strings.HasPrefix(got[0], "Return-Path: <a@good.example>\r\nAuthentication-Results: ") {
		t.Errorf("in the inbox: %q", got)
	}
	if _, err := h.release(m); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("released again: %v", err)
	}
	h.tracedAs(m.Message, "quarantine", []string{"released ana@empresa.test → inbox (uid:0)"})
	h.soundStore()
}

// tracedAs holds the trace of a held message against what is expected.
func (h *house) tracedAs(id mail.ID, action string, events []string) {
	h.t.Helper()
	st, err := h.store.Trace(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	rec, err := trace.Decode(st.TraceRecord)
	if err != nil || rec.To[0].Action != action || !slices.Equal(rec.To[0].Effects, []string{"quarantine"}) {
		h.t.Errorf("trace: %+v, %v", rec, err)
	}
	var got []string
	for _, e := range st.Events {
		ev, err := trace.DecodeEvent(e)
		if err != nil {
			h.t.Fatal(err)
		}
		got = append(got, ev.Kind+" "+ev.Note)
	}
	if !slices.Equal(got, events) {
		h.t.Errorf("events: %q, want %q", got, events)
	}
}

func (h *house) soundStore() {
	h.t.Helper()
	if err := h.store.Verify(h.t.Context(), func(b store.Breach) { h.t.Errorf("%s: %s", b.Invariant, b.Detail) }); err != nil {
		h.t.Error(err)
	}
}

// Each recipient is held by himself, once; an alias is followed at release, so its
// member elsewhere gets the letter then, and an account that has it already does not
// get it twice.
func TestHeldForEach(t *testing.T) {
	h := strictly(t)
	to := []string{"ana@empresa.test", "ventas@empresa.test", "ANA@empresa.test", "postmaster@empresa.test"}
	if rcpt, final := h.talk(stranger(), "a@good.example", to, letter); len(rcpt) != 0 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	if got := h.mailIn("ana", "INBOX"); len(got) != 1 { // as postmaster
		t.Errorf("in ana's inbox: %q", got)
	}
	list := h.held(store.HeldFilter{})
	if len(list) != 2 || list[0].Recipient != to[0] || list[1].Recipient != to[1] || list[0].Message != list[1].Message {
		t.Fatalf("held: %+v", list)
	}
	if q, err := h.store.ListQueue(t.Context(), store.QueueFilter{}); err != nil || len(q) != 0 {
		t.Errorf("queued already: %+v, %v", q, err)
	}
	places, err := h.release(&list[1])
	if want := []string{"ana@empresa.test → inbox", "luis@empresa.test → inbox", "queue → fuera@good.example"}; err != nil || !slices.Equal(places, want) {
		t.Errorf("release: %v, %v", places, err)
	}
	if a, l := len(h.mailIn("ana", "INBOX")), len(h.mailIn("luis", "INBOX")); a != 1 || l != 1 {
		t.Errorf("ana has it %d times, luis %d times", a, l)
	}
	q, err := h.store.ListQueue(t.Context(), store.QueueFilter{})
	if err != nil || len(q) != 1 || q[0].Address != "fuera@good.example" || q[0].ReversePath != "a@good.example" || q[0].Message != list[1].Message ||
		q[0].Original != "rfc822;ventas@empresa.test" || q[0].Sign || strings.Contains(string(q[0].Prefix), "Return-Path") ||
		q[0].Seal != "empresa.test" || !strings.HasPrefix(string(q[0].Prefix), "Authentication-Results: mx.empresa.test;") || !strings.Contains(string(q[0].Prefix), "\r\nReceived: ") {
		t.Errorf("queued: %+v, %v", q, err)
	}
	h.soundStore()
}

// LMTP answers 250 for what it holds.
func TestHeldOverLMTP(t *testing.T) {
	h := strictly(t)
	c := stranger()
	c.Door = mail.LMTP
	rcpt, final := h.talk(c, "a@good.example", []string{"ana@empresa.test", "luis@empresa.test"}, letter)
	if len(rcpt) != 0 || len(final) != 2 || final[0].Code != 250 || final[1].Code != 250 {
		t.Fatal(rcpt, final)
	}
	if list := h.held(store.HeldFilter{}); len(list) != 2 {
		t.Errorf("held: %+v", list)
	}
}

// Over SMTP a recipient who would have refused is held when another accepts
// (DESIGN §2.5).
func TestHeldInsteadOfBounce(t *testing.T) {
	h := newHouse(t)
	forged := strings.Replace(letter, "a@good.example", "boss@bank.example", 1)
	rcpt, final := h.talk(stranger(), "a@good.example", []string{"postmaster@empresa.test", "luis@empresa.test"}, forged)
	if len(rcpt) != 0 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	list := h.held(store.HeldFilter{})
	if len(list) != 1 || list[0].Recipient != "luis@empresa.test" || list[0].Reasons[0].Check != "dmarc.fail" || list[0].Reasons[0].Seen == "" || !list[0].Review {
		t.Errorf("held: %+v", list)
	}
	if n := len(h.mailIn("luis", "INBOX")) + len(h.mailIn("luis", "Junk")); n != 0 {
		t.Errorf("luis has %d letters", n)
	}
}

// A repeat of what was held, whose 250 was lost, is held once (RFC 1047).
func TestHeldOnce(t *testing.T) {
	h := strictly(t)
	h.cfg.Shared = true
	for range 2 {
		if rcpt, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, letter); len(rcpt) != 0 || final[0].Code != 250 {
			t.Fatal(rcpt, final)
		}
	}
	if list := h.held(store.HeldFilter{}); len(list) != 1 {
		t.Errorf("held %d times", len(list))
	}
}

// Two who release at once release once; a recipient that is gone keeps his letter
// held.
func TestReleaseRaces(t *testing.T) {
	h := strictly(t)
	h.alias("equipo", []string{"luis@empresa.test"})
	if rcpt, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test", "equipo@empresa.test"}, letter); len(rcpt) != 0 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	list := h.held(store.HeldFilter{})
	var done, late atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			switch _, err := h.release(&list[0]); {
			case err == nil:
				done.Add(1)
			case errors.Is(err, store.ErrNotFound):
				late.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := h.mailIn("ana", "INBOX"); done.Load() != 1 || late.Load() != 7 || len(got) != 1 {
		t.Errorf("%d released, %d were late, %d letters are there", done.Load(), late.Load(), len(got))
	}
	err := h.store.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		v, err := tx.View()
		if err != nil {
			return store.Audit{}, err
		}
		return store.Audit{}, tx.DeleteAddress(v.Domains[0].ID, "equipo")
	})
	if err == nil {
		err = h.dir.Refresh(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.release(&list[1]); !errors.Is(err, command.ErrNowhere) {
		t.Errorf("released to nobody: %v", err)
	}
	if left := h.held(store.HeldFilter{}); len(left) != 1 || left[0].ID != list[1].ID {
		t.Errorf("left: %+v", left)
	}
	h.soundStore()
}

// An alias of thousands is released in one transaction and a job, as it would have
// been accepted; two releases of one message do not take each other's job.
func TestReleaseCrowd(t *testing.T) {
	h := strictly(t)
	h.alias("todos", crowd("u", 990))
	h.alias("otros", crowd("w", 990))
	h.alias("miles", []string{"todos@empresa.test", "ana@empresa.test", "luis@empresa.test", "fuera1@good.example"})
	if rcpt, final := h.talk(stranger(), "a@good.example", []string{"miles@empresa.test", "otros@empresa.test"}, letter); len(rcpt) != 0 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	for _, m := range h.held(store.HeldFilter{}) {
		if _, err := h.release(&m); err != nil {
			t.Fatal(err)
		}
	}
	h.finish()
	got := 0
	for after := int64(0); ; {
		page, err := h.store.ListQueue(t.Context(), store.QueueFilter{After: after})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		got += len(page)
		after = page[len(page)-1].ID
	}
	if got != 990+990+1 || len(h.mailIn("ana", "INBOX")) != 1 || len(h.mailIn("luis", "INBOX")) != 1 {
		t.Errorf("%d are queued, want %d; ana has %d, luis %d", got, 990+990+1, len(h.mailIn("ana", "INBOX")), len(h.mailIn("luis", "INBOX")))
	}
	h.soundStore()
}

// What is held has a bound, so that strangers cannot fill the disk: above it a letter
// is put off, save where another recipient takes it anyhow. When room was made it
// comes in again.
func TestNoRoomToHold(t *testing.T) {
	h := newHouse(t)
	h.cfg.Policies = policy.NewLive(policy.Guia)
	h.do("policy.put", command.PolicyText{Text: "level = 'guia'\n[quarantine]\nmax_mib = 1\n[[exception]]\nfor = ['luis@empresa.test']\nlevel = 'lenient'"}, nil)
	now := time.Now()
	h.cfg.Now = func() time.Time { return now }
	large := func(n int) string {
		return fmt.Sprintf("Subject: %d\r\n", n) + letter + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 9000)
	}
	send := func(n int, to ...string) string {
		_, final := h.talk(stranger(), "a@good.example", to, large(n))
		if len(final) != 1 {
			t.Fatalf("%d: %v", n, final)
		}
		return final[0].String()
	}
	if got := send(1, "ana@empresa.test"); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	if got := send(2, "ana@empresa.test"); !strings.HasPrefix(got, "451 4.3.1 ") || !strings.Contains(got, "[quarantine.full]") {
		t.Error(got)
	}
	if got := send(3, "ana@empresa.test", "luis@empresa.test"); !strings.HasPrefix(got, "250 ") {
		t.Error("another recipient takes it:", got)
	}
	list := h.held(store.HeldFilter{})
	if len(list) != 2 || len(h.mailIn("luis", "INBOX")) != 1 {
		t.Errorf("%d are held", len(list))
	}
	var ids []int64
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	if _, err := h.store.DropHeld(t.Context(), ids, func(store.HeldMail) store.TraceEvent { return store.TraceEvent{At: now, Body: []byte("x")} }, store.Audit{At: now, Command: "quarantine.delete"}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(heldFresh)
	if got := send(2, "ana@empresa.test"); !strings.HasPrefix(got, "250 ") {
		t.Error("there is room again:", got)
	}
}
