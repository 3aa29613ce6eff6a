package intake

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/directory"
	"posta/internal/mail"
	"posta/internal/outbox"
	"posta/internal/store"
	"posta/internal/trace"
)

// alias makes an address of empresa.test lead to many.
func (h *house) alias(local string, targets []string) {
	h.t.Helper()
	err := h.store.ChangeDirectory(h.t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		v, err := tx.View()
		if err != nil {
			return store.Audit{}, err
		}
		return store.Audit{}, tx.PutAddress(store.Address{Domain: v.Domains[0].ID, Local: local, Kind: store.ToTargets, Targets: targets})
	})
	if err == nil {
		err = h.dir.Refresh(h.t.Context())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// crowd is many addresses elsewhere.
func crowd(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%d@good.example", prefix, i)
	}
	return out
}

// finish does what accepts have left to be done.
func (h *house) finish() {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { outbox.New(outbox.Config{Store: h.store, Node: "test"}).Run(ctx) })
	for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		jobs, err := h.store.ListJobs(ctx, 1)
		if err != nil || time.Now().After(limit) {
			h.t.Fatal("the outbox does not come to its end", err)
		}
		if len(jobs) == 0 {
			break
		}
	}
	stop()
	wg.Wait()
}

// An alias that leads to 5,000 is one 250; all of them get the message, once, and
// the accept record beside the bytes names all of them.
func TestLargeAlias(t *testing.T) {
	h := newHouse(t)
	h.alias("todos", append(crowd("u", 5000), "ana@empresa.test", "luis@empresa.test", "u7@good.example"))
	rcpt, final := h.talk(stranger(), "a@good.example", []string{"todos@empresa.test", "ana@empresa.test"}, letter)
	if len(rcpt) != 0 || len(final) != 1 || final[0].Code != 250 {
		t.Fatalf("%v %v", rcpt, final)
	}
	entries := func() map[string]int {
		out := map[string]int{}
		for after := int64(0); ; {
			page, err := h.store.ListQueue(t.Context(), store.QueueFilter{After: after})
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				return out
			}
			for _, e := range page {
				out[e.Address]++
				after = e.ID
				if e.Original != "rfc822;todos@empresa.test" || e.ReversePath != "a@good.example" || len(e.Prefix) == 0 {
					t.Fatalf("an entry: %+v", e)
				}
			}
		}
	}
	if n := len(entries()); n == 0 || n > 1000 {
		t.Errorf("%d are queued with the accept", n)
	}
	h.finish()
	all := entries()
	for a, n := range all {
		if n != 1 {
			t.Errorf("%s is queued %d times", a, n)
		}
	}
	if len(all) != 5000 || len(h.mailIn("ana", "INBOX")) != 1 || len(h.mailIn("luis", "INBOX")) != 1 {
		t.Errorf("%d queued, ana has %d, luis %d", len(all), len(h.mailIn("ana", "INBOX")), len(h.mailIn("luis", "INBOX")))
	}
	id, err := mail.ParseID(strings.TrimPrefix(final[0].Text, "Ok: queued as "))
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.store.Trace(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if rec, err := trace.Decode(got.TraceRecord); err != nil || rec.To[0].More != 5002-len(rec.To[0].Effects) || len(got.Events) != 1 {
		t.Errorf("the trace: %d effects and %d more, %d events, %v", len(rec.To[0].Effects), rec.To[0].More, len(got.Events), err)
	}
}

// The accept record has room for all that a transaction may lead to; what is above
// is sent in another one, and an alias that no message has room for is refused.
func TestCrowdIsBounded(t *testing.T) {
	h := newHouse(t)
	h.alias("a", crowd("a", 5000))
	h.alias("b", crowd("b", directory.MaxTargets))
	h.alias("c", crowd("c", 5000))
	h.alias("enorme", crowd("e", directory.MaxTargets+1))
	long := make([]string, 5000)
	for i := range long {
		long[i] = fmt.Sprintf("%s%d@%s.good.example", strings.Repeat("l", 50), i, strings.Repeat("d", 60))
	}
	h.alias("largas", long)
	rcpt, final := h.talk(stranger(), "x@good.example", []string{"a@empresa.test", "b@empresa.test", "c@empresa.test", "ana@empresa.test"}, letter)
	if len(rcpt) != 1 || !strings.HasPrefix(rcpt[0], "452 4.5.3 ") || len(final) != 1 || final[0].Code != 250 {
		t.Errorf("three aliases: %v %v", rcpt, final)
	}
	rcpt, _ = h.talk(stranger(), "x@good.example", []string{"enorme@empresa.test", "largas@empresa.test"}, letter)
	if len(rcpt) != 2 || !strings.HasPrefix(rcpt[0], "451 4.3.0 <enorme@empresa.test>: the address leads to more recipients") || !strings.HasPrefix(rcpt[1], "451 4.3.0 <largas@empresa.test>") {
		t.Errorf("aliases above the bound: %v", rcpt)
	}
	// The worst that is taken fits the record.
	s := &session{in: h.Intake, tx: &transaction{view: h.dir.View(), spread: 1}}
	view := h.dir.View()
	targets, err := view.Resolve(address(t, "a@empresa.test"))
	if err != nil {
		t.Fatal(err)
	}
	a := &store.Accept{ID: mail.NewID(time.Now())}
	e := store.Enqueue{Seal: "empresa.test"}
	for s.spread(mail.Recipient{Address: address(t, "a@empresa.test"), Original: strings.Repeat("<", 500)}, targets) == nil {
		for _, to := range targets {
			e.Recipients = append(e.Recipients, store.QueueTo{Address: to.Remote.String(), Domain: string(to.Remote.Domain), Original: strings.Repeat("<", 500)})
		}
	}
	a.Enqueues = []store.Enqueue{e}
	if n := len(h.acceptRecord(a)); n > blob.MaxAcceptBytes || n < blob.MaxAcceptBytes/3 {
		t.Errorf("an accept record of %d octets", n)
	}
}
