package crashtest

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"posta/internal/app"
)

// load is many clients at the doors of one server, until it dies or the load is
// stopped.
type load struct {
	t      testing.TB
	s      *server
	data   string
	book   *ledger
	pause  time.Duration // at most this between two letters of a client
	refuse bool          // refusals are what the test is about
	vague  bool          // and a refused letter may be there all the same
	quit   chan struct{}
	wg     sync.WaitGroup
	mu     sync.Mutex
	said   map[string]int // refusals by code, or "NO"
}

// begin starts the clients: four at the door for strangers, one that submits
// with a password, one that speaks LMTP, one whose letters a script files, a stranger whose mail is held, two programs of the machine that write
// elsewhere, two IMAP clients.
func begin(t testing.TB, s *server, data string, book *ledger, pause time.Duration, how ...func(*load)) *load {
	book.reopen()
	l := &load{t: t, s: s, data: data, book: book, pause: pause, quit: make(chan struct{}), said: map[string]int{}}
	for _, f := range how {
		f(l)
	}
	for i := range 4 {
		l.sender("local", "tcp", s.Doors["smtp"], "", address(accounts[i%2]))
	}
	l.sender("submission", "tcp", s.Doors["submission"], address("writer"), address("ana"))
	l.sender("lmtp", "tcp", s.Doors["lmtp"], "", address("luis"))
	l.sender("script", "tcp", s.Doors["smtp"], "", address("filed"))
	l.sender("held", "tcp", s.Doors["smtp_proxy"], "", address("luis"))
	for range 2 {
		l.sender("queue", "unix", filepath.Join(data, app.SendmailSocket), "", "")
	}
	l.mailbox("imap0")
	l.mailbox("imap1")
	return l
}

// end stops the clients after the letter that each is at.
func (l *load) end() {
	close(l.quit)
	l.wg.Wait()
}

// rest waits a moment; false when the load ends.
func (l *load) rest(rng *rand.Rand) bool {
	select {
	case <-l.quit:
		return false
	case <-time.After(time.Duration(rng.Int64N(int64(l.pause) + 1))):
		return true
	}
}

// sender sends letters on one connection. Those whose fate is not known are sent
// again first, as a client does that never read its reply (RFC 1047).
func (l *load) sender(door, network, addr, login, to string) {
	l.wg.Go(func() {
		rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
		verb := "EHLO"
		if door == "lmtp" {
			verb = "LHLO"
		}
		from, before := address("writer"), ""
		if door == "held" { // a notice: the stranger's domain need not exist
			from, before = "", "PROXY TCP4 192.0.2.7 192.0.2.1 40000 25\r\n"
		}
		c, err := dialSMTP(network, addr, verb, login, before)
		if err != nil {
			return // it died before we came in
		}
		defer c.Close()
		for l.rest(rng) {
			m := l.book.again(door, rng)
			repeat := m != nil
			if !repeat {
				m = l.book.write(door, to)
				l.book.sent(m)
			}
			id, err := c.send(from, m.to, m.text)
			if !l.settled(m, err) {
				l.book.release(m)
				return
			}
			if err == nil { // a refused one is put aside until the next server
				if repeat {
					id = "" // the accept may be the earlier one, with another id
				}
				l.book.keep(m, id)
			}
		}
	})
}

// settled notes a refusal; false when the connection is gone.
func (l *load) settled(m *letter, err error) bool {
	no, ok := errors.AsType[refused](err)
	switch {
	case err == nil:
		return true
	case !ok:
		return false
	case !l.refuse || no[0] != '4' && no[:2] != "NO":
		l.t.Errorf("%s: %s", m.token, no)
	}
	l.mu.Lock()
	l.said[strings.Fields(string(no))[0]]++
	l.mu.Unlock()
	if m.fate == unknown && !l.vague {
		l.book.settle(m, turnedOff)
	}
	return true
}

// mailbox appends to a mailbox of its own and expunges some of it.
func (l *load) mailbox(name string) {
	l.wg.Go(func() {
		rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
		c, err := dialIMAP(l.s.Doors["imaps"], address(name))
		if err != nil {
			return
		}
		defer c.Close()
		var mine []*letter
		for l.rest(rng) {
			if len(mine) > 0 && rng.IntN(3) == 0 {
				i := rng.IntN(len(mine))
				m := mine[i]
				mine = append(mine[:i], mine[i+1:]...)
				l.book.settle(m, removing)
				switch err := c.expunge(m.uid); {
				case err == nil:
					l.book.settle(m, removed)
				case !l.settled(m, err):
					return
				}
				continue
			}
			m := l.book.write("imap", address(name))
			l.book.sent(m)
			uid, err := c.append(m.text)
			if !l.settled(m, err) {
				return
			}
			if err == nil {
				m.uid = uid
				l.book.settle(m, kept)
				mine = append(mine, m)
			}
		}
	})
}

// hears waits until a refusal was heard some times.
func (l *load) hears(code string, atMost time.Duration) bool {
	const often = 3
	for end := time.Now().Add(atMost); time.Now().Before(end) && !l.s.Dead(); time.Sleep(5 * time.Millisecond) {
		l.mu.Lock()
		n := l.said[code]
		l.mu.Unlock()
		if n >= often {
			return true
		}
	}
	return false
}

// forget begins to count replies anew.
func (l *load) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.said)
}
