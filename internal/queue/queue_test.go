package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/addr"
	"posta/internal/dsn"
	"posta/internal/mail"
	"posta/internal/relay"
	"posta/internal/route"
	"posta/internal/smtp"
	"posta/internal/store"
)

// inBubble runs a test in fake time.
func inBubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// The plainest way: a message leaves at once and the queue is empty.
func TestDelivered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		h := b.host("192.0.2.1", "quick.test")
		time.Sleep(time.Hour) // an idle queue is woken
		begin := time.Now()
		b.enqueue(aLetter, mailTo("luis@quick.test", "eva@quick.test"))
		time.Sleep(time.Second)
		got := h.letters()
		if len(got) != 1 || len(got[0].to) != 2 || !got[0].at.Equal(begin) || b.left() != 0 {
			t.Fatalf("%+v, %d left", got, b.left())
		}
		if want := "Received: from x by mail.posta.test\r\n" + aLetter; got[0].data != want {
			t.Errorf("got %q\nwant %q", got[0].data, want)
		}
		want(t, "notices", b.told())
		if s := b.queue.Stats(); s.Delivered != 2 || s.Attempts != 1 || s.Running != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A greylisting host is asked again before a minute is over.
func TestGreylisting(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		h := b.host("192.0.2.1", "grey.test")
		begin := time.Now()
		h.rcpt = func(string) error {
			if time.Since(begin) < 40*time.Second {
				return refusal(450, [3]int{4, 7, 1}, "Greylisted, try again")
			}
			return nil
		}
		b.enqueue(aLetter, mailTo("luis@grey.test"))
		time.Sleep(46 * time.Second)
		if len(h.letters()) != 1 {
			t.Error("not delivered after 46 seconds")
		}
		want(t, "history", b.history(), "luis@grey.test: attempt 450 4.7.1 Greylisted, try again", "luis@grey.test: delivered 250 2.0.0 OK: queued")
	})
}

// Recipients of one message each go their way; each kind of notice is one.
func TestMixedReplies(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		h := b.host("192.0.2.1", "mixed.test")
		h.rcpt = func(to string) error {
			switch to[0] {
			case 'n':
				return refusal(550, [3]int{5, 1, 1}, "No such user <"+to+">")
			case 'l':
				return refusal(452, [3]int{4, 2, 2}, "Mailbox full")
			}
			return nil
		}
		b.zone["null.test"] = []string{"MX 0 ."}
		e := mailTo("si@mixed.test", "no1@mixed.test", "no2@mixed.test", "later@mixed.test", "x@null.test", "y@nowhere.test")
		e.EnvID = "QQ1"
		e.Recipients[1].Original = "rfc822;alias@posta.test"
		b.enqueue(aLetter, e)
		time.Sleep(time.Minute / 2)
		told := b.told()
		slices.Sort(told)
		want(t, "notices", told,
			"ana@posta.test: failed 5.1.1 no1@mixed.test", "ana@posta.test: failed 5.1.1 no2@mixed.test",
			"ana@posta.test: failed 5.1.10 x@null.test", "ana@posta.test: failed 5.1.2 y@nowhere.test")
		if len(b.deposited()) != 3 || b.left() != 1 || len(h.letters()) != 1 {
			t.Errorf("%d notices, %d left, %d letters", len(b.deposited()), b.left(), len(h.letters()))
		}
		for _, n := range b.deposited() {
			if n.EnvelopeID != "QQ1" || !strings.Contains(n.text, "Subject: hola") || strings.Contains(n.text, "Buenos días") {
				t.Errorf("notice:\n%s", n.text)
			}
			for _, r := range n.Recipients {
				if r.Final.Value == "no1@mixed.test" && (r.Original.Value != "alias@posta.test" || r.RemoteMTA != "mx.mixed.test" || !strings.Contains(r.Diagnostic, "No such user")) {
					t.Errorf("%+v", r)
				}
			}
		}
	})
}

