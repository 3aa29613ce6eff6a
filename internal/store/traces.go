package store

import (
	"context"
	"time"

	"posta/internal/mail"
)

// TraceRecord is what is kept of one accepted message or one refused
// transaction: Body is trace.Record, encoded and compressed, opaque here. Keys
// are what it can be found by, lower case: addresses (by "@domain" too), IP, Message-ID;
// they are projected after the commit into a file of their own.
type TraceRecord struct {
	ID   mail.ID
	Body []byte
	Keys []string
}

// TraceEvent is one later line of a message's timeline, e.g. a delivery attempt.
type TraceEvent struct {
	At   time.Time
	Body []byte // trace.Event, encoded
}

// StoredTrace is a record with its later events.
type StoredTrace struct {
	TraceRecord
	Events []TraceEvent
}

// Traces keeps why. Records of accepted messages come in by Accept, durable with
// it. Those of refused strangers come in by KeepRefused: in batches, without
// waiting for a sync; a crash may lose the last second of them.
type Traces interface {
	// KeepRefused never blocks on the disk; above its budget it drops and counts.
	KeepRefused(r TraceRecord)
	AddEvent(ctx context.Context, id mail.ID, e TraceEvent) error
	Trace(ctx context.Context, id mail.ID) (StoredTrace, error)
	// FindTraces looks a key up, newest first; what was accepted or refused in
	// the last second may not be found yet.
	FindTraces(ctx context.Context, key string, limit int) ([]mail.ID, error)
	// LatestTraces lists the newest, before a moment (zero: now).
	LatestTraces(ctx context.Context, before time.Time, limit int) ([]StoredTrace, error)
	// DropTraces forgets whole days (UTC) before a moment, in steps.
	DropTraces(ctx context.Context, before time.Time) error
	// FlushTraces waits until what was given so far can be found.
	FlushTraces(ctx context.Context) error
}
