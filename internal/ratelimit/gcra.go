// Package ratelimit has limits as pure functions (state and time in, decision
// and state out), and bounded tables to keep that state by key.
//
// The rule is the generic cell rate algorithm (GCRA, ITU-T I.371): the whole
// state of one limit is one moment, the theoretical arrival time. It is exact,
// it needs no clean-up while idle, and a state in the past means "nothing
// happened", so forgetting an old key changes no decision.
package ratelimit

import "time"

// Limit allows Count events in each Period, with a burst of Burst at once. The
// zero value allows everything.
type Limit struct {
	Count  int           // events per period; 0: no limit
	Period time.Duration // must be positive when Count is
	Burst  int           // at once, at least 1; 0 means Count
}

// State is what a limit remembers: the theoretical arrival time. The zero value
// means "nothing happened yet".
type State struct{ TAT time.Time }

// Decision is the outcome of a question.
type Decision struct {
	Allowed    bool
	RetryAfter time.Duration // when not allowed: how long until it will be; negative: never
	Remaining  int           // events that would still be allowed at this moment
}

// interval is the time that one event costs.
func (l Limit) interval() time.Duration { return l.Period / time.Duration(l.Count) }

func (l Limit) burst() int {
	if l.Burst > 0 {
		return l.Burst
	}
	return l.Count
}

// Take asks for n events at once (n 0 asks how many remain). When they are
// refused nothing is spent. It is a pure function.
func (l Limit) Take(s State, now time.Time, n int) (State, Decision) {
	if l.Count <= 0 || l.Period <= 0 {
		return s, Decision{Allowed: true, Remaining: int(^uint(0) >> 1)}
	}
	step := l.interval()
	if step <= 0 {
		step = 1
	}
	tolerance := step * time.Duration(l.burst())
	tat := s.TAT
	if tat.Before(now) {
		tat = now
	}
	// A clock that jumped back must not lock anybody out for longer than a
	// full burst would.
	if tat.Sub(now) > tolerance {
		tat = now.Add(tolerance)
	}
	next := tat.Add(step * time.Duration(n))
	if n > l.burst() {
		return State{tat}, Decision{RetryAfter: -1, Remaining: remaining(tolerance-tat.Sub(now), step)}
	}
	if over := next.Sub(now) - tolerance; over > 0 {
		return State{tat}, Decision{RetryAfter: over, Remaining: remaining(tolerance-tat.Sub(now), step)}
	}
	return State{next}, Decision{Allowed: true, Remaining: remaining(tolerance-next.Sub(now), step)}
}

func remaining(room, step time.Duration) int { return int(max(room, 0) / step) }
