package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"posta/internal/mailbox"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

// TestCluster is one life of a cluster of two: from its first letter to a node
// that is killed. The parts build on each other's cluster, not on its mail.
func TestCluster(t *testing.T) {
	h := newHouse(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *house)
	}{
		{"OneMailbox", testOneMailbox},
		{"OneOrderOfUIDs", testOneOrder},
		{"OneDirectory", testOneDirectory},
		{"OneAllowance", testOneAllowance},
		{"OneQueue", testOneQueue},
		{"Backup", testBackup},
		{"ConnectionsCut", testConnectionsCut},
		{"DatabaseAway", testDatabaseAway},
		{"BucketRefuses", testBucketRefuses},
		{"NodeKilled", testNodeKilled},
		{"ReplyLost", testReplyLost},
		{"LeaseOrphaned", testLeaseOrphaned},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, h) }) {
			return
		}
	}
	h.sound(t)
}

// Mail that one node accepts is read at the other, which hears of it while it
// idles; and so with flags.
func testOneMailbox(t *testing.T, h *house) {
	ana := h.account(t, "ana")
	news := make(chan uint32, 10)
	idler, err := h.b.loginWith(ana, &imapclient.UnilateralDataHandler{Mailbox: func(m *imapclient.UnilateralDataMailbox) {
		if m.NumMessages != nil {
			news <- *m.NumMessages
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer idler.Close()
	if _, err := idler.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	idle, err := idler.Idle()
	if err != nil {
		t.Fatal(err)
	}
	l := newLedger()
	for i := range 3 {
		msg := letter(ana, fmt.Sprint("uno-", i), 3000)
		sent := time.Now()
		h.a.deliver(t, ana, msg)
		l.add(fmt.Sprint("uno-", i), msg)
		for n := uint32(0); n <= uint32(i); {
			select {
			case n = <-news:
			case <-time.After(35 * time.Second):
				t.Fatal("a session that idles at the other node heard nothing in 35 s")
			}
		}
		if d := time.Since(sent); d > 5*time.Second {
			t.Errorf("the other node's session heard of new mail after %v", d)
		} else {
			t.Logf("heard after %v", d)
		}
	}
	if err := errors.Join(idle.Close(), idle.Wait()); err != nil {
		t.Fatal(err)
	}
	onA, onB := h.a.read(t, ana), h.b.read(t, ana)
	l.check(t, onB)
	if !slices.EqualFunc(onA, onB, func(x, y stored) bool { return x.uid == y.uid && bytes.Equal(x.raw, y.raw) }) {
		t.Errorf("the nodes show different mailboxes:\n%v\n%v", onA, onB)
	}

	// Flags set on A show up in a session that is open on B.
	writer, err := h.a.login(ana)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	set := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged, "$Importante"}}
	if err := writer.Store(imap.UIDSetNum(onA[1].uid), set, nil).Close(); err != nil {
		t.Fatal(err)
	}
	got, err := fetch(idler, imap.UIDSetNum(onA[1].uid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range set.Flags {
		if !slices.Contains(got[0].flags, f) {
			t.Errorf("%s was set at one node; the other shows %v", f, got[0].flags)
		}
	}
}

// Both nodes append to one INBOX at a time, from SMTP and from IMAP. A client
// that asks again and again only for what is above the last UID it saw misses
// nothing: no UID comes to light below one that was seen.
func testOneOrder(t *testing.T, h *house) {
	const writers, each = 10, 10 // on each node
	user := h.account(t, "orden")
	l := newLedger()
	uids := map[string]imap.UID{} // that APPEND was told
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 2 * writers {
		n := []*node{h.a, h.b}[i%2]
		wg.Go(func() {
			for j := range each {
				subject := fmt.Sprintf("%s-%d-%d", n.name, i, j)
				msg := letter(user, subject, 2000)
				if i/2%2 == 0 {
					s := sender{nodes: []*node{n}}
					if err := s.attempt(t.Context(), user, msg); err != nil {
						t.Errorf("%s: %v", subject, err)
					}
					s.close()
				} else if uid, err := appendLetter(n, user, msg); err != nil {
					t.Errorf("%s: %v", subject, err)
				} else {
					mu.Lock()
					uids[subject] = uid
					mu.Unlock()
				}
				l.add(subject, msg)
			}
		})
	}
	over := make(chan struct{})
	go func() { wg.Wait(); close(over) }()
	follower, err := h.b.login(user)
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Close()
	if _, err := follower.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	var followed []stored
	last := imap.UID(0)
	for done := false; !done; {
		select {
		case <-over:
			done = true // and a last look
		case <-time.After(20 * time.Millisecond):
		}
		if err := follower.Noop().Wait(); err != nil { // tells the session what is new
			t.Fatal(err)
		}
		more, err := fetch(follower, imap.UIDSet{imap.UIDRange{Start: last + 1, Stop: 0}})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range more {
			if m.uid > last { // n:* always has the last message
				followed, last = append(followed, m), m.uid
			}
		}
	}
	if len(followed) != 2*writers*each {
		t.Errorf("who follows the UIDs saw %d messages of %d", len(followed), 2*writers*each)
	}
	l.check(t, followed)
	for _, n := range []*node{h.a, h.b} {
		box := n.read(t, user)
		l.check(t, box)
		if len(box) != 2*writers*each {
			t.Errorf("%s has %d messages, expected %d", n.name, len(box), 2*writers*each)
		}
		for _, m := range box {
			if uid, ok := uids[m.subject]; ok && uid != m.uid {
				t.Errorf("%s: APPENDUID said %d, it is %d", m.subject, uid, m.uid)
			}
		}
	}
}

// appendLetter is one APPEND in a session of its own.
func appendLetter(n *node, user string, msg []byte) (imap.UID, error) {
	c, err := n.login(user)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	up := c.Append("INBOX", int64(len(msg)), nil)
	_, err = up.Write(msg)
	if err := errors.Join(err, up.Close()); err != nil {
		return 0, err
	}
	data, err := up.Wait()
	if err != nil {
		return 0, err
	}
	return data.UID, nil
}

// What a command changes at one node is soon true at the other.
func testOneDirectory(t *testing.T, h *house) {
	const luis = "luis@nueva.test"
	if err := h.b.takes(t, luis); err == nil {
		t.Error("mail is taken before the domain is ours")
	}
	h.a.posta(t, "", "domain", "add", "nueva.test")
	h.a.posta(t, password+"\n", "account", "add", luis, "--password-file", "-")
	took := await(t, "the new account is known at the other node", func() error { return h.b.takes(t, luis) })
	t.Logf("live at the other node after %v", took)
	if took > 4*time.Second {
		t.Errorf("a new account was live at the other node only after %v: no wake-up came", took)
	}
	c, err := h.b.login(luis)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	msg := letter(luis, "nueva", 1000)
	h.b.deliver(t, luis, msg)
	if box := h.a.read(t, luis); len(box) != 1 || !bytes.HasSuffix(box[0].raw, msg) {
		t.Errorf("the mailbox has %v", box)
	}

	const alias = "ventas@nueva.test"
	h.b.posta(t, "", "alias", "add", alias, luis)
	await(t, "the alias is known at the first node", func() error { return h.a.takes(t, alias) })
	h.b.posta(t, "", "alias", "remove", alias)
	await(t, "the alias is gone at the first node", func() error {
		reply, ok := errors.AsType[*textproto.Error](h.a.takes(t, alias))
		if !ok || reply.Code != 550 {
			return fmt.Errorf("answered %v", reply)
		}
		return nil
	})
}

// Both nodes work the queue, and each message leaves once.
func testOneQueue(t *testing.T, h *house) {
	const count = 30
	user := h.account(t, "cola")
	var wg sync.WaitGroup
	for i := range count {
		n := []*node{h.a, h.b}[i%2]
		to := fmt.Sprintf("r%d@lejos%d.test", i, i%7)
		wg.Go(func() { n.submit(t, user, to, letter(to, fmt.Sprint("fuera-", i), 2000)) })
	}
	wg.Wait()
	await(t, "the queue is empty", func() error {
		if n := h.sql(t, "SELECT COUNT(*) FROM queue_entry WHERE address LIKE 'r%@lejos%'"); n > 0 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	for i := range count {
		if got := h.sink.copies(fmt.Sprintf("r%d@lejos%d.test", i, i%7)); len(got) != 1 {
			t.Errorf("message %d arrived %d times", i, len(got))
		}
	}
}

// A backup is taken at one node, confined as it is, while mail flows through both.
// What was acknowledged before is in it, and reads as well from an embedded house.
func testBackup(t *testing.T, h *house) {
	user := h.account(t, "copia")
	before, meanwhile := newLedger(), newLedger()
	for i := range 10 {
		subject := fmt.Sprint("antes-", i)
		msg := letter(user, subject, 2000)
		[]*node{h.a, h.b}[i%2].deliver(t, user, msg)
		before.add(subject, msg)
	}
	ctx, enough := context.WithCancel(t.Context())
	flow := h.flow(t, ctx, user, "durante", meanwhile)
	dir := filepath.Join(filepath.Dir(h.a.config), "data", "copia") // a confined server writes nowhere else
	h.a.posta(t, "", "backup", "create", dir)
	enough()
	flow()
	h.a.posta(t, "", "backup", "verify", dir)

	// The embedded house: the configuration says nothing of engines.
	data, toml := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "posta.toml")
	if err := os.WriteFile(toml, []byte("hostname = \"c.empresa.test\"\nuser = \"root\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	alone := &node{h: h, config: toml}
	alone.posta(t, "", "--data", data, "backup", "restore", dir)
	alone.posta(t, "", "--data", data, "store", "verify")
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: filepath.Join(data, "meta")})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	view, err := st.LoadDirectory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(view.Accounts, func(a store.Account) bool { return a.Login == user })
	if i < 0 {
		t.Fatalf("%s is not in the backup", user)
	}
	boxes, err := st.ListMailboxes(t.Context(), view.Accounts[i].ID)
	if err != nil {
		t.Fatal(err)
	}
	i = slices.IndexFunc(boxes, func(b mailbox.Mailbox) bool { return b.Name == "INBOX" })
	if n := boxes[i].Exists; n < len(before.sent) || n > len(before.sent)+len(meanwhile.sent) {
		t.Errorf("%d messages are in the backup; %d came before it, %d meanwhile", n, len(before.sent), len(meanwhile.sent))
	} else {
		t.Logf("%d messages are in the backup; %d came before it, %d meanwhile", n, len(before.sent), len(meanwhile.sent))
	}
}

// Database connections are cut all the time while mail flows: senders are put
// off at worst, and repeat; nothing that was acknowledged is lost, nothing is
// there twice.
func testConnectionsCut(t *testing.T, h *house) {
	user := h.account(t, "cortes")
	l := newLedger()
	ctx, enough := context.WithCancel(t.Context())
	flow := h.flow(t, ctx, user, "corte", l)
	cuts := 0
	for range 40 {
		cuts += h.sql(t, "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'posta'")
		time.Sleep(75 * time.Millisecond)
	}
	enough()
	putOff := flow()
	t.Logf("%d connections cut, %d messages, %d times put off", cuts, len(l.sent), putOff)
	if cuts < 100 || len(l.sent) < 40 {
		t.Errorf("only %d connections cut and %d messages sent", cuts, len(l.sent))
	}
	h.checkBoth(t, user, l)
}

// The database is away for longer than anybody's patience, while mail flows.
func testDatabaseAway(t *testing.T, h *house) {
	user := h.account(t, "ausencia")
	l := newLedger()
	ctx, enough := context.WithCancel(t.Context())
	flow := h.flow(t, ctx, user, "ausencia", l)
	for range 2 {
		time.Sleep(300 * time.Millisecond)
		h.pg.Stop(t)
		time.Sleep(1500 * time.Millisecond)
		h.pg.Restart(t)
	}
	time.Sleep(time.Second)
	enough()
	putOff := flow()
	t.Logf("%d messages, %d times put off", len(l.sent), putOff)
	if putOff < 2 || len(l.sent) < 40 {
		t.Errorf("%d messages sent, %d times put off", len(l.sent), putOff)
	}
	h.checkBoth(t, user, l)
}

// flow sends mail to both nodes from several senders until ctx ends; each repeats
// a message until it is acknowledged, be it at the other node. The function
// waits for the last, and tells how often a sender was put off.
func (h *house) flow(t *testing.T, ctx context.Context, user, name string, l *ledger) (wait func() int64) {
	const senders = 8
	var putOff atomic.Int64
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			s := sender{nodes: []*node{h.a, h.b}, turn: i}
			defer s.close()
			for j := 0; ctx.Err() == nil; j++ {
				subject := fmt.Sprintf("%s-%d-%d", name, i, j)
				msg := letter(user, subject, 2000)
				patience, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				n, err := s.insist(patience, user, msg)
				cancel()
				putOff.Add(int64(n))
				if err != nil {
					t.Errorf("%s: %v", subject, err)
					return
				}
				l.add(subject, msg)
			}
		})
	}
	return func() int64 { wg.Wait(); return putOff.Load() }
}

// checkBoth checks a mailbox at both nodes, and all of the state.
func (h *house) checkBoth(t *testing.T, user string, l *ledger) {
	t.Helper()
	l.check(t, h.a.read(t, user))
	l.check(t, h.b.read(t, user))
	h.sound(t)
}

// While the bucket refuses, senders are put off; then all goes on by itself.
func testBucketRefuses(t *testing.T, h *house) {
	user := h.account(t, "cubo")
	h.bucket.down.Store(true)
	msg := letter(user, "cubo", 2000)
	for _, n := range []*node{h.a, h.b} {
		s := sender{nodes: []*node{n}}
		err := s.attempt(t.Context(), user, msg)
		if reply, ok := errors.AsType[*textproto.Error](err); !ok || reply.Code != 451 {
			t.Errorf("%s without a bucket: %v, expected 451", n.name, err)
		}
		defer s.close()
	}
	if h.bucket.refused.Load() < 2 {
		t.Errorf("the bucket was asked %d times", h.bucket.refused.Load())
	}
	h.bucket.down.Store(false)
	l := newLedger()
	for _, n := range []*node{h.a, h.b} {
		msg := letter(user, "cubo-"+n.name, 2000)
		s := sender{nodes: []*node{n}}
		took := await(t, "mail is taken again", func() error { return s.attempt(t.Context(), user, msg) })
		s.close()
		if took > 5*time.Second {
			t.Errorf("%s took mail again only after %v", n.name, took)
		}
		l.add("cubo-"+n.name, msg)
	}
	l.check(t, h.b.read(t, user))
}

// A node dies in the middle of its work. All that it acknowledged is at the
// other node; what it did not acknowledge is sent again there.
func testNodeKilled(t *testing.T, h *house) {
	const senders = 8
	user := h.account(t, "muerte")
	l := newLedger()
	var wg sync.WaitGroup
	var acked atomic.Int64
	unsure := newLedger() // sent and not acknowledged
	for i := range senders {
		wg.Go(func() {
			s := sender{nodes: []*node{h.a}}
			defer s.close()
			for j := 0; ; j++ {
				subject := fmt.Sprintf("muerte-%d-%d", i, j)
				msg := letter(user, subject, 2000)
				if err := s.attempt(t.Context(), user, msg); err != nil {
					unsure.add(subject, msg)
					return
				}
				acked.Add(1)
				l.add(subject, msg)
			}
		})
	}
	time.Sleep(time.Second)
	h.a.kill()
	wg.Wait()
	t.Logf("%d acknowledged, %d not", acked.Load(), len(unsure.sent))
	if acked.Load() < senders {
		t.Errorf("only %d messages were acknowledged", acked.Load())
	}
	l.check(t, h.b.read(t, user))
	h.sound(t)
	time.Sleep(time.Second) // a COMMIT that was on its way has arrived
	again := sender{nodes: []*node{h.b}}
	defer again.close()
	for subject, msg := range unsure.sent {
		if err := again.attempt(t.Context(), user, msg); err != nil {
			t.Errorf("%s, sent again: %v", subject, err)
		}
		l.add(subject, msg)
	}
	l.check(t, h.b.read(t, user))
	h.a.start(t)
}

// A node dies between a commit and its 250. The client reads no reply and sends
// the message again at once, to the other node: nobody has it twice, since the
// accept itself said that its reply had not been read.
func testReplyLost(t *testing.T, h *house) {
	user := h.account(t, "duda")
	h.a.stop(t)
	h.a.start(t, "store.committed=kill:40")
	l := newLedger()
	s := sender{nodes: []*node{h.a}}
	defer s.close()
	for i := 0; ; i++ {
		subject := fmt.Sprint("duda-", i)
		msg := letter(user, subject, 2000)
		err := s.attempt(t.Context(), user, msg)
		l.add(subject, msg)
		if err == nil {
			continue
		}
		h.a.died()
		t.Logf("died after %d messages", i)
		again := sender{nodes: []*node{h.b}}
		defer again.close()
		if err := again.attempt(t.Context(), user, msg); err != nil {
			t.Error(err)
		}
		break
	}
	h.a.start(t)
	h.checkBoth(t, user, l)
}

// A node dies while it delivers. When its lease is over, the other node
// delivers, and the message arrives once.
func testLeaseOrphaned(t *testing.T, h *house) {
	user := h.account(t, "relevo")
	const slow, quick = "slow@lejos.test", "quick@lejos.test"
	h.a.submit(t, user, slow, letter(slow, "relevo", 2000))
	select {
	case <-h.sink.held:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody delivers")
	}
	holder, other := h.a, h.b
	if h.leased(t, h.b) {
		holder, other = h.b, h.a
	} else if !h.leased(t, h.a) {
		t.Fatal("nobody has the lease")
	}
	holder.kill()
	h.sink.open()
	// A quarter of an hour goes by: the lease is over. Other mail wakes the queue.
	if n := h.sql(t, "WITH o AS (UPDATE queue_entry SET due = due - 15 * 60 * 1000000::bigint WHERE leased = 1 RETURNING id) SELECT COUNT(*) FROM o"); n != 1 {
		t.Errorf("%d entries were leased, expected 1", n)
	}
	other.submit(t, user, quick, letter(quick, "relevo-2", 2000))
	for _, to := range []string{slow, quick} {
		await(t, "the other node delivers", func() error {
			if n := len(h.sink.copies(to)); n != 1 {
				return fmt.Errorf("%s came %d times", to, n)
			}
			return nil
		})
	}
	await(t, "the queue is empty", func() error {
		if n := h.sql(t, "SELECT COUNT(*) FROM queue_entry"); n > 0 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	holder.start(t)
	if n := len(h.sink.copies(slow)); n != 1 {
		t.Errorf("the message came %d times", n)
	}
}

// leased reports whether a node's process has work leased.
func (h *house) leased(t *testing.T, n *node) bool {
	t.Helper()
	return h.sql(t, fmt.Sprintf("SELECT COUNT(*) FROM queue_entry WHERE leased = 1 AND node LIKE '%%/%d'", n.server.Pid())) > 0
}
