package crashtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// outboxPoints are the steps of what an accept left to be done after its commit.
var outboxPoints = []string{"store.outbox.step"}

// crowd is how many accounts the alias todos leads to: more than one transaction
// takes, so that there are three steps behind the accept.
const crowd = 900

// newCrowd is a house with an alias that leads to many accounts.
func newCrowd(t *testing.T) string {
	t.Helper()
	data := newHouse(t)
	state := openState(t, data)
	defer closeState(t, state)
	err := state.Store.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		v, err := tx.View()
		if err != nil {
			return store.Audit{}, err
		}
		d := v.Domains[0].ID
		alias := store.Address{Domain: d, Local: "todos", Kind: store.ToTargets}
		for i := range crowd {
			a := &store.Account{Domain: d, Login: address(fmt.Sprint("c", i))}
			if err := tx.PutAccount(a); err != nil {
				return store.Audit{}, err
			}
			if err := tx.PutAddress(store.Address{Domain: d, Local: fmt.Sprint("c", i), Account: a.ID}); err != nil {
				return store.Audit{}, err
			}
			alias.Targets = append(alias.Targets, a.Login)
		}
		return store.Audit{}, tx.PutAddress(alias)
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// sendToAll writes to the alias; it must read 250.
func sendToAll(t *testing.T, s *server) {
	t.Helper()
	c, err := dialSMTP("tcp", s.Doors["smtp"], "EHLO", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.send("x@"+domain, address("todos"), "Subject: a todos\r\n\r\nhola\r\n"); err != nil {
		t.Fatalf("a letter to all: %v\n%s", err, s.Log())
	}
}

// awaitOutbox waits until a server says that all of it is done.
func awaitOutbox(t *testing.T, s *server) {
	t.Helper()
	for start := time.Now(); !strings.Contains(s.Log(), "outbox done"); time.Sleep(20 * time.Millisecond) {
		if s.Dead() || time.Since(start) > time.Minute {
			t.Fatalf("what was acknowledged is not done:\n%s", s.Log())
		}
	}
}

// copies is how many accounts of the crowd have how many letters.
func copies(t *testing.T, data string) map[int64]int {
	t.Helper()
	state := openState(t, data)
	defer closeState(t, state)
	sound(t, state)
	v := state.Directory.View()
	out := map[int64]int{}
	for i := range crowd {
		var id mailbox.AccountID
		if acc := v.ByLogin(address(fmt.Sprint("c", i))); acc != nil {
			id = acc.ID
		}
		_, n, _, err := state.Store.Usage(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		out[n]++
	}
	return out
}

// A letter to more accounts than one transaction takes was acknowledged; the server
// is killed at one of the steps that are left, or the disk fails there. Everybody
// has the letter in the end, and nobody twice.
func TestOutboxAtEachStep(t *testing.T) {
	for _, point := range outboxPoints {
		for _, how := range []string{"kill:1", "kill:2", "kill:3", "eio:2", "enospc:1"} {
			t.Run(point+":"+how, func(t *testing.T) {
				t.Parallel()
				out, data := newOutside(t), newCrowd(t)
				s := start(t, settings(data, out.sink, out.dns), fmt.Sprintf("POSTA_FAILPOINTS=%s=%s", point, how))
				sendToAll(t, s)
				if strings.HasPrefix(how, "kill") {
					s.awaitEnd(30 * time.Second)
				} else {
					for begun := time.Now(); !strings.Contains(s.Log(), "outbox put off") && time.Since(begun) < time.Minute; {
						time.Sleep(10 * time.Millisecond)
					}
					if s.Dead() {
						t.Errorf("the server ended:\n%s", s.Log())
					}
					s.Kill()
				}
				if before := copies(t, data); before[0] == 0 || before[1] == 0 || before[0]+before[1] != crowd {
					t.Errorf("accounts by their letters after the end: %v", before)
				}
				s = start(t, settings(data, out.sink, out.dns))
				awaitOutbox(t, s)
				s.Kill()
				if after := copies(t, data); after[1] != crowd {
					t.Errorf("accounts by their letters at last: %v", after)
				}
			})
		}
	}
}
