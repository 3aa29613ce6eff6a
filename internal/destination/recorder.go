package destination

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"posta/internal/store"
)

const (
	flushEvery = 5 * time.Second
	maxPending = 4096 // keys that wait to be written; of more, the newest are not counted
	lastWrite  = 5 * time.Second
	batch      = 100 // keys of one change (store.Facts)
)

// Recorder gathers attempts and writes them down. It is safe for concurrent use.
type Recorder struct {
	facts Facts
	log   *slog.Logger

	mu      sync.Mutex
	pending map[string]Count
	lost    int64
}

// NewRecorder makes a Recorder; Run writes down what it notes.
func NewRecorder(facts Facts, log *slog.Logger) *Recorder {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Recorder{facts: facts, log: log, pending: map[string]Count{}}
}

// Note counts an attempt. It does not block.
func (r *Recorder) Note(a Attempt) {
	c := countOf(&a)
	key := a.key(&c)
	if len(key) > store.MaxFactKey {
		return // no domain is so long
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old, ok := r.pending[key]
	if !ok && len(r.pending) >= maxPending {
		r.lost++
		return
	}
	if ok {
		c = old.add(c)
	}
	r.pending[key] = c
}

// Run writes down what was noted until ctx ends, and what is left then. It returns nil.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.Flush(ctx)
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
			defer cancel()
			r.Flush(ctx)
			return nil
		}
	}
}

// Flush writes down what was noted so far. What cannot be written is not counted: the
// store has other worries then.
func (r *Recorder) Flush(ctx context.Context) {
	r.mu.Lock()
	pending, lost := r.pending, r.lost
	r.pending, r.lost = map[string]Count{}, 0
	r.mu.Unlock()
	keys := make([]string, 0, batch)
	for key := range pending {
		if keys = append(keys, key); len(keys) == batch {
			lost += r.write(ctx, keys, pending)
			keys = keys[:0]
		}
	}
	if len(keys) > 0 {
		lost += r.write(ctx, keys, pending)
	}
	if lost > 0 {
		r.log.WarnContext(ctx, "destinations not counted", "attempts", lost)
	}
}

// write adds the counts of keys to what is kept, and says how many kinds were lost.
func (r *Recorder) write(ctx context.Context, keys []string, pending map[string]Count) (lost int64) {
	err := r.facts.ChangeFacts(ctx, store.Destination, keys, func(f store.Fact) store.Fact {
		c := pending[f.Key]
		if old, ok := decode(f); ok {
			c = old.add(c)
		}
		return store.Fact{Key: f.Key, Value: c.encode(), Until: c.At.Add(Keep)}
	})
	if err != nil {
		r.log.WarnContext(ctx, "destinations", "err", err)
		return int64(len(keys))
	}
	return 0
}
