package scan

import (
	"sync/atomic"
	"time"

	"posta/internal/mail"
)

// counts are what came of asking one member. They are safe for use by many
// goroutines.
type counts struct {
	actions [mail.Reject + 1]atomic.Int64
	causes  [Local + 1]atomic.Int64
	took    atomic.Int64 // nanoseconds
}

// add counts an answer by its action, or a failure by its cause.
func (c *counts) add(r *Result) {
	if r.Cause != NoCause {
		c.causes[r.Cause].Add(1)
	} else {
		c.actions[r.Action].Add(1)
	}
	c.took.Add(int64(r.Duration))
}

// Stats are what came of asking one member since the start: messages, and
// refusals in the session.
type Stats struct {
	Name, Kind string
	Answers    map[mail.Action]int64
	Failures   map[Cause]int64
	Took       time.Duration // for messages, in total
	Resting    bool
}

// Stats gives those of every member, in their order. It does not block.
func (r *Runner) Stats() []Stats {
	out := make([]Stats, len(r.members))
	for i, m := range r.members {
		s := Stats{
			Name: m.Name, Kind: m.Scanner.Defaults().Kind, Took: time.Duration(m.counts.took.Load()),
			Answers: map[mail.Action]int64{}, Failures: map[Cause]int64{},
		}
		for a := range m.counts.actions {
			s.Answers[mail.Action(a)] = m.counts.actions[a].Load()
		}
		for c := Down; c <= Local; c++ {
			s.Failures[c] = m.counts.causes[c].Load()
		}
		until, _ := m.breaker.resting()
		s.Resting = time.Now().Before(until)
		out[i] = s
	}
	return out
}
