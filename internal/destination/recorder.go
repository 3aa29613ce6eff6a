package destination

import (
	"context"
	"log/slog"

	"posta/internal/counts"
	"posta/internal/store"
)

// Recorder gathers attempts and writes them down. It is safe for concurrent use.
type Recorder struct{ counts *counts.Gatherer[Count] }

// NewRecorder makes a Recorder; Run writes down what it notes.
func NewRecorder(facts counts.Facts, log *slog.Logger) *Recorder {
	return &Recorder{counts.New(counts.Config[Count]{
		Facts: facts, Kind: store.Destination, What: "destinations", Add: Count.add, Log: log,
		Keep: func(kept store.Fact, c Count) store.Fact {
			if old, ok := decode(kept); ok {
				c = old.add(c)
			}
			return store.Fact{Key: kept.Key, Value: c.encode(), Until: c.At.Add(Keep)}
		},
	})}
}

// Note counts an attempt. It does not block.
func (r *Recorder) Note(a Attempt) {
	c := countOf(&a)
	r.counts.Note(a.key(&c), c)
}

// Run writes down what was noted until ctx ends, and what is left then. It returns nil.
func (r *Recorder) Run(ctx context.Context) error { return r.counts.Run(ctx) }

// Flush writes down what was noted so far.
func (r *Recorder) Flush(ctx context.Context) { r.counts.Flush(ctx) }
