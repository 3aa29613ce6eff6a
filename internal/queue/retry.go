package queue

import (
	"time"

	"posta/internal/smtp"
)

// usualPauses are those of a queue that was told no others (RFC 5321 §4.5.4.1 wants
// at least 30 minutes as a rule, and more often at the beginning).
func usualPauses() []time.Duration {
	return []time.Duration{
		time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 4 * time.Hour,
	}
}

// greyPause is the first pause after a greylisting host.
const greyPause = 45 * time.Second

// nextDue is when a recipient is tried again after an attempt that put it off;
// attempts counts those before it, and the last of the pauses repeats. jitter in [0,1) makes a pause up to a tenth
// shorter or longer, so that what failed together does not return together.
func nextDue(now time.Time, pauses []time.Duration, attempts int, r smtp.Reply, jitter float64) time.Time {
	pause := pauses[min(attempts, len(pauses)-1)]
	if attempts == 0 && greylists(r) {
		pause = min(pause, greyPause)
	}
	return now.Add(time.Duration(float64(pause) * (0.9 + 0.2*jitter)))
}

// greylists reads the usual answer of greylisting (RFC 6647 §5).
func greylists(r smtp.Reply) bool {
	return (r.Code == 450 || r.Code == 451) && r.Enhanced == smtp.Enhanced{4, 7, 1}
}
