// Package tally is the contract of the store that the spam learner keeps: how
// often each feature was seen in spam and in ham, for each model.
//
// A feature is a hash of 64 bits. A model is a name: the empty one is shared by
// all, others are accounts. Counting is all there is, so what nodes add at the
// same time adds up in any order, and what was learned can be taken back. A tally
// can be made again from the mail; it is not backed up, and a crash may lose what
// was learned last.
//
// Package tally/sqltally keeps tallies in SQLite and PostgreSQL; Memory keeps
// them in memory; tallytest is the suite that both pass.
package tally

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// Model names a set of counts.
type Model string

// Shared is the model that judges mail for everybody.
const Shared Model = ""

// Account is the model of an account, by its id: a login may change.
func Account(id int64) Model { return Model(strconv.FormatInt(id, 10)) }

// MaxModel bounds a model's name in octets.
const MaxModel = 255

// ErrModel is returned for a name longer than MaxModel.
var ErrModel = errors.New("tally: the name of a model is too long")

// Count is how often something was seen. It is never negative.
type Count struct{ Spam, Ham uint32 }

// Total is both together.
func (c Count) Total() uint64 { return uint64(c.Spam) + uint64(c.Ham) }

// Delta changes the count of one feature. A count that would fall below zero
// becomes zero.
type Delta struct {
	Feature   uint64
	Spam, Ham int32
}

// Label is what a message was learned as.
type Label uint8

// The labels; the zero value is of a message that was not learned.
const (
	None Label = iota
	Spam
	Ham
)

// Store keeps tallies. It is safe for concurrent use.
type Store interface {
	// Counts fills out, which has the length of features, with the counts of the
	// features in the model, and returns how many messages the model has learned.
	// What was never seen is zero; a model that does not exist is empty. The same
	// feature may stand twice.
	Counts(ctx context.Context, m Model, features []uint64, out []Count) (messages Count, err error)

	// Add changes counts: those of messages, and those of features, each at most
	// once. It is done in parts: after an error some may be done.
	Add(ctx context.Context, m Model, messages Delta, features []Delta) error

	// Relabel keeps what a message, known by a hash of it, is learned as in a model,
	// and returns what it was before: who learns the same message again, in this
	// process or another, learns here that it is counted already.
	Relabel(ctx context.Context, m Model, message uint64, to Label) (was Label, err error)

	// LabelNew keeps what a message is learned as only where nothing is kept of it, and
	// returns what it was before: after anything but None nothing has changed.
	LabelNew(ctx context.Context, m Model, message uint64, to Label) (was Label, err error)

	// DropLabels forgets the labels that were kept last before a day.
	DropLabels(ctx context.Context, before time.Time) error

	// Reset forgets a model, with its labels.
	Reset(ctx context.Context, m Model) error

	// Prune brings a model down to at most keep features: those that were seen
	// seldom go first, of them the ones not seen for the longest time. It returns
	// how many went.
	Prune(ctx context.Context, m Model, keep int) (int, error)

	// Models calls f for every model in the order of names, until f returns false.
	Models(ctx context.Context, f func(Info) bool) error
}

// Info tells of a model.
type Info struct {
	Model    Model
	Messages Count
	Features int // different ones
}

// Clamp is a count changed by a delta.
func (c Count) Clamp(spam, ham int32) Count {
	return Count{Spam: clamp(c.Spam, spam), Ham: clamp(c.Ham, ham)}
}

func clamp(c uint32, d int32) uint32 {
	n := int64(c) + int64(d)
	return uint32(max(0, min(n, 1<<31-1)))
}
