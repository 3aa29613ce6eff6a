package crashtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"posta/internal/app"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/store"
)

// fate is what a client knows of a letter.
type fate int

const (
	unknown   fate = iota // sent, and no reply was read: it is there once or not at all
	kept                  // acknowledged: it is there once
	removing              // expunged, and no reply was read: it is there once or not at all
	removed               // the expunge was acknowledged: it is not there
	turnedOff             // refused: it is not there
)

var fateNames = [...]string{"unknown", "kept", "removing", "removed", "refused"}

func (f fate) String() string { return fateNames[f] }

// allows tells whether a letter of this fate may be there n times.
func (f fate) allows(n int) bool {
	switch f {
	case kept:
		return n == 1
	case removed, turnedOff:
		return n == 0
	}
	return n <= 1
}

// letter is one message of the ledger.
type letter struct {
	token string // its Subject
	door  string
	to    string // address; elsewhere for the queue
	text  string
	fate  fate
	id    string // accept id
	uid   uint32 // of APPEND
	busy  bool   // a client is at it
}

// ledger is what the clients know.
type ledger struct {
	mu      sync.Mutex
	n       int
	letters map[string]*letter
}

func newLedger() *ledger { return &ledger{letters: map[string]*letter{}} }

// write makes a new letter for a door.
func (l *ledger) write(door, to string) *letter {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	m := &letter{token: fmt.Sprintf("%s-%d", door, l.n), door: door, to: to}
	if to == "" {
		m.to = m.token + "@elsewhere.test"
	}
	m.text = fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%s@%s>\r\n\r\n",
		address("writer"), m.to, m.token, m.token, domain)
	m.text += strings.Repeat("a line of the letter "+m.token+"\r\n", 1+rand.IntN(200))
	return m
}

// sent notes that the letter is on its way: from here on it may be there.
func (l *ledger) sent(m *letter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.letters[m.token], m.busy = m, true
}

// release gives a letter free whose fate is not known.
func (l *ledger) release(m *letter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.busy = false
}

// keep notes an acknowledgement.
func (l *ledger) keep(m *letter, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.fate, m.id, m.busy = kept, id, false
}

func (l *ledger) settle(m *letter, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.fate = f
}

// keptBy counts what was acknowledged at a door.
func (l *ledger) keptBy(door string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.letters {
		if m.door == door && m.fate == kept {
			n++
		}
	}
	return n
}

// again takes a letter of a door whose fate is not known, to send it once more.
func (l *ledger) again(door string, rng *rand.Rand) *letter {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.letters {
		if m.door == door && m.fate == unknown && !m.busy && rng.IntN(2) == 0 {
			m.busy = true
			return m
		}
	}
	return nil
}

// count by fate.
func (l *ledger) count() map[fate]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[fate]int{}
	for _, m := range l.letters {
		out[m.fate]++
	}
	return out
}

// await waits until n letters are acknowledged, for so long or until the server
// is dead.
func (l *ledger) await(s *server, n int, atMost time.Duration) bool {
	for end := time.Now().Add(atMost); l.count()[kept] < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) || s.Dead() {
			return false
		}
	}
	return true
}

// reopen gives letters free that were put aside.
func (l *ledger) reopen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.letters {
		m.busy = false
	}
}

// placedAt is where a letter was found.
type placedAt struct {
	account string
	uid     uint32
}

