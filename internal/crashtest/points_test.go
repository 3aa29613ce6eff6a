package crashtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/mailbox"
	"posta/internal/rescue"
)

// serverPoints are the steps of accept, append, expunge and relay at which a
// server is killed, or is told that the disk fails. docs/DURABILITY.md lists them.
var serverPoints = []string{
	"pack.write", "pack.sync", "pack.synced",
	"store.accept.record", "store.accept.blob", "store.accept.deliver", "store.accept.enqueue",
	"store.accept.hold", "store.accept.jobs", "store.accept.finish", "store.commit", "store.committed",
	"store.expunge", "store.queue.start", "store.queue.finish",
}

// A server is killed at each step, early and late; whatever was acknowledged
// before is there, and the next server goes on.
func TestKillAtEachStep(t *testing.T) {
	for _, point := range serverPoints {
		for _, visit := range []int{1, 9} {
			t.Run(fmt.Sprintf("%s:%d", point, visit), func(t *testing.T) {
				t.Parallel()
				out, data, book := newOutside(t), newHouse(t), newLedger()
				s := launch(t, settings(data, out.sink, out.dns), nil, fmt.Sprintf("POSTA_FAILPOINTS=%s=kill:%d", point, visit))
				select {
				case <-s.Ready():
					l := begin(t, s, data, book, 2*time.Millisecond)
					s.awaitEnd(30 * time.Second)
					l.end()
				case <-s.Ended(): // its start commits too
				}
				judge(t, data, out, book)
				goesOn(t, data, out, book)
			})
		}
	}
}

// Each step fails as a broken and as a full disk does, from some visit on: the
// clients read 451 or 452, or NO, nothing acknowledged is lost, and when the disk is
// well again so is the server.
func TestFailAtEachStep(t *testing.T) {
	for _, point := range serverPoints {
		for _, how := range []string{"eio", "enospc"} {
			t.Run(point+":"+how, func(t *testing.T) {
				t.Parallel()
				out, data, book := newOutside(t), newHouse(t), newLedger()
				s := start(t, settings(data, out.sink, out.dns), fmt.Sprintf("POSTA_FAILPOINTS=%s=%s:7", point, how))
				// After a commit whose reply is an error nobody knows what came of it.
				l := begin(t, s, data, book, 2*time.Millisecond, func(l *load) { l.refuse, l.vague = true, point == "store.committed" })
				wanted := map[string]string{"eio": "451", "enospc": "452"}[how]
				switch {
				case point == "store.committed":
					wanted = "" // it is asked what came of it: 250, or 451 if it cannot be asked
				case point == "store.expunge":
					wanted = "NO"
				case strings.HasPrefix(point, "store.queue."):
					wanted = "" // clients do not notice
				}
				if wanted != "" && !l.hears(wanted, time.Minute) {
					t.Errorf("nobody was told %s: %v", wanted, l.said)
				}
				time.Sleep(100 * time.Millisecond)
				if s.Dead() {
					t.Errorf("the server ended:\n%s", s.Log())
				}
				s.Kill()
				l.end()
				judge(t, data, out, book)
				goesOn(t, data, out, book)
			})
		}
	}
}

// judge compares ledger and house after a crash.
func judge(t *testing.T, data string, out *outside, book *ledger) {
	t.Helper()
	state := openState(t, data)
	book.compare(t, state, out.times)
	sound(t, state)
	closeState(t, state)
}

// goesOn starts a server without failpoints and looks whether it works: what was
// not answered is sent again, and new mail is taken.
func goesOn(t *testing.T, data string, out *outside, book *ledger) {
	t.Helper()
	s := start(t, settings(data, out.sink, out.dns))
	before := book.count()[kept]
	l := begin(t, s, data, book, 2*time.Millisecond)
	if !book.await(s, before+12, 20*time.Second) {
		t.Errorf("the next server takes no mail: %v\n%s", book.count(), s.Log())
	}
	l.end()
	s.Kill()
	judge(t, data, out, book)
}

// halfDead is a house of which most mail was expunged, with the ledger of what is
// left.
type halfDead struct {
	data string
	book *ledger
}

