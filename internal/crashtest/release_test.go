package crashtest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"posta/internal/app"
	"posta/internal/command"
	"posta/internal/store"
)

// releaseAll releases what is held, one after the other, in the child.
func releaseAll(ctx context.Context, state *app.State) error {
	list, err := state.Store.ListHeld(ctx, store.HeldFilter{})
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range list {
		raw, err := json.Marshal(command.HeldChoice{IDs: []int64{h.ID}})
		if err != nil {
			return err
		}
		_, err = command.Do(ctx, state.House(), command.Principal{Name: "test", Role: store.Owner}, "quarantine.release", raw)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// A release is killed and failed at each step, the first and a later one: each letter
// is held or in its mailbox, never both and never neither; when it is tried again all
// are in their mailboxes, once.
func TestReleaseAtEachStep(t *testing.T) {
	out := newOutside(t)
	h := &halfDead{newHouse(t), newLedger()}
	s := start(t, settings(h.data, out.sink, out.dns))
	l := begin(t, s, h.data, h.book, time.Millisecond)
	enough := func() bool {
		h.book.mu.Lock()
		defer h.book.mu.Unlock()
		n := 0
		for _, m := range h.book.letters {
			if m.door == "held" && m.fate == kept {
				n++
			}
		}
		return n >= 12
	}
	for end := time.Now().Add(time.Minute); !enough() && time.Now().Before(end) && !s.Dead(); {
		time.Sleep(5 * time.Millisecond)
	}
	l.end()
	s.stop()
	if !enough() {
		t.Fatalf("too little is held: %v\n%s", h.book.count(), s.Log())
	}
	for _, point := range slices.Concat(releasePoints, []string{"store.accept.deliver", "store.commit", "store.committed"}) {
		for _, how := range []string{"kill:1", "kill:5", "eio:5", "enospc:5"} {
			t.Run(point+":"+how, func(t *testing.T) {
				t.Parallel()
				data := h.clone(t)
				killed, err := runChild(t, "release", data, "", point+"="+how)
				// After a commit whose reply is an error it is asked whether it is held still.
				asked := point == "store.committed" && how[0] != 'k'
				if killed != (how[0] == 'k') || (err == nil) != asked {
					t.Fatalf("killed: %v, %v", killed, err)
				}
				held := func() (n int) {
					t.Helper()
					state := openState(t, data)
					defer closeState(t, state)
					h.book.compare(t, state, out.times)
					sound(t, state)
					for _, k := range inQuarantine(t, state) {
						n += k
					}
					return n
				}
				if n := held(); n == 0 && !asked {
					t.Error("nothing is held: the test shows nothing")
				}
				if _, err := runChild(t, "release", data, "", ""); err != nil {
					t.Fatalf("the release is not taken up: %v", err)
				}
				if n := held(); n != 0 {
					t.Errorf("%d are held still", n)
				}
			})
		}
	}
}
