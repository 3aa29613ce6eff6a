package rescue_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"posta/internal/app"
	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/rescue"
	"posta/internal/store"
)

// fill takes n mixed messages in: to one, to several, to another server, both,
// junk, appended, large.
func fill(t testing.TB, h *house, first, n int) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(64)
	for i := first; i < first+n; i++ {
		g.Go(func() error {
			l := letter{from: "ana@empresa.test", to: []string{ours[i%3]}, text: text(i, 400+i%3000)}
			switch {
			case i%2500 == 7:
				l.text = text(i, 1200<<10) // from a temporary file
			case i%5000 == 11:
				l.text = text(i, 9<<20) // a pack of its own
			case i%10 == 1:
				l.to = ours
			case i%10 == 2:
				l.to = []string{ours[0], fmt.Sprintf("bob%d@example.org", i)}
			case i%10 == 3:
				l.to = []string{fmt.Sprintf("bob%d@example.org", i), "carla@example.net"}
			case i%10 == 4:
				return h.append(ctx, ours[i%3], "Archive", l.text)
			case i%10 == 5: // junk
				l.from = "x@example.net"
				_, err := h.sendAs(ctx, stranger("PC"), l)
				return err
			case i%10 == 6:
				// Results that claim to be ours are cut: prefix and skip.
				l.from, l.text = "x@example.net", "Authentication-Results: mail.empresa.test; spf=pass\r\n"+l.text
				_, err := h.sendAs(ctx, stranger("mx.example.net"), l)
				return err
			}
			_, err := h.send(ctx, l)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// rebuild runs a rebuild on the folder and opens the house again.
func (h *house) rebuild(o rescue.Options) rescue.Rebuilt {
	h.t.Helper()
	state, r, err := app.OpenLost(h.t.Context(), h.cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	o.Principal = "test"
	out, err := r.Rebuild(h.t.Context(), o)
	if err = errors.Join(err, state.Close()); err != nil {
		h.t.Fatal(err)
	}
	*h = *openHouse(h.t, h.cfg)
	return out
}

func same(t *testing.T, what string, got, want map[string]int) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	shown := 0
	for k, n := range want {
		if got[k] != n && shown < 5 {
			t.Errorf("%s: %s is there %d times, want %d", what, k, got[k], n)
			shown++
		}
	}
	for k, n := range got {
		if want[k] == 0 && shown < 10 {
			t.Errorf("%s: %s is there %d times, want none", what, k, n)
			shown++
		}
	}
	t.Errorf("%s: %d kinds, want %d", what, len(got), len(want))
}

// The whole database is deleted after 10,000 mixed messages; each comes back
// once, to its account, with equal bytes, in its folder.
func TestRebuildAll(t *testing.T) {
	t.Parallel()
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	h := newHouse(t)
	fill(t, h, 0, n)
	mail, queue := h.contents(t.Context()), h.queued(t.Context())
	for _, folder := range []string{" INBOX ", " Junk ", " Archive \\Seen "} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(mail)), func(k string) bool { return strings.Contains(k, folder) }) {
			t.Errorf("the mix has nothing for%s", folder)
		}
	}
	h.sound()
	h.close()

	h.lose()
	if _, err := app.OpenState(t.Context(), h.cfg, nil); !errors.Is(err, app.ErrLost) {
		t.Fatalf("a server runs beside bytes that it does not know: %v", err)
	}
	began := time.Now()
	out := h.rebuild(rescue.Options{})
	t.Logf("%d records in %v: %+v", out.Records, time.Since(began).Round(time.Millisecond), out)
	h.sound()
	same(t, "mail", h.contents(t.Context()), mail)
	same(t, "queue", h.queued(t.Context()), queue)
	if out.Accounts != len(ours) || out.Recovered != 0 || len(out.Problems) > 0 {
		t.Errorf("%+v", out)
	}
	for _, a := range h.view().Accounts {
		if a.Password != "" || a.Role != store.User {
			t.Errorf("%s came back with a password or a role", a.Login)
		}
	}
	held, err := h.state.Store.ListQueue(t.Context(), store.QueueFilter{States: []store.QueueState{store.Ready}})
	if err != nil || len(held) > 0 {
		t.Errorf("%d recipients would be sent to again by themselves, %v", len(held), err)
	}
	fill(t, h, n, 20) // life goes on
	h.close()

	again := h.rebuild(rescue.Options{})
	if again.Messages != 0 || again.Held != 0 || again.Present != again.Records {
		t.Errorf("the second rebuild did something: %+v", again)
	}
	h.sound()
}

