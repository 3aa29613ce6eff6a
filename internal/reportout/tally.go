package reportout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"posta/internal/counts"
	"posta/internal/store"
)

const keep = 4 * 24 * time.Hour // from the day's end: a report may be late

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

// tally gathers rows of one kind.
func tally[R row](cfg *Config, kind store.FactKind, add func(a, b R) R) *counts.Gatherer[R] {
	return counts.New(counts.Config[R]{
		Facts: cfg.Facts, Kind: kind, What: "reports to others", Add: add, Log: cfg.Log,
		Keep: func(kept store.Fact, r R) store.Fact {
			value, err := json.Marshal(r.plus(kept.Value))
			if err != nil {
				return kept
			}
			return store.Fact{Key: kept.Key, Value: value, Until: r.until()}
		},
	})
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