// Pauses, lifetime and the warning are what the administrator wants; a pause that
// is shorter than greylisting's is kept to.
func TestOwnPauses(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) {
			c.Retry, c.Delay = []time.Duration{10 * time.Second, 20 * time.Minute}, 30*time.Minute
		})
		h := b.host("192.0.2.1", "grey.test")
		h.rcpt = func(string) error { return refusal(451, [3]int{4, 7, 1}, "Greylisted, try again") }
		begin := time.Now()
		e := mailTo("luis@grey.test")
		e.Expires = begin.Add(time.Hour)
		b.enqueue(aLetter, e)
		time.Sleep(2 * time.Hour)
		var at []string
		for _, e := range b.recorded() {
			at = append(at, e.at.Sub(begin).String()+" "+e.trace.Kind)
		}
		want(t, "attempts", at, "0s attempt", "10s attempt", "20m10s attempt", "40m10s attempt", "1h0m0s failed")
		want(t, "notices", b.told(), "ana@posta.test: delayed 4.7.1 luis@grey.test", "ana@posta.test: failed 4.4.7 luis@grey.test")
	})
}

// Five days of a host that is not there: growing pauses, one notice of delay
// after four hours, one of failure at the end.
func TestExpiry(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		b.mx("192.0.2.9", "dead.test")
		begin := time.Now()
		b.enqueue(aLetter, mailTo("luis@dead.test"))
		time.Sleep(6 * 24 * time.Hour)
		want(t, "notices", b.told(), "ana@posta.test: delayed 4.4.1 luis@dead.test", "ana@posta.test: failed 4.4.7 luis@dead.test")
		var at []string
		for _, e := range b.recorded()[:8] {
			at = append(at, e.at.Sub(begin).String())
		}
		want(t, "attempts", at, "0s", "1m0s", "6m0s", "21m0s", "51m0s", "1h51m0s", "3h51m0s", "7h51m0s")
		last := b.recorded()[len(b.recorded())-1]
		if d := last.at.Sub(begin); d != 5*24*time.Hour || last.trace.Kind != "failed" || b.left() != 0 {
			t.Errorf("the end came after %v as %q, %d left", d, last.trace.Kind, b.left())
		}
		if n := len(b.recorded()); n < 30 || n > 40 {
			t.Errorf("%d attempts", n)
		}
		if s := b.queue.Stats(); s.Notices != 2 || s.Failed != 1 || s.DoubleBounces != 0 {
			t.Errorf("%+v", s)
		}
		if !strings.Contains(b.deposited()[1].text, "5 days") || !strings.Contains(b.deposited()[1].text, "connection refused") {
			t.Errorf("notice:\n%s", b.deposited()[1].text)
		}
	})
}

