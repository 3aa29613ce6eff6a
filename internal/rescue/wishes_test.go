package rescue_test

import (
	"cmp"
	"reflect"
	"slices"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/command"
	"posta/internal/intake"
	"posta/internal/mail"
	"posta/internal/policy"
	"posta/internal/rescue"
	"posta/internal/store"
)

// leaving lists what waits in the queue, by address, without what a rebuild makes anew.
func (h *house) leaving() []store.QueueEntry {
	h.t.Helper()
	list, err := h.state.Store.ListQueue(h.t.Context(), store.QueueFilter{})
	if err != nil {
		h.t.Fatal(err)
	}
	for i := range list {
		q := &list[i]
		q.ID, q.Group, q.State, q.Held = 0, 0, 0, false
		q.Due, q.Created, q.Expires, q.Blob.At = time.Time{}, time.Time{}, time.Time{}, blob.Location{}
	}
	slices.SortFunc(list, func(a, b store.QueueEntry) int { return cmp.Compare(a.Address, b.Address) })
	return list
}

// Whatever was asked for with a message is asked for again when its queue entry is made
// from the bytes alone; what was not asked for is not.
func TestRebuildWishes(t *testing.T) {
	t.Parallel()
	mailWishes := map[string]func(*mail.Envelope){
		"nothing":    func(*mail.Envelope) {},
		"envid":      func(e *mail.Envelope) { e.EnvID = "QQ314159 <&>" },
		"ret":        func(e *mail.Envelope) { e.RetFull = true },
		"8bitmime":   func(e *mail.Envelope) { e.EightBit = true },
		"binarymime": func(e *mail.Envelope) { e.EightBit, e.Binary = true, true },
		"smtputf8":   func(e *mail.Envelope) { e.UTF8 = true },
		"requiretls": func(e *mail.Envelope) { e.RequireTLS = true },
	}
	rcptWishes := map[string]func(*mail.Recipient){
		"never":   func(r *mail.Recipient) { r.Notify = mail.NotifyNever },
		"success": func(r *mail.Recipient) { r.Notify = mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay },
		"orcpt":   func(r *mail.Recipient) { r.Original = "rfc822;\"<b>\"@example.org" },
	}
	h := newHouse(t)
	ana := h.state.Directory.View().ByLogin("ana@empresa.test")
	user := &mail.Client{Door: mail.Submission, Class: mail.Authenticated, Login: ana.Login, Account: int64(ana.ID), HELO: "localhost", EHLO: true}
	const way = "lmtp:unix:/run/lmtp" // of one of the recipients
	edit := `{"put": [{"kind": "transport", "key": "orcpt@example.org", "value": "` + way + `"}]}`
	if _, err := command.Do(t.Context(), h.state.House(), command.Principal{Name: "test", Role: store.Owner}, "rule.edit", []byte(edit)); err != nil {
		t.Fatal(err)
	}
	for name, w := range mailWishes {
		l := letter{from: "ana@empresa.test", to: []string{name + "@example.org", "ana@empresa.test"}, text: text(1, 500), wishes: w}
		if _, err := h.sendAs(t.Context(), user, l); err != nil {
			t.Fatal(name, err)
		}
	}
	for name, w := range rcptWishes {
		l := letter{from: "ana@empresa.test", to: []string{name + "@example.org", name + "2@example.net"}, text: text(2, 500), asks: w}
		if _, err := h.sendAs(t.Context(), user, l); err != nil {
			t.Fatal(name, err)
		}
	}
	want := h.leaving()
	if len(want) != len(mailWishes)+2*len(rcptWishes) {
		t.Fatalf("%d wait", len(want))
	}
	for _, q := range want {
		if (q.Domain == way) != (q.Address == "orcpt@example.org") {
			t.Errorf("%s leaves by %s", q.Address, q.Domain)
		}
		if !q.Sign || q.Account != ana.ID {
			t.Errorf("%s: sign %v, of account %d", q.Address, q.Sign, q.Account)
		}
	}
	h.rebuiltSame(want)
}

// rebuiltSame loses the metadata, rebuilds it and compares what waits then.
func (h *house) rebuiltSame(want []store.QueueEntry) {
	h.t.Helper()
	logins := map[string]string{} // the ids of accounts are new
	for _, q := range want {
		if acc := h.state.Directory.View().Account(q.Account); acc != nil {
			logins[q.Address] = acc.Login
		}
	}
	h.close()
	h.lose()
	if out := h.rebuild(rescue.Options{}); out.Held != int64(len(want)) || len(out.Problems) > 0 {
		h.t.Errorf("rebuilt: %+v", out)
	}
	h.sound()
	got := h.leaving()
	if len(got) != len(want) {
		h.t.Fatalf("%d wait, want %d", len(got), len(want))
	}
	for i := range got {
		login := ""
		if acc := h.state.Directory.View().Account(got[i].Account); acc != nil {
			login = acc.Login
		}
		if login != logins[got[i].Address] {
			h.t.Errorf("%s: of %q, want %q", got[i].Address, login, logins[got[i].Address])
		}
		got[i].Account, want[i].Account = 0, 0
		if !reflect.DeepEqual(got[i], want[i]) {
			h.t.Errorf("waits:\n%+v, was\n%+v", got[i], want[i])
		}
	}
}

