package allowance

import (
	"context"
	"strconv"
	"time"

	"posta/internal/store"
)

// Facts is what a Counter needs of store.Facts.
type Facts interface {
	FactsOf(ctx context.Context, kind store.FactKind, keys ...string) ([]store.Fact, error)
	ChangeFacts(ctx context.Context, kind store.FactKind, keys []string, f func(store.Fact) store.Fact) error
}

// maxBatch is how many facts are asked for at once.
const maxBatch = 100

// Counter keeps the days of all accounts. Its methods block on the store and are safe
// for concurrent use.
type Counter struct {
	facts Facts
	now   func() time.Time
}

// New makes a counter. now is the clock; nil means time.Now.
func New(facts Facts, now func() time.Time) *Counter {
	if now == nil {
		now = time.Now
	}
	return &Counter{facts, now}
}

// Silent is a counter that answers as c does and keeps nothing: for asking what a
// message would meet.
func (c *Counter) Silent() *Counter { return &Counter{silent{c.facts}, c.now} }

// silent computes changes and keeps none.
type silent struct{ Facts }

func (s silent) ChangeFacts(ctx context.Context, kind store.FactKind, keys []string, f func(store.Fact) store.Fact) error {
	facts, err := s.FactsOf(ctx, kind, keys...)
	if err != nil {
		return err
	}
	for i, k := range keys {
		facts[i].Key = k
		f(facts[i])
	}
	return nil
}

// Limit is the limit that holds for an account: its own, or the policy's. 0 is none:
// such an account is not counted.
func Limit(own, policy int) int {
	switch {
	case own < 0:
		return 0
	case own > 0:
		return own
	}
	return max(policy, 0)
}

// Take counts one more message of an account, if the limit, at least 1, lets it go. at
// is when it was taken, for Give. With an error the message should go, and nothing was
// counted.
func (c *Counter) Take(ctx context.Context, account int64, limit int) (a Answer, at time.Time, err error) {
	at = c.now()
	err = c.change(ctx, account, func(d Day) Day {
		d, a = d.Take(limit, at)
		return d
	})
	if err != nil {
		return Answer{OK: true, Limit: limit}, time.Time{}, err
	}
	return a, at, nil
}

// Give gives back a message that was taken and not accepted.
func (c *Counter) Give(ctx context.Context, account int64, at time.Time) error {
	return c.change(ctx, account, func(d Day) Day { return d.Give(at, c.now()) })
}

func (c *Counter) change(ctx context.Context, account int64, f func(Day) Day) error {
	return c.facts.ChangeFacts(ctx, store.Allowance, []string{key(account)}, func(old store.Fact) store.Fact {
		d := f(dayOf(old))
		return store.Fact{Value: d.append(nil), Until: d.until()}
	})
}

// Sent is how many messages of each account count now.
func (c *Counter) Sent(ctx context.Context, accounts ...int64) ([]int, error) {
	out := make([]int, 0, len(accounts))
	now := c.now()
	for len(accounts) > 0 {
		batch := accounts[:min(len(accounts), maxBatch)]
		accounts = accounts[len(batch):]
		keys := make([]string, len(batch))
		for i, a := range batch {
			keys[i] = key(a)
		}
		facts, err := c.facts.FactsOf(ctx, store.Allowance, keys...)
		if err != nil {
			return nil, err
		}
		for _, f := range facts {
			out = append(out, dayOf(f).Sent(now))
		}
	}
	return out, nil
}

func key(account int64) string { return strconv.FormatInt(account, 10) }

func dayOf(f store.Fact) Day {
	if f.Until.IsZero() {
		return Day{}
	}
	return parseDay(f.Value)
}
