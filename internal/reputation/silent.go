package reputation

import (
	"context"

	"posta/internal/store"
)

// Silent is a memory that knows what m knows and remembers nothing new: for asking
// what a stranger would be told.
func (m *Memory) Silent() *Memory { return New(silent{m.facts}, m.grey, m.now) }

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