// NOTIFY and the null reverse-path (RFC 3461 §4.1, RFC 5321 §4.5.5).
func TestNotify(t *testing.T) {
	for _, c := range []struct {
		name   string
		notify mail.Notify
		from   string
		to     string // no: refused; si: taken; dead: never reached
		dsn    bool   // the host knows DSNs
		told   []string
		bounce int64
	}{
		{"failure, nothing asked", 0, "ana@posta.test", "no@quick.test", false, []string{"ana@posta.test: failed 5.1.1 no@quick.test"}, 0},
		{"failure, NEVER", mail.NotifyNever, "ana@posta.test", "no@quick.test", false, nil, 0},
		{"failure, SUCCESS only", mail.NotifySuccess, "ana@posta.test", "no@quick.test", false, nil, 0},
		{"failure, null reverse-path", 0, "", "no@quick.test", false, nil, 1},
		{"delay and expiry, FAILURE only", mail.NotifyFailure, "ana@posta.test", "x@dead.test", false, []string{"ana@posta.test: failed 4.4.7 x@dead.test"}, 0},
		{"delay and expiry, DELAY only", mail.NotifyDelay, "ana@posta.test", "x@dead.test", false, []string{"ana@posta.test: delayed 4.4.1 x@dead.test"}, 0},
		{"delay and expiry, null reverse-path", mail.NotifyNever, "", "x@dead.test", false, nil, 1},
		{"success, nothing asked", 0, "ana@posta.test", "si@quick.test", false, nil, 0},
		{"success, asked, to a host without DSN", mail.NotifySuccess, "ana@posta.test", "si@quick.test", false, []string{"ana@posta.test: relayed 2.0.0 si@quick.test"}, 0},
		{"success, asked, to a host that notifies", mail.NotifySuccess, "ana@posta.test", "si@quick.test", true, nil, 0},
		{"success, asked, null reverse-path", mail.NotifySuccess, "", "si@quick.test", false, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := newBench(t)
				h := b.host("192.0.2.1", "quick.test")
				h.srv.EnableDSN = c.dsn
				h.rcpt = func(to string) error {
					if to == "no@quick.test" {
						return refusal(550, [3]int{5, 1, 1}, "no")
					}
					return nil
				}
				b.mx("192.0.2.9", "dead.test")
				e := mailTo(c.to)
				e.ReversePath, e.Recipients[0].Notify = c.from, c.notify
				b.enqueue(aLetter, e)
				time.Sleep(6 * 24 * time.Hour)
				want(t, "notices", b.told(), c.told...)
				if n := b.queue.Stats().DoubleBounces; n != c.bounce || b.left() != 0 {
					t.Errorf("%d double bounces, want %d; %d left", n, c.bounce, b.left())
				}
				last := b.recorded()[len(b.recorded())-1].trace
				if (last.Kind == "dropped") != (c.bounce > 0) {
					t.Errorf("the trace ends with %+v", last)
				}
			})
		})
	}
}

// A notice whose address leads nowhere is dropped; its outcome is kept.
func TestNoticeLeadsNowhere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		b.noWay = true
		b.enqueue(aLetter, mailTo("x@nowhere.test"))
		time.Sleep(time.Second)
		if s := b.queue.Stats(); b.left() != 0 || s.DoubleBounces != 1 || s.Notices != 0 {
			t.Errorf("%d left, %+v", b.left(), s)
		}
		if last := b.recorded()[0].trace; last.Kind != "failed" || !strings.Contains(last.Note, "leads nowhere") {
			t.Errorf("%+v", last)
		}
	})
}

// RET=FULL returns the message in a notice of failure.
func TestReturnFull(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		e := mailTo("x@nowhere.test")
		e.RetFull = true
		b.enqueue(aLetter, e)
		time.Sleep(time.Second)
		if len(b.deposited()) != 1 || !strings.Contains(b.deposited()[0].text, aLetter) {
			t.Errorf("%+v", b.deposited())
		}
	})
}

// The connection is cut after the dot: it is tried again, and told.
func TestLostReply(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		h := b.host("192.0.2.1", "quick.test")
		var again atomic.Bool
		h.data = func() error {
			if !again.Swap(true) {
				time.Sleep(11 * time.Minute) // beyond RFC 5321 §4.5.3.2.6
			}
			return nil
		}
		b.enqueue(aLetter, mailTo("luis@quick.test"))
		time.Sleep(time.Hour)
		if n := len(h.letters()); n != 2 || b.queue.Stats().Unknown != 1 || b.left() != 0 {
			t.Errorf("%d letters, %+v, %d left", n, b.queue.Stats(), b.left())
		}
		if first := b.recorded()[0].trace; !strings.Contains(first.Reply, "may have been delivered") {
			t.Errorf("%+v", first)
		}
	})
}

