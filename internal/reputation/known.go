package reputation

import (
	"context"
	"encoding/binary"
	"slices"
	"strconv"
	"time"

	"posta/internal/addr"
	"posta/internal/store"
)

// correspondentFor is how long somebody is known after our user wrote last.
const correspondentFor = 400 * 24 * time.Hour

// Circle is those of ours who share whom they wrote to: a tenant of the house, or a
// domain that has none. What one circle writes opens no door of another. "" is no
// circle: nobody is known there.
type Circle string

// CircleOf is the circle of a domain of ours, by its ids.
func CircleOf(tenant, domain int64) Circle {
	if tenant != 0 {
		return Circle("tenant " + strconv.FormatInt(tenant, 10))
	}
	return Circle("domain " + strconv.FormatInt(domain, 10))
}

// Party is one of ours, who writes or to whom is written: an account, 0 for an
// address that is not one account's, and its circle.
type Party struct {
	Account int64
	Circle  Circle
}

// keys are the facts about a stranger that concern the party: the account's own, and
// its circle's. One that it has not is "".
func (p Party) keys(a addr.Address) (own, circle string) {
	if p.Account != 0 {
		own = key(strconv.FormatInt(p.Account, 10), a.Fold().String())
	}
	if p.Circle != "" {
		circle = key(string(p.Circle), a.Fold().String())
	}
	return own, circle
}

// Known is whom our users wrote to. The zero value is a stranger.
type Known struct {
	ByAccount bool      // the recipient's own account wrote to them
	ByCircle  bool      // somebody of his circle did, himself included
	Since     time.Time // of the account if ByAccount, else of the circle
	Last      time.Time // to the day
	Days      int       // on how many days
}

// correspondent is the fact.
type correspondent struct {
	since, last int64 // days since 1970
	days        uint64
}

func (c correspondent) append(b []byte) []byte {
	b = binary.AppendVarint(b, c.since)
	b = binary.AppendVarint(b, c.last)
	return binary.AppendUvarint(b, c.days)
}

func parseCorrespondent(f store.Fact) (c correspondent, ok bool) {
	if f.Until.IsZero() {
		return c, false
	}
	b := f.Value
	var n, m, k int
	c.since, n = binary.Varint(b)
	if n <= 0 {
		return correspondent{}, false
	}
	c.last, m = binary.Varint(b[n:])
	if m <= 0 {
		return correspondent{}, false
	}
	c.days, k = binary.Uvarint(b[n+m:])
	if k <= 0 || c.days > 1<<20 || c.since > c.last {
		return correspondent{}, false
	}
	return c, true
}

// Wrote remembers that one of ours wrote to addresses today. It is called after a
// submission was accepted; what was noticed today already costs a read only.
func (m *Memory) Wrote(ctx context.Context, by Party, to ...addr.Address) error {
	now := m.now()
	today := dayOf(now)
	var keys keySet
	for _, a := range to {
		if !a.IsZero() {
			own, circle := by.keys(a)
			keys.add(own)
			keys.add(circle)
		}
	}
	for batch := range slices.Chunk(keys.list, maxBatch) {
		facts, err := m.facts.FactsOf(ctx, store.Correspondent, batch...)
		if err != nil {
			return err
		}
		var news []string
		for i, f := range facts {
			if c, ok := parseCorrespondent(f); !ok || c.last != today {
				news = append(news, batch[i])
			}
		}
		if len(news) == 0 {
			continue
		}
		err = m.facts.ChangeFacts(ctx, store.Correspondent, news, func(f store.Fact) store.Fact {
			c, ok := parseCorrespondent(f)
			if !ok {
				c = correspondent{since: today}
			}
			if c.last != today {
				c.days++
			}
			c.last = max(c.last, today)
			return store.Fact{Value: c.append(nil), Until: now.Add(correspondentFor)}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keySet holds keys, each once, in the order in which they came.
type keySet struct {
	list []string
	seen map[string]bool
}

func (s *keySet) add(k string) {
	if k == "" || s.seen[k] {
		return
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[k] = true
	s.list = append(s.list, k)
}

// Known tells of a sender, for each recipient, whether he or his circle wrote to it.
// Only an address that DMARC proved is somebody we know: anybody can write another's
// address into a From field. On an error everybody is a stranger.
func (m *Memory) Known(ctx context.Context, from addr.Address, recipients ...Party) ([]Known, error) {
	out := make([]Known, len(recipients))
	if from.IsZero() {
		return out, nil
	}
	var keys keySet
	for _, p := range recipients {
		own, circle := p.keys(from)
		keys.add(own)
		keys.add(circle)
	}
	found := make(map[string]correspondent, len(keys.list))
	for batch := range slices.Chunk(keys.list, maxBatch) {
		facts, err := m.facts.FactsOf(ctx, store.Correspondent, batch...)
		if err != nil {
			return out, err
		}
		for i, f := range facts {
			if c, ok := parseCorrespondent(f); ok {
				found[batch[i]] = c
			}
		}
	}
	for i, p := range recipients {
		out[i] = p.known(from, found)
	}
	return out, nil
}

// known reads what was found for one recipient.
func (p Party) known(from addr.Address, found map[string]correspondent) Known {
	ownKey, circleKey := p.keys(from)
	c, own := found[ownKey]
	if !own {
		var circle bool
		if c, circle = found[circleKey]; !circle {
			return Known{}
		}
	}
	return Known{ByAccount: own, ByCircle: true, Since: dayTime(c.since), Last: dayTime(c.last), Days: int(c.days)}
}

func dayTime(d int64) time.Time { return time.Unix(d*24*60*60, 0).UTC() }
