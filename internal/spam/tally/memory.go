package tally

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// Memory keeps tallies in memory. The zero value is ready.
type Memory struct {
	mu     sync.RWMutex
	models map[Model]*memoryModel
	clock  uint64 // raised by each Add: what "long ago" means here
	labels map[labelled]memoryLabel
}

type labelled struct {
	model   Model
	message uint64
}

type memoryLabel struct {
	label Label
	at    time.Time
}

type memoryModel struct {
	messages Count
	counts   map[uint64]memoryCount
}

type memoryCount struct {
	Count
	seen uint64
}

// Counts implements Store.
func (s *Memory) Counts(_ context.Context, m Model, features []uint64, out []Count) (Count, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	model := s.models[m]
	if model == nil {
		clear(out)
		return Count{}, nil
	}
	for i, f := range features {
		out[i] = model.counts[f].Count
	}
	return model.messages, nil
}

// Add implements Store.
func (s *Memory) Add(_ context.Context, m Model, messages Delta, features []Delta) error {
	if len(m) > MaxModel {
		return ErrModel
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.models == nil {
		s.models = map[Model]*memoryModel{}
	}
	model := s.models[m]
	if model == nil {
		model = &memoryModel{counts: map[uint64]memoryCount{}}
		s.models[m] = model
	}
	s.clock++
	model.messages = model.messages.Clamp(messages.Spam, messages.Ham)
	for _, d := range features {
		c := memoryCount{model.counts[d.Feature].Clamp(d.Spam, d.Ham), s.clock}
		if c.Total() == 0 {
			delete(model.counts, d.Feature)
		} else {
			model.counts[d.Feature] = c
		}
	}
	return nil
}

// Reset implements Store.
func (s *Memory) Reset(_ context.Context, m Model) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.models, m)
	maps.DeleteFunc(s.labels, func(l labelled, _ memoryLabel) bool { return l.model == m })
	return nil
}

// Relabel implements Store.
func (s *Memory) Relabel(_ context.Context, m Model, message uint64, to Label) (Label, error) {
	return s.label(m, message, func(Label) Label { return to })
}

// LabelNew implements Store.
func (s *Memory) LabelNew(_ context.Context, m Model, message uint64, to Label) (Label, error) {
	return s.label(m, message, func(was Label) Label {
		if was != None {
			return was
		}
		return to
	})
}

func (s *Memory) label(m Model, message uint64, next func(was Label) Label) (Label, error) {
	if len(m) > MaxModel {
		return None, ErrModel
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.labels == nil {
		s.labels = map[labelled]memoryLabel{}
	}
	key := labelled{m, message}
	was := s.labels[key].label
	s.labels[key] = memoryLabel{next(was), time.Now()}
	return was, nil
}

// DropLabels implements Store.
func (s *Memory) DropLabels(_ context.Context, before time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.labels, func(_ labelled, l memoryLabel) bool { return l.at.Before(before) })
	return nil
}

// Prune implements Store.
func (s *Memory) Prune(_ context.Context, m Model, keep int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	model := s.models[m]
	if model == nil || len(model.counts) <= keep {
		return 0, nil
	}
	order := slices.SortedFunc(maps.Keys(model.counts), func(a, b uint64) int {
		x, y := model.counts[a], model.counts[b]
		return cmp.Or(cmp.Compare(x.Total(), y.Total()), cmp.Compare(x.seen, y.seen), cmp.Compare(a, b))
	})
	order = order[:len(order)-max(keep, 0)]
	for _, f := range order {
		delete(model.counts, f)
	}
	return len(order), nil
}

// Models implements Store.
func (s *Memory) Models(_ context.Context, f func(Info) bool) error {
	s.mu.RLock()
	var all []Info
	for name, m := range s.models {
		all = append(all, Info{Model: name, Messages: m.messages, Features: len(m.counts)})
	}
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b Info) int { return cmp.Compare(a.Model, b.Model) })
	for _, i := range all {
		if !f(i) {
			break
		}
	}
	return nil
}