// A node died between the dot and its record: another one takes the message up
// when the lease is over, and the trace says that it may be a repeat.
func TestRestart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		h := b.host("192.0.2.1", "quick.test")
		b.end0()
		b.enqueue(aLetter, mailTo("luis@quick.test"))
		got, err := b.ClaimQueue(t.Context(), "dead node", 10, 1, 15*time.Minute)
		if err != nil || len(got) != 1 || b.StartAttempt(t.Context(), []int64{got[0].ID}, got[0].Fence) != nil {
			t.Fatal(got, err)
		}
		b.start(b.newQueue())
		time.Sleep(14 * time.Minute)
		if len(h.letters()) != 0 {
			t.Fatal("sent while another node has the lease")
		}
		time.Sleep(2 * time.Minute)
		if len(h.letters()) != 1 || b.left() != 0 || !strings.Contains(b.recorded()[0].trace.Note, "may be a repeat") {
			t.Errorf("%d letters, %d left, %+v", len(h.letters()), b.left(), b.recorded())
		}
		err = b.FinishQueue(t.Context(), store.Finish{Attempts: []store.Attempt{{Entry: got[0].ID, Fence: got[0].Fence}}})
		if !errors.Is(err, store.ErrFenced) {
			t.Errorf("the dead node could still record: %v", err)
		}
	})
}

// end0 stops the queue alone.
func (b *bench) end0() {
	b.stop()
	<-b.done
}

// A host that never answers has its four places and no more: mail for others
// passes it by, however much of it there is.
func TestFairness(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Total = 8 })
		slow, quick := b.host("192.0.2.1", "slow.test"), b.host("192.0.2.2", "quick.test")
		slow.rcpt = func(string) error { time.Sleep(4 * time.Minute); return nil }
		for i := range 500 {
			b.enqueue(aLetter, mailTo(fmt.Sprintf("u%d@slow.test", i)))
		}
		var many []string
		for i := range 3000 { // one message that alone would fill every place
			many = append(many, fmt.Sprintf("m%d@slow.test", i))
		}
		b.enqueue(aLetter, mailTo(many...))
		time.Sleep(10 * time.Second)
		for i := range 100 {
			b.enqueue(aLetter, mailTo(fmt.Sprintf("u%d@quick.test", i)))
		}
		time.Sleep(5 * time.Second)
		if n := len(quick.letters()); n != 100 {
			t.Errorf("%d of 100 passed the slow host", n)
		}
		if slow.most() > 4 || len(slow.letters()) != 0 {
			t.Errorf("the slow host had %d transactions at a time", slow.most())
		}
	})
}

// 10,000 recipients at one domain: 100 transactions of 100, at most four at a
// time, over few connections.
func TestManyRecipients(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		h := b.host("192.0.2.1", "big.test")
		h.data = func() error { time.Sleep(time.Second); return nil }
		var many []string
		for i := range 10_000 {
			many = append(many, fmt.Sprintf("u%d@big.test", i))
		}
		begin := time.Now()
		b.enqueue(aLetter, mailTo(many...))
		for b.left() > 0 && time.Since(begin) < time.Hour {
			time.Sleep(time.Second)
		}
		n := 0
		for _, l := range h.letters() {
			n += len(l.to)
		}
		if n != 10_000 || len(h.letters()) != 100 || h.most() > 4 || h.connections() > 4 {
			t.Errorf("%d recipients in %d transactions, %d at a time, %d sessions", n, len(h.letters()), h.most(), h.connections())
		}
		if d := time.Since(begin); d > 3*time.Minute {
			t.Errorf("it took %v", d)
		}
	})
}

// Connections are used again: 200 messages for one host over four at a time,
// each of which ends after 100.
func TestConnectionsCounted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		h := b.host("192.0.2.1", "quick.test")
		for i := range 200 {
			b.enqueue(aLetter, mailTo(fmt.Sprintf("u%d@quick.test", i)))
		}
		time.Sleep(time.Minute)
		if len(h.letters()) != 200 || h.connections() > 6 {
			t.Errorf("%d letters over %d connections", len(h.letters()), h.connections())
		}
	})
}

