package sqlstore

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"posta/internal/mail"
	"posta/internal/ratelimit"
	"posta/internal/store"
)

// The budget of refusals that are kept one by one. What is above it is merged: a
// stranger may be refused as often as he likes, he does not fill the disk.
var (
	refusedOfNetwork = ratelimit.Limit{Count: 6, Period: time.Minute, Burst: 100}
	refusedInAll     = ratelimit.Limit{Count: 20, Period: time.Second, Burst: 20_000}
)

const (
	// maxNetworks bounds the networks whose rates are remembered.
	maxNetworks = 8192
	// maxKinds bounds the merged records of an hour, and those for floods from more
	// networks than that: all of IPv4 or IPv6 by check, then without check.
	maxKinds    = 4096
	maxAllKinds = maxKinds + 512
	// maxKindKeys is how many keys beside its network a merged record is found by.
	maxKindKeys = 16
)

// refusals places refusals. It is safe for concurrent use; its memory is bounded
// by the constants above.
type refusals struct {
	networks *ratelimit.Table[netip.Prefix]

	mu    sync.Mutex
	all   ratelimit.State
	kinds map[kind]*kindCount
	hour  int64 // the latest seen
}

// kind is what is merged into one record.
type kind struct {
	network netip.Prefix
	check   string
	hour    int64 // since 1970
}

// kindCount is one merged record: what it is, and what of it is not written yet.
type kindCount struct {
	store.Merged          // Count since the last write
	id           mail.ID  // given to the first, and never again
	keys         []string // all
	fresh        []string // of these, those not written yet
}

func newRefusals() *refusals {
	return &refusals{networks: ratelimit.NewTable[netip.Prefix](refusedOfNetwork, maxNetworks), kinds: map[kind]*kindCount{}}
}

// mergedNetwork is the network that refusals are merged by: the /24 of IPv4, the
// /64 of IPv6.
func mergedNetwork(ip netip.Addr) netip.Prefix {
	if ip = ip.Unmap(); ip.Is4() {
		return ratelimit.Network(ip)
	}
	return ratelimit.Host(ip)
}

// everybody is all of the address's family.
func everybody(network netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(network.Addr(), 0).Masked()
}

// place implements store.Traces.PlaceRefused.
func (r *refusals) place(f store.Refusal) mail.ID {
	network := mergedNetwork(f.IP)
	if !network.IsValid() {
		return f.ID
	}
	at := f.ID.Time()
	within := r.networks.Take(network, at, 1).Allowed
	r.mu.Lock()
	defer r.mu.Unlock()
	hour := at.Unix() / 3600
	r.hour = max(r.hour, hour)
	if within {
		var d ratelimit.Decision
		if r.all, d = refusedInAll.Take(r.all, at, 1); d.Allowed {
			return f.ID
		}
	}
	k := r.kindOf(kind{network, f.Check, hour}, at)
	k.Count++
	if at.After(k.Last) {
		k.Last = at
	}
	for _, key := range f.Keys {
		if len(k.keys) == maxKindKeys {
			break
		}
		if !slices.Contains(k.keys, key) {
			k.keys, k.fresh = append(k.keys, key), append(k.fresh, key)
		}
	}
	return k.id
}

// kindOf finds or begins a merged record, a coarser one if there are too many. The
// caller holds mu.
func (r *refusals) kindOf(k kind, at time.Time) *kindCount {
	if r.kinds[k] == nil && len(r.kinds) >= maxKinds {
		k.network = everybody(k.network)
	}
	if r.kinds[k] == nil && len(r.kinds) >= maxAllKinds {
		k.check, k.hour = "", 0 // of any hour: there are two of these
	}
	c := r.kinds[k]
	if c == nil {
		c = &kindCount{id: mail.NewID(at)}
		c.Network, c.Check, c.First, c.Last = k.network, k.check, at, at
		c.fresh = []string{k.network.String()}
		r.kinds[k] = c
	}
	return c
}

// take gives what is to be written, and forgets what was written and is of an hour
// that is over.
func (r *refusals) take() []kindCount {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []kindCount
	for k, c := range r.kinds {
		switch {
		case c.Count > 0:
			out = append(out, *c)
			c.Count, c.fresh = 0, nil
		case k.hour < r.hour-1:
			delete(r.kinds, k)
		}
	}
	return out
}

// giveBack takes back what could not be written.
func (r *refusals) giveBack(list []kindCount) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range list {
		for _, have := range r.kinds {
			if have.id == c.id {
				have.Count += c.Count
				have.fresh = append(c.fresh, have.fresh...)
				break
			}
		}
	}
}

// writeMerged adds what was counted since the last time to the merged records.
func (w *trail) writeMerged(ctx context.Context) error {
	list := w.refusals.take()
	if len(list) == 0 {
		return nil
	}
	second := w.part(len(list))
	const rows = 5 * step / (maxKindKeys + 2)
	for len(list) > 0 {
		chunk := list[:min(len(list), rows)]
		var terms []term
		for i := range chunk {
			terms = append(terms, termsOf(chunk[i].id, chunk[i].fresh)...)
		}
		for i := range terms {
			terms[i].part += second
		}
		slices.SortFunc(terms, term.compare)
		err := w.side.write(ctx, func(t *tx) error {
			for i := range chunk {
				c := &chunk[i]
				_, err := t.exec(`INSERT INTO refused_merged (id, network, subject, count, first_at, last_at) VALUES ($1, $2, $3, $4, $5, $6)
					ON CONFLICT (id) DO UPDATE SET count = refused_merged.count + excluded.count, last_at = excluded.last_at`,
					c.id, c.Network.String(), c.Check, c.Count, c.First, c.Last)
				if err != nil {
					return err
				}
			}
			return insertTerms(t, terms)
		})
		if err != nil {
			w.refusals.giveBack(list)
			return err
		}
		list = list[len(chunk):]
	}
	return nil
}

const mergedColumns = "SELECT id, network, subject, count, first_at, last_at FROM refused_merged "

func scanMerged(r *rows, s *store.StoredTrace) error {
	m := &store.Merged{}
	var network string
	if err := r.scan(&s.ID, &network, &m.Check, &m.Count, &m.First, &m.Last); err != nil {
		return err
	}
	var err error
	m.Network, err = netip.ParsePrefix(network)
	s.Merged = m
	return err
}

// networksOf are the keys of the merged records in which an address may be; none
// if the key is no address.
func networksOf(key string) []string {
	ip, err := netip.ParseAddr(key)
	if err != nil {
		return nil
	}
	n := mergedNetwork(ip)
	return []string{n.String(), everybody(n).String()}
}

// PlaceRefused implements store.Traces.
func (s *Store) PlaceRefused(r store.Refusal) mail.ID { return s.trail.refusals.place(r) }
