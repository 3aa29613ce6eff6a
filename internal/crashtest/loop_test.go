package crashtest

import (
	"math/rand/v2"
	"testing"
	"time"
)

// housesLife is after how many rounds a loop goes on with a new house, so that a
// comparison of everything stays quick.
const housesLife = 20

// perDomain is how many attempts the queue makes at once to one domain: so many can
// be between the dot and the record of its reply when the server dies.
const perDomain = 4

// A server is killed at random moments under load from many senders, now and then
// while it starts. What was acknowledged is there once, what was not is there once
// or not at all, and every invariant holds. POSTA_CRASH_ROUNDS says how often
// (200 in CI).
func TestKillAtRandom(t *testing.T) {
	n := rounds(t, "POSTA_CRASH_ROUNDS", 12)
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	out := newOutside(t)
	var data string
	var book *ledger
	sum, scripted := map[fate]int{}, 0
	repeated, began := 0, time.Now()
	for i := range n {
		if i%housesLife == 0 {
			data, book = newHouse(t), newLedger()
		}
		crashUnderLoad(t, rng, data, out, book)
		if last := i == n-1 || i%housesLife == housesLife-1; last || rng.IntN(2) == 0 {
			state := openState(t, data)
			again := book.compare(t, state, out.times)
			sound(t, state)
			closeState(t, state)
			if last {
				repeated += again
				for f, k := range book.count() {
					sum[f] += k
				}
				scripted += book.keptBy("script")
			}
		}
		if t.Failed() {
			t.Fatalf("in round %d", i)
		}
	}
	t.Logf("%d rounds in %v: %v; %d left twice since the reply to their dot was lost", n, time.Since(began).Round(time.Millisecond), sum, repeated)
	if most := n * perDomain; repeated > most {
		t.Errorf("more left twice than were being sent at the moments of death: at most %d", most)
	}
	if sum[kept] == 0 || scripted == 0 || n >= 50 && sum[removed] == 0 {
		t.Error("nothing was acknowledged: the test shows nothing")
	}
}

// crashUnderLoad is one round: start, load, kill.
func crashUnderLoad(t *testing.T, rng *rand.Rand, data string, out *outside, book *ledger) {
	t.Helper()
	s := launch(t, settings(data, out.sink, out.dns), nil)
	if rng.IntN(10) == 0 { // while it starts, and recovers from the last crash
		time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
		s.Kill()
		return
	}
	s.Await(t)
	l := begin(t, s, data, book, 8*time.Millisecond)
	book.await(s, book.count()[kept]+1+rng.IntN(30), 5*time.Second)
	time.Sleep(time.Duration(rng.IntN(10_000)) * time.Microsecond)
	s.Kill()
	l.end()
}
