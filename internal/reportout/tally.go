package reportout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"posta/internal/store"
)

const (
	flushEvery = 5 * time.Second
	maxPending = 8192 // rows that wait to be written; of more, new ones are not counted
	lastWrite  = 5 * time.Second
	batch      = 100                // rows of one change (store.Facts)
	keep       = 4 * 24 * time.Hour // from the day's end: a report may be late
)

// Facts is where counts are kept.
type Facts interface {
	FactsOf(ctx context.Context, kind store.FactKind, keys ...string) ([]store.Fact, error)
	ChangeFacts(ctx context.Context, kind store.FactKind, keys []string, f func(store.Fact) store.Fact) error
	ListFacts(ctx context.Context, kind store.FactKind, prefix, after string, limit int) ([]store.Fact, error)
}

// row is what is counted of one kind of thing on one day. The zero value counts nothing.
type row interface {
	// plus is the row with the counts of one that was kept.
	plus(kept []byte) any
	// until is when it is forgotten.
	until() time.Time
}

// tally gathers rows and writes them down. It is safe for concurrent use.
type tally[R row] struct {
	facts Facts
	kind  store.FactKind
	log   *slog.Logger
	add   func(a, b R) R

	mu      sync.Mutex
	pending map[string]R
	lost    int64
}

// note adds a row; it does not block.
func (t *tally[R]) note(key string, r R) {
	if len(key) > store.MaxFactKey {
		return // no domain is so long
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old, ok := t.pending[key]
	switch {
	case ok:
		r = t.add(old, r)
	case len(t.pending) >= maxPending:
		t.lost++
		return
	}
	t.pending[key] = r
}

// flush writes down what was noted so far. What cannot be written is not counted.
func (t *tally[R]) flush(ctx context.Context) {
	t.mu.Lock()
	pending, lost := t.pending, t.lost
	t.pending, t.lost = map[string]R{}, 0
	t.mu.Unlock()
	keys := make([]string, 0, batch)
	write := func() {
		err := t.facts.ChangeFacts(ctx, t.kind, keys, func(f store.Fact) store.Fact {
			r := pending[f.Key]
			value, err := json.Marshal(r.plus(f.Value))
			if err != nil || len(value) > store.MaxFactValue {
				return f // as it was; rows are cut before they are noted
			}
			return store.Fact{Key: f.Key, Value: value, Until: r.until()}
		})
		if err != nil {
			lost += int64(len(keys))
			t.log.WarnContext(ctx, "counts for reports", "err", err)
		}
		keys = keys[:0]
	}
	for key := range pending {
		if keys = append(keys, key); len(keys) == batch {
			write()
		}
	}
	if len(keys) > 0 {
		write()
	}
	if lost > 0 {
		t.log.WarnContext(ctx, "not counted for reports", "rows", lost)
	}
}

// day is a UTC day as keys begin with it: "20260302". A report is of one day.
func day(at time.Time) string { return at.UTC().Format("20060102") }

// bounds of a day: its first moment, and the last second.
func bounds(day string) (begin, end time.Time, err error) {
	begin, err = time.Parse("20060102", day)
	return begin, begin.Add(24*time.Hour - time.Second), err
}

// keepUntil is when what was counted at a time is forgotten.
func keepUntil(at time.Time) time.Time {
	return at.UTC().Truncate(24 * time.Hour).Add(24*time.Hour + keep)
}

// digest names a row by what it is of.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:10])
}

// fit cuts lines so that a row that holds them fits into a fact.
func fit(lines []string, octets int) []string {
	var out []string
	for _, l := range lines {
		if len(l) > 200 {
			l = strings.ToValidUTF8(l[:200], "")
		}
		if octets -= len(l) + 3; octets < 0 {
			break
		}
		out = append(out, l)
	}
	return out
}

// text cuts a text of somebody else's to what a row has room for.
func text(s string, octets int) string {
	s = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s), "?")
	if len(s) > octets {
		s = strings.ToValidUTF8(s[:octets], "")
	}
	return s
}
