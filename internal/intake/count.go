package intake

import (
	"sync/atomic"
	"time"

	"posta/internal/finding"
)

// Counts are what happened since the start, for /metrics. Labels are bounded: the
// checks of the catalogue.
type Counts struct {
	Accepted  atomic.Int64 // messages
	Repeated  atomic.Int64 // recipients of messages that were recognised as repeats (RFC 1047)
	Octets    atomic.Int64 // of accepted messages, as received
	Failed    atomic.Int64 // messages that could not be kept: 451 or 452
	Commit    atomic.Int64 // nanoseconds from the dot to the reply, in total
	refusedBy [finding.MaxChecks]atomic.Int64
}

// refused counts a refusal by its check.
func (c *Counts) refused(check string) {
	if k, ok := finding.Lookup(finding.ID(check)); ok {
		c.refusedBy[k.Bit].Add(1)
	}
}

// Refused is how many recipients and messages a check refused or put off.
func (c *Counts) Refused(k finding.Check) int64 {
	return c.refusedBy[k.Bit].Load()
}

// Counts gives the counters, which go on counting.
func (in *Intake) Counts() *Counts { return &in.counts }

// timed adds the time of a commit.
func (c *Counts) timed(began time.Time, now time.Time) { c.Commit.Add(int64(now.Sub(began))) }
