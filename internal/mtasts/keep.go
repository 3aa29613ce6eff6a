package mtasts

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"posta/internal/store"
)

// Facts is where policies are kept.
type Facts interface {
	FactsOf(ctx context.Context, kind store.FactKind, keys ...string) ([]store.Fact, error)
	ChangeFacts(ctx context.Context, kind store.FactKind, keys []string, f func(store.Fact) store.Fact) error
	ListFacts(ctx context.Context, kind store.FactKind, prefix, after string, limit int) ([]store.Fact, error)
}

// Kept is a policy that was fetched.
type Kept struct {
	ID      string    // of the record that announced it
	Policy  Policy    //
	Fetched time.Time // last time that it was seen as it is
}

// Expires is when the policy holds no more.
func (k *Kept) Expires() time.Time { return k.Fetched.Add(k.Policy.MaxAge) }

// kept is a Kept as it is written: in pieces, as a fact is small and a policy may be
// large. Piece n of a domain has the key "domain/n"; each begins with a letter for every
// piece, so that half of an old policy is never taken for a new one: all are changed
// together.
type kept struct {
	ID      string   `json:"id"`
	Mode    Mode     `json:"mode"`
	MaxAge  int64    `json:"age"` // seconds
	MX      []string `json:"mx,omitempty"`
	Fetched int64    `json:"at"` // Unix seconds
}

const (
	piece     = store.MaxFactValue
	maxPieces = 80 // a policy of MaxPolicy octets in JSON
)

// key is the name of a piece; pieces of a domain stand in order.
func key(domain string, n int) string { return fmt.Sprintf("%s/%02d", domain, n) }

// load reads what is kept of a domain; nil if there is nothing that holds still.
func load(ctx context.Context, facts Facts, domain string, now time.Time) (*Kept, error) {
	var text []byte
	first, err := facts.FactsOf(ctx, store.TransportPolicy, key(domain, 0))
	if err != nil || first[0].Until.IsZero() {
		return nil, err
	}
	count, text := cut(first[0].Value)
	if count > 1 {
		keys := make([]string, 0, count-1)
		for n := 1; n < count; n++ {
			keys = append(keys, key(domain, n))
		}
		rest, err := facts.FactsOf(ctx, store.TransportPolicy, keys...)
		if err != nil {
			return nil, err
		}
		text = append([]byte(nil), text...)
		for _, f := range rest {
			text = append(text, f.Value...)
		}
	}
	var w kept
	if json.Unmarshal(text, &w) != nil || w.Mode > Enforce {
		return nil, nil // as good as lost
	}
	k := &Kept{w.ID, Policy{w.Mode, time.Duration(w.MaxAge) * time.Second, w.MX}, time.Unix(w.Fetched, 0)}
	if !k.Expires().After(now) {
		return nil, nil
	}
	return k, nil
}

// cut parts the number of pieces from the text of the first one.
func cut(value []byte) (count int, text []byte) {
	if len(value) < 2 {
		return 0, nil
	}
	count, err := strconv.Atoi(string(value[:2]))
	if err != nil {
		return 0, nil
	}
	return min(count, maxPieces), value[2:]
}

// save keeps a policy until it expires.
func save(ctx context.Context, facts Facts, domain string, k *Kept) error {
	text, err := json.Marshal(kept{k.ID, k.Policy.Mode, int64(k.Policy.MaxAge / time.Second), k.Policy.MX, k.Fetched.Unix()})
	if err != nil {
		return err
	}
	count := (len(text) + 2 + piece - 1) / piece
	if count > maxPieces {
		return fmt.Errorf("mtasts: the policy of %s is too large to be kept", domain)
	}
	text = append([]byte(fmt.Sprintf("%02d", count)), text...)
	pieces := map[string][]byte{}
	keys := make([]string, 0, count)
	for n := range count {
		keys = append(keys, key(domain, n))
		pieces[key(domain, n)] = text[n*piece : min((n+1)*piece, len(text))]
	}
	return facts.ChangeFacts(ctx, store.TransportPolicy, keys, func(f store.Fact) store.Fact {
		return store.Fact{Key: f.Key, Value: pieces[f.Key], Until: k.Expires()}
	})
}