// A rebuild that is broken off is taken up again, and no server runs in between.
func TestRebuildResumes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	fill(t, h, 0, 600)
	mail, queue := h.contents(t.Context()), h.queued(t.Context())
	h.close()
	h.lose()
	for stop := range 4 {
		state, r, err := app.OpenLost(t.Context(), h.cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		r.Store = &breaking{Store: r.Store, left: 60 + 50*stop, cancel: cancel}
		if _, err := r.Rebuild(ctx, rescue.Options{}); err == nil {
			t.Fatal("it was to be broken off")
		}
		cancel()
		if err := state.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := app.OpenState(t.Context(), h.cfg, nil); !errors.Is(err, app.ErrLost) {
			t.Fatalf("a server runs on half a rebuild: %v", err)
		}
	}
	h.rebuild(rescue.Options{})
	h.sound()
	same(t, "mail", h.contents(t.Context()), mail)
	same(t, "queue", h.queued(t.Context()), queue)
}

// breaking cancels a rebuild after so many accepts.
type breaking struct {
	store.Store
	cancel func()
	mu     sync.Mutex
	left   int
}

func (b *breaking) Accept(ctx context.Context, a *store.Accept) ([]store.Placed, error) {
	b.mu.Lock()
	if b.left--; b.left < 0 {
		b.cancel()
	}
	b.mu.Unlock()
	return b.Store.Accept(ctx, a)
}

// Metadata that survived is kept: what was expunged stays away, what it never
// knew comes back, and --all brings everything.
func TestRebuildBesideMetadata(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	fill(t, h, 0, 100)
	gone := h.expungeFirst("ana@empresa.test", 7)
	old := t.TempDir()
	if _, err := h.state.House().Rescue.Backup(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	fill(t, h, 100, 50) // the backup does not know these
	mail, queue := h.contents(t.Context()), h.queued(t.Context())
	h.close()

	h.lose()
	copyInto(t, old+"/posta.db", h.cfg.Data+"/meta/posta.db")
	out := h.rebuild(rescue.Options{})
	h.sound()
	same(t, "mail", h.contents(t.Context()), mail)
	same(t, "queue", h.queued(t.Context()), queue)
	if out.Deleted != int64(gone) || out.Accounts != 0 {
		t.Errorf("%+v, want %d deleted", out, gone)
	}
	h.close()

	all := h.rebuild(rescue.Options{All: true})
	if all.Messages != int64(gone) {
		t.Errorf("--all: %+v, want %d messages", all, gone)
	}
	h.sound()
	h.close()
	if again := h.rebuild(rescue.Options{All: true}); again.Messages != 0 {
		t.Errorf("--all again: %+v", again)
	}
}

// expungeFirst expunges messages of an INBOX whose blob nobody else has, lets
// their rows go, and tells how many.
func (h *house) expungeFirst(login string, n int) (gone int) {
	h.t.Helper()
	ctx := h.t.Context()
	acc := h.state.Directory.View().ByLogin(login)
	boxes, err := h.state.Store.ListMailboxes(ctx, acc.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	var inbox mailbox.ID
	for _, b := range boxes {
		if b.Role == mailbox.Inbox {
			inbox = b.ID
		}
	}
	uids, _, err := h.state.Store.UIDs(ctx, acc.ID, inbox)
	if err != nil {
		h.t.Fatal(err)
	}
	if _, _, err := h.state.Store.Expunge(ctx, acc.ID, inbox, uids[:n], false); err != nil {
		h.t.Fatal(err)
	}
	before, err := h.state.House().Rescue.Verify(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := app.Collect(ctx, h.state.Store, h.state.Blobs, time.Now().Add(2*time.Hour)); err != nil {
		h.t.Fatal(err)
	}
	after, err := h.state.House().Rescue.Verify(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	return int(before.Messages - after.Messages)
}

// A record that says nothing sensible is a problem that is told, not a guess.
func TestRebuildStrangeRecords(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	fill(t, h, 0, 10)
	now := time.Now()
	put := func(accept []byte) {
		t.Helper()
		body := []byte("Subject: strange\r\n\r\nbody\r\n")
		rec := blob.Record{ID: blob.NewID(now), SHA256: sha256.Sum256(body), Accept: accept, Body: blob.Bytes(body)}
		if _, err := h.state.Blobs.Put(t.Context(), []blob.Record{rec}); err != nil {
			t.Fatal(err)
		}
	}
	place := func(p store.AcceptPlace) []byte {
		return (&store.AcceptRecord{Accept: mail.NewID(now), At: now, Deliveries: []store.AcceptPlace{p}}).Encode()
	}
	put([]byte("not an accept record"))
	put(place(store.AcceptPlace{Login: "nobody", Role: "inbox"}))
	put(place(store.AcceptPlace{Login: ours[0], Mailbox: strings.Repeat("x", 2000)}))
	put(place(store.AcceptPlace{Login: ours[0], Role: "no such role"}))
	h.close()
	h.lose()
	out := h.rebuild(rescue.Options{})
	if out.Recovered != 2 || len(out.Problems) != 2 {
		t.Errorf("%+v", out)
	}
	h.sound()
}

func (h *house) rebuildAll() rescue.Rebuilt { return h.rebuild(rescue.Options{}) }