// newHalfDead fills a house through its doors and expunges most of it.
func newHalfDead(t *testing.T) *halfDead {
	t.Helper()
	out := newOutside(t)
	h := &halfDead{newHouse(t), newLedger()}
	s := start(t, settings(h.data, out.sink, out.dns))
	l := begin(t, s, h.data, h.book, time.Millisecond)
	h.book.await(s, 150, time.Minute)
	l.end()
	s.stop()
	state := openState(t, h.data)
	for _, name := range accounts {
		acc := state.Directory.View().ByLogin(address(name)).ID
		boxes, err := state.Store.ListMailboxes(t.Context(), acc)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(boxes, func(b mailbox.Mailbox) bool { return b.Role == mailbox.Inbox })
		uids, _, err := state.Store.UIDs(t.Context(), acc, boxes[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		most := uids[:len(uids)*4/5]
		gone := map[placedAt]bool{}
		for _, u := range most {
			gone[placedAt{name, uint32(u)}] = true
		}
		for token, at := range inMailboxes(t, state) {
			if len(at) == 1 && gone[at[0]] {
				h.book.settle(h.book.letters[token], removed)
			}
		}
		if _, _, err := state.Store.Expunge(t.Context(), acc, boxes[i].ID, most, false); err != nil {
			t.Fatal(err)
		}
	}
	closeState(t, state)
	return h
}

// clone copies the house, so that each case has its own.
func (h *halfDead) clone(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	if err := copyHouse(to, h.data); err != nil {
		t.Fatal(err)
	}
	return to
}

// copyHouse leaves sockets out.
func copyHouse(to, from string) error {
	return filepath.WalkDir(from, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
}

// Deletion of blobs and compaction are killed and failed at each step; all mail
// that is left can be read, and the next round finishes the work.
func TestHouseworkAtEachStep(t *testing.T) {
	h := newHalfDead(t)
	delivered := func(string) int { return 1 } // the queue's part was judged elsewhere
	for _, point := range houseworkPoints {
		for _, how := range []string{"kill", "eio", "enospc"} {
			t.Run(point+":"+how, func(t *testing.T) {
				t.Parallel()
				data := h.clone(t)
				before := packBytes(t, data)
				killed, err := runChild(t, "housework", data, "", point+"="+how)
				if killed != (how == "kill") || err == nil {
					t.Fatalf("killed: %v, %v", killed, err)
				}
				check := func() {
					t.Helper()
					state := openState(t, data)
					h.book.compare(t, state, delivered)
					sound(t, state)
					closeState(t, state)
				}
				check()
				if _, err := runChild(t, "housework", data, "", ""); err != nil {
					t.Fatalf("the work is not taken up: %v", err)
				}
				check()
				if after := packBytes(t, data); after > before/2 {
					t.Errorf("of %d octets of packs %d are left", before, after)
				}
			})
		}
	}
}

func packBytes(t *testing.T, data string) (sum int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "blobs", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}

// A backup is killed and failed at each step: it is known as torn, or it is whole;
// the house takes no harm, and the next backup is whole.
func TestBackupAtEachStep(t *testing.T) {
	h := newHalfDead(t)
	for _, point := range backupPoints {
		for _, how := range []string{"kill", "eio", "enospc"} {
			t.Run(point+":"+how, func(t *testing.T) {
				t.Parallel()
				data, dir := h.clone(t), filepath.Join(t.TempDir(), "backup")
				killed, err := runChild(t, "backup", data, dir, point+"="+how)
				if killed != (how == "kill") || err == nil {
					t.Fatalf("killed: %v, %v", killed, err)
				}
				v, err := rescue.VerifyBackup(context.Background(), dir, t.TempDir())
				if whole := point == "backup.done"; whole && (err != nil || len(v.Breaches) > 0) || !whole && !errors.Is(err, rescue.ErrTorn) {
					t.Errorf("the backup is %+v, %v", v, err)
				}
				state := openState(t, data)
				sound(t, state)
				closeState(t, state)
				second := filepath.Join(t.TempDir(), "backup")
				if _, err := runChild(t, "backup", data, second, ""); err != nil {
					t.Fatal(err)
				}
				if v, err := rescue.VerifyBackup(context.Background(), second, t.TempDir()); err != nil || len(v.Breaches) > 0 || v.Messages == 0 {
					t.Errorf("the second backup: %+v, %v", v, err)
				}
			})
		}
	}
}
