package sqlstore

import (
	"errors"
	"testing"
	"time"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// A release whose connection breaks has happened wholly or not at all, and is not
// done twice by whoever tries again.
func testPGHeldCuts(t *testing.T, server *pgServer) {
	db := server.newDB(t)
	proxy := newCutProxy(t, server.Port)
	s := mustOpen(t, Options{Postgres: server.dsnAt(proxy.port(), db)})
	ana := makeAccount(t, s, "ana", "example.org")
	inbox := inboxOf(t, s, ana)
	want := 0
	for _, test := range []struct {
		name    string
		cuts    []cut
		unknown bool
		done    bool
	}{
		{"no cut", nil, false, true},
		{"at BEGIN", []cut{{word: "BEGIN"}}, false, true},
		{"in the middle", []cut{{word: "Dear Ana"}}, false, true},
		{"in the middle, its reply lost", []cut{{word: "Dear Ana", forward: true}}, false, true},
		{"before COMMIT arrives", []cut{{word: "COMMIT"}}, true, false},
		{"after COMMIT arrives", []cut{{word: "COMMIT", forward: true}}, true, true},
	} {
		a := letterFor(time.Now())
		a.Trace = nil // what finds traces commits by itself, and must not meet the cut
		a.Holds = []store.Quarantined{{Recipient: "ana@example.org", Domain: "example.org"}}
		if _, err := s.Accept(t.Context(), a); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		held, err := s.ListHeld(t.Context(), store.HeldFilter{Message: a.ID})
		if err != nil || len(held) != 1 {
			t.Fatalf("%s: %+v, %v", test.name, held, err)
		}
		release := &store.Accept{
			ID: a.ID, Blob: store.NewBlob{ID: a.Blob.ID, Size: a.Blob.Size}, Release: &store.HeldRelease{ID: held[0].ID},
			Deliveries: []store.Delivery{{Account: ana, Target: store.Target{Role: mailbox.Inbox}, Preview: "Dear Ana"}},
		}
		proxy.arm(test.cuts...)
		if _, err = s.Accept(t.Context(), release); errors.Is(err, store.ErrUnknown) != test.unknown || (err != nil) != test.unknown {
			t.Errorf("%s: %v", test.name, err)
		}
		held, err = s.ListHeld(t.Context(), store.HeldFilter{Message: a.ID})
		for end := time.Now().Add(10 * time.Second); test.unknown && test.done && len(held) > 0 && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond) // the server has the COMMIT, and may not have done it yet
			held, err = s.ListHeld(t.Context(), store.HeldFilter{Message: a.ID})
		}
		if err != nil || len(held) == 0 != test.done {
			t.Errorf("%s: %d are held still; %v", test.name, len(held), err)
		}
		switch _, err := s.Accept(t.Context(), release); {
		case test.done && !errors.Is(err, store.ErrNotFound):
			t.Errorf("%s: released again: %v", test.name, err)
		case !test.done && err != nil:
			t.Errorf("%s: not released at the second try: %v", test.name, err)
		}
		want++
		if uids, _, err := s.UIDs(t.Context(), ana, inbox); err != nil || len(uids) != want {
			t.Errorf("%s: %d letters in the inbox, want %d; %v", test.name, len(uids), want, err)
		}
	}
	checkSound(t, s)
}
