package mtasts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"posta/internal/resolver"
	"posta/internal/store/sqlstore"
)

// source is a policy host.
type source struct {
	policy  Policy
	err     error
	fetched int
}

func (s *source) Fetch(context.Context, string) (Policy, error) {
	s.fetched++
	return s.policy, s.err
}

// bench is a Cache over a store, with a clock.
type bench struct {
	*Cache
	now  time.Time
	zone resolver.Static
	src  *source
	st   *sqlstore.Store
}

func newBench(t *testing.T) *bench {
	b := &bench{now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), zone: resolver.Static{}, src: &source{}}
	var err error
	if b.st, err = sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir(), Now: b.clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.st.Close() })
	b.restart()
	return b
}

func (b *bench) clock() time.Time { return b.now }

func (b *bench) restart() {
	b.Cache = NewCache(Config{DNS: b.zone, Source: b.src, Facts: b.st, Now: b.clock})
}

// says is what holds, in a word, and what is wrong.
func (b *bench) says(t *testing.T) string {
	t.Helper()
	a, err := b.Policy(t.Context(), "example.org")
	if err != nil {
		t.Fatal(err)
	}
	s := "nothing"
	if a.Kept != nil {
		s = a.Kept.Policy.Mode.String()
	}
	if a.Problem != nil {
		s += "!"
	}
	return fmt.Sprintf("%s %d", s, b.src.fetched)
}

func (b *bench) publish(id string, m Mode, age time.Duration) {
	b.zone["_mta-sts.example.org"] = []string{"TXT v=STSv1; id=" + id + ";"}
	b.src.policy, b.src.err = Policy{m, age, []string{"mx.example.org"}}, nil
}

// The life of a policy: what holds, and how often the policy host was asked.
func TestCache(t *testing.T) {
	b := newBench(t)
	step := func(what, want string) {
		t.Helper()
		if got := b.says(t); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	day := 24 * time.Hour
	step("no record", "nothing 0")
	b.publish("1", Testing, 7*day)
	step("published", "testing 1")
	step("asked again", "testing 1")
	b.publish("2", Enforce, 7*day)
	step("a new id", "enforce 2")
	b.restart()
	step("after a restart", "enforce 2")

	b.src.err = &FetchError{Unreachable, errors.New("down")}
	b.zone["_mta-sts.example.org"] = []string{"TXT v=STSv1; id=3;"}
	step("a new id and the policy host down: what is kept holds", "enforce! 3")
	step("no more often than every five minutes", "enforce! 3")
	b.now = b.now.Add(6 * time.Minute)
	step("then again", "enforce! 4")

	delete(b.zone, "_mta-sts.example.org")
	step("the record is gone: what is kept holds (RFC 8461 §5.1)", "enforce! 4")
	b.zone["_mta-sts.example.org"] = []string{"FAIL timeout"}
	step("the DNS is down: what is kept holds", "enforce! 4")
	b.restart()
	step("and after a restart", "enforce! 4")
	b.now = b.now.Add(7 * day)
	step("until it expires", "nothing! 4")

	b.publish("4", None, day)
	step("none", "none 5")
}

// A policy that is fetched again holds on, though its id is the same.
func TestRefresh(t *testing.T) {
	b := newBench(t)
	b.publish("1", Enforce, 3*24*time.Hour)
	b.says(t)
	for range 10 {
		b.now = b.now.Add(25 * time.Hour)
		if err := b.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if b.src.fetched != 11 {
		t.Errorf("fetched %d times", b.src.fetched)
	}
	b.src.err = errors.New("down")
	if got := b.says(t); got != "enforce 11" {
		t.Errorf("after ten days: %s", got)
	}
}

// A policy larger than one fact survives a restart whole.
func TestLargePolicy(t *testing.T) {
	b := newBench(t)
	b.publish("1", Enforce, time.Hour)
	b.src.policy.MX = nil
	for i := range MaxMX {
		b.src.policy.MX = append(b.src.policy.MX, fmt.Sprintf("%s%d.example.org", strings.Repeat("m", 40), i))
	}
	b.says(t)
	b.restart()
	a, err := b.Policy(t.Context(), "example.org")
	if err != nil || a.Kept == nil || a.Kept.Policy.Text() != b.src.policy.Text() || b.src.fetched != 1 {
		t.Errorf("%v, fetched %d times", err, b.src.fetched)
	}
}
