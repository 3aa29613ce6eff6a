package reputation

import (
	"context"
	"encoding/binary"
	"strconv"
	"time"

	"posta/internal/addr"
	"posta/internal/store"
)

// correspondentFor is how long somebody is known after our user wrote last.
const correspondentFor = 400 * 24 * time.Hour

// Known is whom our users wrote to. The zero value is a stranger.
type Known struct {
	ByAccount bool      // the recipient's own account wrote to them
	ByAnyone  bool      // somebody in this house did
	Since     time.Time // of the account if ByAccount, else of the house
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

// Wrote remembers that an account wrote to addresses today. It is called after a
// submission was accepted; what was noticed today already costs a read only.
func (m *Memory) Wrote(ctx context.Context, account int64, to ...addr.Address) error {
	now := m.now()
	today := dayOf(now)
	var keys []string
	seen := map[string]bool{}
	for _, a := range to {
		for _, id := range []int64{account, everyone} {
			if k := knownKey(id, a); !seen[k] && !a.IsZero() {
				seen[k] = true
				keys = append(keys, k)
			}
		}
	}
	for len(keys) > 0 {
		batch := keys[:min(len(keys), maxBatch)]
		keys = keys[len(batch):]
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

// everyone is the account under which the whole house is noted.
const everyone int64 = 0

func knownKey(account int64, a addr.Address) string {
	return key(strconv.FormatInt(account, 10), a.Fold().String())
}

// Known tells of a sender, for each recipient's account (0 for one that is no
// account), whether they were written to. Only an address that DMARC proved is
// somebody we know: anybody can write another's address into a From field. On an
// error everybody is a stranger.
func (m *Memory) Known(ctx context.Context, from addr.Address, accounts ...int64) ([]Known, error) {
	out := make([]Known, len(accounts))
	if from.IsZero() {
		return out, nil
	}
	for start := 0; start < len(accounts); start += maxBatch - 1 {
		batch := accounts[start:min(start+maxBatch-1, len(accounts))]
		keys := []string{knownKey(everyone, from)}
		for _, id := range batch {
			keys = append(keys, knownKey(id, from))
		}
		facts, err := m.facts.FactsOf(ctx, store.Correspondent, keys...)
		if err != nil {
			return make([]Known, len(accounts)), err
		}
		house, any := parseCorrespondent(facts[0])
		for i, id := range batch {
			c, own := parseCorrespondent(facts[i+1])
			if own = own && id != everyone; !own {
				c = house
			}
			if own || any {
				out[start+i] = Known{ByAccount: own, ByAnyone: true, Since: dayTime(c.since), Last: dayTime(c.last), Days: int(c.days)}
			}
		}
	}
	return out, nil
}

func dayTime(d int64) time.Time { return time.Unix(d*24*60*60, 0).UTC() }
