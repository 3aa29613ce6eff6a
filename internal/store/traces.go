package store

import (
	"context"
	"net/netip"
	"time"

	"posta/internal/mail"
)

// TraceRecord is what is kept of one accepted message or one refused
// transaction: Body is trace.Record, encoded and compressed, opaque here. Keys
// are what it can be found by, lower case: addresses (by "@domain" too), IP, Message-ID;
// they are projected after the commit into a file of their own.
type TraceRecord struct {
	ID     mail.ID
	Body   []byte
	Keys   []string
	Merged *Merged // not nil: it stands for many refusals, and has no Body
}

// Merged are the refusals of one network, by one check, in one hour that were
// above the budget of KeepRefused. Each node begins records of its own, and new ones
// after a restart.
type Merged struct {
	Network     netip.Prefix // a /24 or /64; of a flood from too many of them, all of IPv4 or IPv6
	Check       string       // "" when there were too many networks and checks
	Count       int64
	First, Last time.Time // when the transactions began
}

// Refusal is one refusal as far as its place among the traces depends on it.
type Refusal struct {
	ID    mail.ID    // of its transaction
	IP    netip.Addr // of the client; the zero Addr, a local client's, is never merged
	Check string     // that refuses
	Keys  []string   // as of TraceRecord; a merged record keeps some of them
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
	// PlaceRefused says under which id a refusal will be found, so that the link in
	// its reply leads there: the refusal's own, and its record is then given to
	// KeepRefused; or, above the budget of its network or of all networks together,
	// that of the record of its network, check and hour, in which it is counted by
	// this call, and nothing more is to be kept. It does not block.
	PlaceRefused(r Refusal) mail.ID
	// KeepRefused never blocks on the disk; when the disk takes nothing any more it
	// drops and counts.
	KeepRefused(r TraceRecord)
	AddEvent(ctx context.Context, id mail.ID, e TraceEvent) error
	Trace(ctx context.Context, id mail.ID) (StoredTrace, error)
	// FindTraces looks a key up, newest first; what was accepted or refused in
	// the last second may not be found yet. An address of the network is found in
	// what was merged of its network too.
	FindTraces(ctx context.Context, key string, limit int) ([]mail.ID, error)
	// LatestTraces lists the newest, before a moment (zero: now).
	LatestTraces(ctx context.Context, before time.Time, limit int) ([]StoredTrace, error)
	// TraceUse is about how many octets the traces of messages and refusals take that
	// began in [from, to), with their later events and the keys they are found by. It
	// reads all of them: ask for an hour at a time.
	TraceUse(ctx context.Context, from, to time.Time) (int64, error)
	// DropTraces forgets whole days (UTC) before a moment, in steps.
	DropTraces(ctx context.Context, before time.Time) error
	// FlushTraces waits until what was given so far can be found.
	FlushTraces(ctx context.Context) error
}