// An attempt that lasts longer than a lease keeps it, against another node.
func TestLongAttempt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		h := b.host("192.0.2.1", "slow.test")
		h.rcpt = func(string) error { time.Sleep(4 * time.Minute); return nil }
		h.data = func() error { time.Sleep(9 * time.Minute); return nil }
		other := b.newQueue(func(c *Config) { c.Node = "other" })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); other.Run(ctx) }()
		b.enqueue(aLetter, mailTo("1@slow.test", "2@slow.test", "3@slow.test"))
		time.Sleep(time.Hour)
		stop()
		<-done
		if n := len(h.letters()); n != 1 || b.left() != 0 {
			t.Errorf("%d letters, %d left", n, b.left())
		}
		if n := b.queue.Stats().Attempts + other.Stats().Attempts; n != 1 {
			t.Errorf("%d attempts", n)
		}
	})
}

// Whoever lost his lease stops before the dot and records nothing.
func TestFenced(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		h := b.host("192.0.2.1", "slow.test")
		h.rcpt = func(string) error { time.Sleep(4 * time.Minute); return nil }
		b.enqueue(aLetter, mailTo("1@slow.test", "2@slow.test", "3@slow.test"))
		time.Sleep(time.Minute)
		b.mu.Lock()
		for _, r := range b.rows { // another node has them now, for long
			r.Fence, r.Due = r.Fence+1, r.Due.Add(time.Hour)
		}
		b.mu.Unlock()
		time.Sleep(20 * time.Minute)
		want(t, "history", b.history())
		if s := b.queue.Stats(); len(h.letters()) != 0 || s.Running != 0 || b.left() != 3 || b.started != 0 {
			t.Errorf("%d letters, %+v, %d left", len(h.letters()), s, b.left())
		}
	})
}

// A message whose hosts are always busy does not wait for ever.
func TestBusyUntilExpiry(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Relay = busyRelay{} })
		b.mx("192.0.2.1", "busy.test")
		e := mailTo("luis@busy.test")
		e.Expires = time.Now().Add(time.Minute)
		b.enqueue(aLetter, e)
		time.Sleep(2 * time.Minute)
		want(t, "notices", b.told(), "ana@posta.test: failed 4.4.7 luis@busy.test")
		if n := b.queue.Stats().Attempts; n < 30 || n > 120 {
			t.Errorf("asked %d times", n)
		}
	})
}

type busyRelay struct{}

func (busyRelay) Deliver(_ context.Context, _ *route.Route, m *relay.Message) []relay.Outcome {
	return sameFor(len(m.Recipients), relay.Outcome{Status: relay.Busy, Ours: true, Reply: smtp.New(451, "4.4.5", "busy")})
}

// A store that fails for a while costs time, not a second delivery.
func TestStoreDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		h := b.host("192.0.2.1", "quick.test")
		var once sync.Once
		h.data = func() error { once.Do(func() { b.setDown(store.ErrTemporary) }); return nil }
		b.enqueue(aLetter, mailTo("luis@quick.test"))
		time.Sleep(3 * time.Minute)
		if b.left() != 1 {
			t.Error("recorded though the store is down")
		}
		b.setDown(nil)
		time.Sleep(30 * time.Minute)
		if n := len(h.letters()); n != 1 || b.left() != 0 {
			t.Errorf("%d letters, %d left", n, b.left())
		}
	})
}

