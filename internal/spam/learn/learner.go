package learn

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"slices"

	"posta/internal/spam/tally"
)

// Learner judges by what was learned, and learns. It is safe for concurrent use.
type Learner struct{ store tally.Store }

// New returns a learner over a store of tallies.
func New(store tally.Store) *Learner { return &Learner{store: store} }

// Judge tells what is known of a message for an account: by the shared model,
// and where the account has seen a feature itself, by that. tally.Shared asks the
// shared model alone. The error is the store's; a message that could not be
// judged counts as unsure.
func (l *Learner) Judge(ctx context.Context, account tally.Model, f Features) (Outcome, error) {
	hashes := f.Hashes()
	common, err := l.view(ctx, tally.Shared, hashes)
	if err != nil {
		return Outcome{Score: 0.5}, err
	}
	var own view
	if account != tally.Shared {
		if own, err = l.view(ctx, account, hashes); err != nil {
			return Outcome{Score: 0.5}, err
		}
	}
	return shipped().judge(f, common, own), nil
}

func (l *Learner) view(ctx context.Context, m tally.Model, hashes []uint64) (view, error) {
	v := view{counts: make([]tally.Count, len(hashes))}
	var err error
	v.messages, err = l.store.Counts(ctx, m, hashes, v.counts)
	return v, err
}

// Learn counts a message as spam or as ham. The order in which messages are
// learned does not matter. Who learns one twice counts it twice.
func (l *Learner) Learn(ctx context.Context, m tally.Model, f Features, spam bool) error {
	return l.add(ctx, m, f, spam, 1)
}

// Unlearn takes back what Learn did with the same message and kind, exactly, as
// long as nothing of it was pruned. A message that is moved back out of Junk is
// unlearned as spam and learned as ham.
func (l *Learner) Unlearn(ctx context.Context, m tally.Model, f Features, spam bool) error {
	return l.add(ctx, m, f, spam, -1)
}

func (l *Learner) add(ctx context.Context, m tally.Model, f Features, spam bool, n int32) error {
	b := newBatch()
	b.add(f, spam, n)
	return b.write(ctx, l.store, m)
}

// Reset forgets all that a model has learned.
func (l *Learner) Reset(ctx context.Context, m tally.Model) error { return l.store.Reset(ctx, m) }

// Ready tells whether Judge could say more than unsure for an account, and whether
// the account has learned anything itself. It is quick: who knows that nobody learned
// enough need not extract features.
func (l *Learner) Ready(ctx context.Context, account tally.Model) (ready, own bool, err error) {
	trained, err := l.Counts(ctx, tally.Shared)
	if err != nil || account == tally.Shared {
		return !math.IsInf(threshold(trained), 1), false, err
	}
	mine, err := l.Counts(ctx, account)
	trained.Spam += mine.Spam
	trained.Ham += mine.Ham
	return !math.IsInf(threshold(trained), 1), mine.Total() > 0, err
}

// Counts is how many messages a model has learned.
func (l *Learner) Counts(ctx context.Context, m tally.Model) (tally.Count, error) {
	return l.store.Counts(ctx, m, nil, nil)
}

// Sample is one message of a corpus. ID knows it again: a sample that the model
// has learned already as the same kind is passed over, and as the other kind it is
// taken back first. One whose ID is zero counts always.
type Sample struct {
	Features Features
	Spam     bool
	ID       uint64
	// Weak evidence is passed over where the model has learned the message, as
	// whatever: it does not unsay what somebody said.
	Weak bool
}

// ID is a number by which the bytes of a message are known again, however its lines
// end.
func ID(raw []byte) uint64 {
	h := sha256.New()
	for line := range bytes.Lines(bytes.TrimRight(raw, "\r\n")) {
		h.Write(bytes.TrimRight(line, "\r\n"))
		h.Write([]byte{'\n'})
	}
	return max(binary.BigEndian.Uint64(h.Sum(nil)), 1)
}

// SampleOf makes a sample of a message as bytes, of which the first 4 MiB count.
func SampleOf(raw []byte, spam bool) (Sample, error) {
	raw = raw[:min(len(raw), MaxSample)]
	f, err := Read(raw)
	return Sample{Features: f, Spam: spam, ID: ID(raw)}, err
}

