package allowance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"posta/internal/pgtest"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

var t0 = time.Date(2026, 3, 2, 10, 20, 0, 0, time.UTC)

// Days of sending, with a limit of five: when, how many are tried, what came of the
// last of them.
func TestDay(t *testing.T) {
	const dialogue = `
0s       3  ok 3/5
# four fifths are used: the people are told, once a day
1h       1  ok 4/5 warn
1h       1  ok 5/5
# the three of ten o'clock are forgotten 25 hours after that hour began
1h       1  no 5/5 free 2026-03-03T11:00:00Z
24h39m   1  no 5/5 free 2026-03-03T11:00:00Z
24h40m   1  ok 3/5
# a day after the last warning they are told again
24h40m   1  ok 4/5 warn
25h40m   1  ok 3/5
25h41m   1  ok 4/5
# a clock that goes back frees nothing
2h       1  ok 5/5
2h       1  no 5/5 free 2026-03-04T12:00:00Z
# a week of rest
200h     5  ok 5/5
200h     1  no 5/5 free 2026-03-11T19:00:00Z
`
	var d Day
	for line := range strings.Lines(dialogue) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		after, err := time.ParseDuration(f[0])
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		fmt.Sscan(f[1], &n)
		var a Answer
		for range n {
			d = parseDay(d.append(nil)) // as it is kept
			d, a = d.Take(5, t0.Add(after))
		}
		got := fmt.Sprintf("%s %d/%d", map[bool]string{true: "ok", false: "no"}[a.OK], a.Sent, a.Limit)
		if !a.OK {
			got += " free " + a.Free.Format(time.RFC3339)
		}
		if a.Warn {
			got += " warn"
		}
		if want := strings.Join(f[2:], " "); got != want {
			t.Errorf("%s\n got %s", line, got)
		}
	}
}

// In no 24 hours are there more than the limit, and when it is said that the next one
// may go, it goes, and not before.
func TestNeverMore(t *testing.T) {
	const limit = 10
	var d Day
	var went []time.Time
	now := t0
	for i := range 2000 {
		now = now.Add(time.Duration(i*7919%47) * time.Minute)
		var a Answer
		if d, a = d.Take(limit, now); a.OK {
			went = append(went, now)
			continue
		}
		if _, early := d.Take(limit, a.Free.Add(-time.Second)); early.OK {
			t.Fatalf("%v: free at %v, and a second before", now, a.Free)
		}
		if _, then := d.Take(limit, a.Free); !then.OK {
			t.Fatalf("%v: not free at %v", now, a.Free)
		}
	}
	for i := limit; i < len(went); i++ {
		if in := went[i].Sub(went[i-limit]); in < 24*time.Hour {
			t.Fatalf("%d messages in %v", limit+1, in)
		}
	}
	if len(went) < 2*limit {
		t.Errorf("only %d messages went", len(went))
	}
}

// What was not accepted is given back, in its own hour; more is never given.
func TestGive(t *testing.T) {
	var d Day
	for range 5 {
		d, _ = d.Take(5, t0)
	}
	if d = d.Give(t0, t0.Add(time.Hour)); d.Sent(t0.Add(time.Hour)) != 4 {
		t.Errorf("%d count", d.Sent(t0.Add(time.Hour)))
	}
	if d = d.Give(t0.Add(-time.Hour), t0); d.Sent(t0.Add(time.Hour)) != 4 {
		t.Errorf("%d count after giving to an hour without any", d.Sent(t0.Add(time.Hour)))
	}
	if d = d.Give(t0, t0.Add(48*time.Hour)); d.Sent(t0.Add(48*time.Hour)) != 0 {
		t.Error("giving after two days made a message")
	}
}

// Which limit holds.
func TestLimit(t *testing.T) {
	for _, c := range []struct{ own, policy, want int }{
		{0, 0, 0}, {0, 500, 500}, {store.NoLimit, 500, 0}, {2000, 500, 2000}, {20, 0, 20}, {0, -1, 0},
	} {
		if got := Limit(c.own, c.policy); got != c.want {
			t.Errorf("own %d, policy %d: %d, want %d", c.own, c.policy, got, c.want)
		}
	}
}