func (s *memStore) setDown(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

// The end: what runs may end, what has not begun and what is cut is given back
// as if it had never been tried.
func TestStop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Total = 3 })
		quick, slow := b.host("192.0.2.1", "quick.test"), b.host("192.0.2.2", "slow.test")
		quick.data = func() error { time.Sleep(10 * time.Second); return nil }
		slow.rcpt = func(string) error { time.Sleep(4 * time.Minute); return nil }
		for i := range 10 {
			b.enqueue(aLetter, mailTo(fmt.Sprintf("u%d@quick.test", i), fmt.Sprintf("u%d@slow.test", i)))
		}
		time.Sleep(time.Second)
		begin := time.Now()
		b.end0()
		if d := time.Since(begin); d != 20*time.Second {
			t.Errorf("it took %v", d)
		}
		for _, r := range b.rows {
			if r.Attempts != 0 || time.Until(r.Due) > time.Second {
				t.Errorf("%s: %d attempts, due in %v", r.Address, r.Attempts, time.Until(r.Due))
			}
		}
		if n := len(quick.letters()); n == 0 || n+b.left() != 20 {
			t.Errorf("%d letters, %d left", n, b.left())
		}
	})
}

// A filing that could not finish in its session.
func TestDeferredFiling(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := &filer{}
		b := newBench(t, func(c *Config) { c.Filer = f })
		f.store = b.memStore
		e := mailTo("ana@posta.test", "full@posta.test")
		e.ReversePath = "luis@quick.test"
		for i := range e.Recipients {
			e.Recipients[i].Kind = store.Deferred
		}
		b.enqueue(aLetter, e)
		time.Sleep(10 * time.Minute)
		want(t, "history", b.history(),
			"ana@posta.test: attempt 451 4.3.0 The message could not be filed",
			"full@posta.test: failed 552 5.2.2 Mailbox full",
			"ana@posta.test: delivered 250 2.0.0 Filed")
		want(t, "notices", b.told(), "luis@quick.test: failed 5.2.2 full@posta.test")
	})
}

type filer struct {
	store *memStore
	tries int
}

func (f *filer) File(ctx context.Context, e *store.QueueEntry, done *store.Finish) error {
	if e.Address == "full@posta.test" {
		return smtp.New(552, "5.2.2", "Mailbox full")
	}
	if f.tries++; f.tries == 1 {
		return errors.New("script still running")
	}
	return f.store.FinishQueue(ctx, *done)
}

func TestNextDue(t *testing.T) {
	now := time.Unix(0, 0)
	grey := smtp.New(451, "4.7.1", "grey")
	for _, c := range []struct {
		attempts int
		reply    smtp.Reply
		jitter   float64
		want     time.Duration
	}{
		{0, smtp.Reply{}, 0.5, time.Minute},
		{0, smtp.Reply{}, 0, 54 * time.Second},
		{0, grey, 0.5, 45 * time.Second},
		{1, grey, 0.5, 5 * time.Minute},
		{6, smtp.Reply{}, 0.5, 4 * time.Hour},
		{600, smtp.Reply{}, 0.5, 4 * time.Hour},
	} {
		if got := nextDue(now, usualPauses(), c.attempts, c.reply, c.jitter).Sub(now).Round(time.Millisecond); got != c.want {
			t.Errorf("after %d attempts: %v, want %v", c.attempts, got, c.want)
		}
	}
}

// A notice begins in the language of who reads it.
func TestNoticeLanguage(t *testing.T) {
	for _, lang := range []dsn.Language{dsn.English, dsn.Spanish} {
		inBubble(t, func(t *testing.T) {
			var asked addr.Path
			b := newBench(t, func(c *Config) {
				c.LanguageOf = func(to addr.Path) dsn.Language { asked = to; return lang }
			})
			b.enqueue(aLetter, mailTo("luis@nowhere.test"))
			time.Sleep(6 * 24 * time.Hour)
			got := b.deposited()
			if len(got) == 0 {
				t.Fatal("no notice")
			}
			text := got[len(got)-1].text
			english, spanish := strings.Index(text, "could not be delivered"), strings.Index(text, "no se pudo entregar")
			if english < 0 || spanish < 0 || (english < spanish) != (lang == dsn.English) || asked.String() != got[0].to {
				t.Errorf("language %d of %s, notice to %s:\n%s", lang, asked.String(), got[0].to, text)
			}
		})
	}
}