// compare looks for every letter in the state, and for every message there in the
// ledger. delivered tells how often the world got a message for an address. It
// returns how many left more than once.
func (l *ledger) compare(t testing.TB, state *app.State, delivered func(to string) int) (repeated int) {
	t.Helper()
	there, waiting, held, answers := inMailboxes(t, state), inQueue(t, state), inQuarantine(t, state), inAnswers(t, state)
	l.mu.Lock()
	defer l.mu.Unlock()
	for token, m := range l.letters {
		at := there[token]
		n := len(at)
		if m.door == "queue" {
			waits, left := waiting[m.to], delivered(m.to)
			if waits > 1 {
				t.Errorf("%s (%s): waits %d times", token, m.fate, waits)
			}
			repeated += max(0, left-1)
			n = min(1, waits+left)
		}
		if m.door == "script" && m.fate == kept {
			repeated += l.scripted(t, m, func(to string) int { return waiting[to] + answers[to] }, delivered)
		}
		if h := held[token]; h > 0 { // or released
			if n += h; m.door != "held" {
				t.Errorf("%s: is held %d times", token, h)
			}
		}
		if !m.fate.allows(n) {
			t.Errorf("%s (%s, accept %s): is there %d times %v", token, m.fate, m.id, n, at)
		}
		for _, p := range at {
			if address(p.account) != m.to || m.uid != 0 && p.uid != m.uid {
				t.Errorf("%s: was acknowledged in %s with UID %d, and is in %s with UID %d", token, m.to, m.uid, p.account, p.uid)
			}
		}
		if m.fate == kept && m.id != "" {
			id, err := mail.ParseID(m.id)
			if err != nil {
				t.Errorf("%s: %q: %v", token, m.id, err)
			} else if yes, err := state.Store.Accepted(context.Background(), id); !yes || err != nil {
				t.Errorf("%s: accept %s is not known: %v", token, m.id, err)
			}
		}
	}
	for token, at := range there {
		if l.letters[token] == nil {
			t.Errorf("%q in %v was never sent", token, at)
		}
	}
	return repeated
}

// scripted looks for what a script wanted with a letter that was acknowledged: none of it
// is lost, and it leaves twice only where the reply to a dot was lost.
func (l *ledger) scripted(t testing.TB, m *letter, waits, delivered func(to string) int) (repeated int) {
	t.Helper()
	for _, to := range []string{"r-" + m.token + "@elsewhere.test", "n-" + m.token + "@elsewhere.test"} {
		if waits(to) > 1 {
			t.Errorf("%s: waits %d times for %s", m.token, waits(to), to)
		}
		if waits(to)+delivered(to) == 0 {
			t.Errorf("%s: what its script wanted for %s is lost", m.token, to)
		}
		repeated += max(0, delivered(to)-1)
	}
	return repeated
}

// inAnswers counts what scripts wrote and no job has sent yet, by recipient.
func inAnswers(t testing.TB, state *app.State) map[string]int {
	t.Helper()
	out := map[string]int{}
	jobs, err := state.Store.ListJobs(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(jobs) == 1000 {
		t.Fatal("too many jobs to be counted")
	}
	for i := range jobs {
		if jobs[i].Kind != store.AnswerJobKind {
			continue
		}
		a, err := store.DecodeAnswerJob(&jobs[i])
		if err != nil {
			t.Fatal(err)
		}
		// A job whose message is filed only waits to be ended.
		if filed, err := state.Store.Accepted(context.Background(), a.ID); err != nil {
			t.Fatal(err)
		} else if !filed {
			out[a.To]++
		}
	}
	return out
}

// inQuarantine counts what is held by its Subject.
func inQuarantine(t testing.TB, state *app.State) map[string]int {
	t.Helper()
	out := map[string]int{}
	for after := int64(0); ; {
		page, err := state.Store.ListHeld(context.Background(), store.HeldFilter{After: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range page {
			out[h.Subject]++
			after = h.ID
		}
		if len(page) == 0 {
			return out
		}
	}
}

// inMailboxes finds every message by its Subject.
func inMailboxes(t testing.TB, state *app.State) map[string][]placedAt {
	t.Helper()
	out := map[string][]placedAt{}
	for _, name := range accounts {
		acc := state.Directory.View().ByLogin(address(name))
		boxes, err := state.Store.ListMailboxes(context.Background(), acc.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range boxes {
			for from := mailbox.UID(1); ; {
				page, err := state.Store.Fetch(context.Background(), acc.ID, b.ID, store.FetchQuery{From: from, Want: store.WantEnvelope})
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range page {
					var e message.Envelope
					if err := e.UnmarshalBinary(m.Envelope); err != nil {
						t.Fatal(err)
					}
					out[e.Subject] = append(out[e.Subject], placedAt{name, uint32(m.UID)})
					from = m.UID + 1
				}
				if len(page) == 0 {
					break
				}
			}
		}
	}
	return out
}

// inQueue counts what waits by recipient.
func inQueue(t testing.TB, state *app.State) map[string]int {
	t.Helper()
	out := map[string]int{}
	for after := int64(0); ; {
		page, err := state.Store.ListQueue(context.Background(), store.QueueFilter{After: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range page {
			out[q.Address]++
			after = q.ID
		}
		if len(page) == 0 {
			return out
		}
	}
}