// What an alias sends on is sealed after a rebuild too, with our results above it,
// whether or not the message is in a mailbox besides.
func TestRebuildSeals(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	boss := command.Principal{Name: "test", Role: store.Owner}
	for _, a := range []string{
		`{"address":"fuera@empresa.test","targets":["a@example.org","b@example.org"]}`,
		`{"address":"todos@tienda.test","targets":["c@example.org","ana@empresa.test"]}`,
	} {
		if _, err := command.Do(t.Context(), h.state.House(), boss, "alias.add", []byte(a)); err != nil {
			t.Fatal(err)
		}
	}
	for i, to := range [][]string{{"fuera@empresa.test"}, {"fuera@empresa.test", "todos@tienda.test"}} {
		l := letter{from: "x@example.net", to: to, text: text(i, 500), wishes: func(e *mail.Envelope) { e.EnvID = "Q1" }}
		if i == 1 {
			l.text = "Authentication-Results: mail.empresa.test; spf=pass\r\n" + l.text // prefix and skip
		}
		if _, err := h.sendAs(t.Context(), stranger("mx.example.net"), l); err != nil {
			t.Fatal(err)
		}
	}
	want := h.leaving()
	if len(want) != 5 || want[4].Seal != "tienda.test" || want[4].Original != "rfc822;todos@tienda.test" || want[0].Seal != "empresa.test" {
		t.Fatalf("waits: %+v", want)
	}
	h.rebuiltSame(want)
}

// What is held for an alias that leads elsewhere leaves sealed and with its wishes,
// when it is released after a rebuild.
func TestRebuildHeldWishes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.in = intake.New(intake.Config{Hostname: h.cfg.Hostname, TempDir: t.TempDir(), Policies: policy.NewLive(policy.Guia)},
		h.state.Directory, h.state.Store, h.state.Blobs, world, nil)
	boss := command.Principal{Name: "test", Role: store.Owner}
	alias := func() {
		t.Helper()
		for name, args := range map[string]string{"alias.add": `{"address":"fuera@tienda.test","targets":["a@example.org"]}`} {
			if _, err := command.Do(t.Context(), h.state.House(), boss, name, []byte(args)); err != nil {
				t.Fatal(err)
			}
		}
	}
	alias()
	if _, err := h.send(t.Context(), letter{from: "ana@empresa.test", to: []string{"eva@tienda.test"}, text: text(0, 500)}); err != nil {
		t.Fatal(err)
	}
	l := letter{from: "x@example.net", to: []string{"fuera@tienda.test"}, text: text(1, 500)}
	l.wishes = func(e *mail.Envelope) { e.EnvID, e.RetFull, e.RequireTLS, e.EightBit = "Q2", true, true, true }
	l.asks = func(r *mail.Recipient) { r.Original, r.Notify = "rfc822;first@example.com", mail.NotifySuccess }
	if _, err := h.sendAs(t.Context(), stranger("mx.example.net"), l); err != nil {
		t.Fatal(err)
	}
	want := h.heldHere()
	if len(want) != 1 || want[0].Out.Seal != "tienda.test" {
		t.Fatalf("held: %+v", want)
	}
	h.close()
	h.lose()
	h.rebuild(rescue.Options{})
	got := h.heldHere()
	if len(got) != 1 {
		t.Fatalf("held again: %+v", got)
	}
	got[0].Blob.At = want[0].Blob.At
	if !reflect.DeepEqual(got[0], want[0]) {
		t.Errorf("held again:\n%+v, was\n%+v", got[0], want[0])
	}
	alias() // aliases are not beside the bytes
	list, err := h.state.Store.ListHeld(t.Context(), store.HeldFilter{Whole: true})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if _, err := h.state.House().Quarantine.Release(t.Context(), &list[0], store.Audit{Principal: boss.Name, Command: "quarantine.release"}); err != nil {
		t.Fatal(err)
	}
	q := h.leaving()
	if len(q) != 1 || q[0].Seal != "tienda.test" || q[0].EnvID != "Q2" || !q[0].RetFull || !q[0].RequireTLS || !q[0].EightBit ||
		q[0].Original != "rfc822;first@example.com" || q[0].Notify != mail.NotifySuccess {
		t.Errorf("leaves: %+v", q)
	}
	h.sound()
}