func FuzzDay(f *testing.F) {
	d, _ := Day{}.Take(5, t0)
	f.Add(d.append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := parseDay(b)
		if again := parseDay(d.append(nil)); again != d {
			t.Errorf("%v is read back as %v", d, again)
		}
		if n := len(d.append(nil)); n > store.MaxFactValue {
			t.Errorf("%d octets", n)
		}
		if next, a := d.Take(1, t0); a.OK != (d.Sent(t0) < 1) || next.Sent(t0) != a.Sent {
			t.Errorf("%+v of %v", a, d)
		}
	})
}

func open(t *testing.T, o sqlstore.Options) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The counts survive a restart.
func TestRestart(t *testing.T) {
	o := sqlstore.Options{Dir: t.TempDir()}
	for start := range 3 {
		s := open(t, o)
		for i := range 3 {
			a, _, err := New(s, nil).Take(t.Context(), 7, 8)
			if n := 3*start + i + 1; err != nil || a.OK != (n <= 8) {
				t.Errorf("message %d: %+v, %v", n, a, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Many sessions at two nodes on one store get exactly the limit, and their people are
// told once.
func TestTwoNodes(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		s := open(t, sqlstore.Options{Dir: t.TempDir()})
		defer s.Close()
		crowd(t, New(s, nil), New(s, nil))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		pg := pgtest.Start(t)
		pg.Create(t, "allowance", "template1")
		var nodes [2]*Counter
		for i := range nodes {
			s := open(t, sqlstore.Options{Dir: t.TempDir(), Postgres: pg.URL("allowance")})
			defer s.Close()
			nodes[i] = New(s, nil)
		}
		crowd(t, nodes[0], nodes[1])
	})
}

func crowd(t *testing.T, a, b *Counter) {
	const limit, sessions, each = 40, 8, 20
	var went, warned atomic.Int64
	var wg sync.WaitGroup
	for i := range sessions {
		node := []*Counter{a, b}[i%2]
		wg.Go(func() {
			for range each {
				ans, at, err := node.Take(t.Context(), 1, limit)
				switch {
				case err != nil:
					t.Error(err)
				case ans.OK:
					went.Add(1)
					if at.IsZero() {
						t.Error("taken at no time")
					}
				case !ans.Free.After(time.Now()):
					t.Errorf("put off until %v", ans.Free)
				}
				if ans.Warn {
					warned.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if went.Load() != limit || warned.Load() != 1 {
		t.Errorf("%d messages went and %d warnings; the limit is %d", went.Load(), warned.Load(), limit)
	}
	sent, err := b.Sent(t.Context(), 2, 1)
	if err != nil || sent[0] != 0 || sent[1] != limit {
		t.Errorf("Sent: %v, %v", sent, err)
	}
}

// away is a store that cannot be asked.
type away struct{}

func (away) FactsOf(context.Context, store.FactKind, ...string) ([]store.Fact, error) {
	return nil, store.ErrTemporary
}
func (away) ChangeFacts(context.Context, store.FactKind, []string, func(store.Fact) store.Fact) error {
	return store.ErrTemporary
}

// A store that is away puts nobody off.
func TestStoreAway(t *testing.T) {
	a, at, err := New(away{}, nil).Take(t.Context(), 1, 1)
	if !a.OK || !at.IsZero() || !errors.Is(err, store.ErrTemporary) {
		t.Errorf("%+v %v %v", a, at, err)
	}
}

func BenchmarkTake(b *testing.B) {
	s, err := sqlstore.Open(context.Background(), sqlstore.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	c := New(s, nil)
	for b.Loop() {
		if _, _, err := c.Take(b.Context(), 1, 1<<30); err != nil {
			b.Fatal(err)
		}
	}
}
