package app

import (
	"context"
	"log/slog"
	"time"

	"posta/internal/config"
)

// traceStore is what retention asks of the state.
type traceStore interface {
	TraceUse(ctx context.Context, from, to time.Time) (int64, error)
	DropTraces(ctx context.Context, before time.Time) error
}

// retention forgets why: what is older than keep, and, as long as all of it takes
// more than size, the oldest whole day (UTC). The present day stays whatever it
// takes; what strangers can add to it is bounded by the budget of refusals.
type retention struct {
	keep time.Duration
	size int64
	// hours is what the hours that are over take, so that a sweep reads the present
	// one only. Since deliveries are told until days later, each is read a second
	// time when that has ended.
	hours map[int64]hourUse
	floor time.Time // before it there is nothing: it was dropped for its size
}

type hourUse struct {
	octets  int64
	settled bool
}

// settled is when hardly anything is added any more to the trace of a message: after
// its usual lifetime in the queue.
const settled = 6 * day

const day = 24 * time.Hour

func newRetention(c config.Trace) *retention {
	return &retention{keep: time.Duration(c.Keep), size: int64(c.Size), hours: map[int64]hourUse{}}
}

// sweep does one round.
func (r *retention) sweep(ctx context.Context, st traceStore, now time.Time, log *slog.Logger) error {
	oldest := now.Add(-r.keep).UTC().Truncate(day)
	if err := st.DropTraces(ctx, oldest); err != nil {
		return err
	}
	r.forget(oldest)
	if oldest.Before(r.floor) {
		oldest = r.floor
	}
	total, err := r.use(ctx, st, oldest, now)
	if err != nil || total <= r.size {
		return err
	}
	today := now.UTC().Truncate(day)
	before := total
	for ; total > r.size && oldest.Before(today); oldest = oldest.Add(day) {
		total -= r.ofDay(oldest)
	}
	log.WarnContext(ctx, "traces take more than trace.size: days are forgotten", "octets", before, "size", r.size, "kept from", oldest.Format(time.DateOnly))
	if err := st.DropTraces(ctx, oldest); err != nil {
		return err
	}
	r.forget(oldest)
	r.floor = oldest
	return nil
}

// use is what the traces of [from, now] take, and some ahead of it: of a message in
// hand, whose clock was another node's.
func (r *retention) use(ctx context.Context, st traceStore, from, now time.Time) (total int64, err error) {
	for at := from; !at.After(now.Add(time.Hour)); at = at.Add(time.Hour) {
		known, ok := r.hours[at.Unix()]
		old := now.Sub(at) > settled
		if ok && (known.settled || !old) {
			total += known.octets
			continue
		}
		octets, err := st.TraceUse(ctx, at, at.Add(time.Hour))
		if err != nil {
			return 0, err
		}
		if now.Sub(at) > 2*time.Hour {
			r.hours[at.Unix()] = hourUse{octets, old}
		}
		total += octets
	}
	return total, nil
}

// ofDay is what a day that is over takes, as far as it was read.
func (r *retention) ofDay(d time.Time) (octets int64) {
	for at := d; at.Before(d.Add(day)); at = at.Add(time.Hour) {
		octets += r.hours[at.Unix()].octets
	}
	return octets
}

// forget drops the hours before a moment.
func (r *retention) forget(before time.Time) {
	for at := range r.hours {
		if at < before.Unix() {
			delete(r.hours, at)
		}
	}
}