// Import learns a corpus and returns how many messages of each kind it learned.
// Many messages are written together, so it costs far less than Learn for each.
// It ends at the first error, the corpus's or the store's; what was learned
// before stays, and the count tells how much that is.
func (l *Learner) Import(ctx context.Context, m tally.Model, corpus iter.Seq2[Sample, error]) (tally.Count, error) {
	const together = 50_000 // features
	var done tally.Count
	b := newBatch()
	flush := func() error {
		if err := b.write(ctx, l.store, m); err != nil {
			return errors.Join(err, b.undo(context.WithoutCancel(ctx), l.store, m))
		}
		done.Spam, done.Ham = done.Spam+b.learned.Spam, done.Ham+b.learned.Ham
		b = newBatch()
		return nil
	}
	for s, err := range corpus {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = b.take(ctx, l.store, m, &s)
		}
		if err != nil {
			return done, errors.Join(err, flush())
		}
		if len(b.features) >= together {
			if err := flush(); err != nil {
				return done, err
			}
		}
	}
	return done, flush()
}

// Train learns one message, as Import does. It tells whether it counted, and what the
// message was learned as before.
func (l *Learner) Train(ctx context.Context, m tally.Model, s Sample) (was tally.Label, done bool, err error) {
	b := newBatch()
	if err := b.take(ctx, l.store, m, &s); err != nil {
		return tally.None, false, err
	}
	if err := b.write(ctx, l.store, m); err != nil {
		return tally.None, false, errors.Join(err, b.undo(context.WithoutCancel(ctx), l.store, m))
	}
	if len(b.labels) > 0 {
		was = b.labels[0].was
	}
	return was, b.learned.Total() > 0, nil
}

// batch is changes that are written together.
type batch struct {
	messages tally.Delta
	place    map[uint64]int
	features []tally.Delta

	learned tally.Count
	labels  []relabelled // to be undone if the changes cannot be written
}

type relabelled struct {
	id  uint64
	was tally.Label
}

func newBatch() *batch { return &batch{place: map[uint64]int{}} }

// take adds a sample, unless it is counted already.
func (b *batch) take(ctx context.Context, st tally.Store, m tally.Model, s *Sample) error {
	to, other := tally.Ham, tally.Spam
	if s.Spam {
		to, other = other, to
	}
	if s.ID != 0 {
		label := st.Relabel
		if s.Weak {
			label = st.LabelNew
		}
		was, err := label(ctx, m, s.ID, to)
		if err != nil || was == to || s.Weak && was != tally.None {
			return err
		}
		b.labels = append(b.labels, relabelled{s.ID, was})
		if was == other {
			b.add(s.Features, !s.Spam, -1)
		}
	}
	b.add(s.Features, s.Spam, 1)
	if s.Spam {
		b.learned.Spam++
	} else {
		b.learned.Ham++
	}
	return nil
}

// undo gives back the labels of what was not written, the last first.
func (b *batch) undo(ctx context.Context, st tally.Store, m tally.Model) error {
	for _, l := range slices.Backward(b.labels) {
		if _, err := st.Relabel(ctx, m, l.id, l.was); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) add(f Features, spam bool, n int32) {
	var d tally.Delta
	if spam {
		d.Spam = n
	} else {
		d.Ham = n
	}
	b.messages.Spam += d.Spam
	b.messages.Ham += d.Ham
	for i := range f.set.list {
		h := f.set.list[i].hash
		at, ok := b.place[h]
		if !ok {
			at = len(b.features)
			b.place[h] = at
			b.features = append(b.features, tally.Delta{Feature: h})
		}
		b.features[at].Spam += d.Spam
		b.features[at].Ham += d.Ham
	}
}

func (b *batch) write(ctx context.Context, s tally.Store, m tally.Model) error {
	if b.messages == (tally.Delta{}) && len(b.features) == 0 {
		return nil
	}
	return s.Add(ctx, m, b.messages, b.features)
}

// Models calls f for every model that has learned something, the shared one first,
// until f returns false.
func (l *Learner) Models(ctx context.Context, f func(tally.Info) bool) error {
	return l.store.Models(ctx, f)
}
