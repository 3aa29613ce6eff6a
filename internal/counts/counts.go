// Package counts gathers small counts in memory and adds them to the facts of the store
// every few seconds: who counts waits for nothing of it, and a crash loses the last
// moment's counts. Nobody's letter depends on them.
package counts

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"posta/internal/store"
)

const (
	// Every is the pause between two writings.
	Every = 5 * time.Second
	// LastWrite is how long what is left may take to be written at the end.
	LastWrite = 5 * time.Second

	maxPending = 8192 // keys that wait to be written; of more, new ones are not counted
	batch      = 100  // keys of one change (store.Facts)
)

// Facts is where counts are kept.
type Facts interface {
	ChangeFacts(ctx context.Context, kind store.FactKind, keys []string, f func(store.Fact) store.Fact) error
}

// Config of a Gatherer; all but Log are required.
type Config[V any] struct {
	Facts Facts
	Kind  store.FactKind
	What  string // is counted, for the log
	// Add puts two values of one key together, of which the second came later.
	Add func(a, b V) V
	// Keep makes the fact of a value and what is kept of its key: with no Until where nothing is.
	// One that is larger than a fact may be is not written.
	Keep func(kept store.Fact, v V) store.Fact
	Log  *slog.Logger // nil discards
}

// Gatherer gathers values by key. It is safe for concurrent use.
type Gatherer[V any] struct {
	cfg Config[V]

	mu      sync.Mutex
	pending map[string]V
	lost    int64
}

// New makes a Gatherer; Run, or Flush now and then, writes down what it notes.
func New[V any](cfg Config[V]) *Gatherer[V] {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Gatherer[V]{cfg: cfg, pending: map[string]V{}}
}

// Note counts a value. It does not block. A key longer than a fact's is not counted.
func (g *Gatherer[V]) Note(key string, v V) {
	if len(key) > store.MaxFactKey {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch old, ok := g.pending[key]; {
	case ok:
		g.pending[key] = g.cfg.Add(old, v)
	case len(g.pending) >= maxPending:
		g.lost++
	default:
		g.pending[key] = v
	}
}

// Run writes down what was noted until ctx ends, and what is left then. It returns nil.
func (g *Gatherer[V]) Run(ctx context.Context) error {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.Flush(ctx)
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), LastWrite)
			defer cancel()
			g.Flush(ctx)
			return nil
		}
	}
}

// Flush writes down what was noted so far. What cannot be written is not counted: the
// store has other worries then.
func (g *Gatherer[V]) Flush(ctx context.Context) {
	g.mu.Lock()
	pending, lost := g.pending, g.lost
	g.pending, g.lost = map[string]V{}, 0
	g.mu.Unlock()
	keys := make([]string, 0, batch)
	write := func() {
		err := g.cfg.Facts.ChangeFacts(ctx, g.cfg.Kind, keys, func(f store.Fact) store.Fact {
			kept := g.cfg.Keep(f, pending[f.Key])
			if len(kept.Value) > store.MaxFactValue {
				return f
			}
			return kept
		})
		if err != nil {
			lost += int64(len(keys))
			g.cfg.Log.WarnContext(ctx, "counts not written", "of", g.cfg.What, "err", err)
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
		g.cfg.Log.WarnContext(ctx, "not counted", "of", g.cfg.What, "values", lost)
	}
}
