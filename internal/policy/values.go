package policy

import (
	"slices"
	"time"
)

// Spam says from which score on a message counts as spam. The score is the sum of
// the points of its findings and of what the learner makes of its text (package
// spam). Zero values mean the defaults.
type Spam struct {
	Junk float64 // spam.score fails from here on; 0 means 5
	High float64 // spam.high, from here on; 0 means 12
}

// The default thresholds.
const (
	DefaultJunk = 5
	DefaultHigh = 12
)

// JunkAt is the threshold of spam.score.
func (s Spam) JunkAt() float64 { return orDefault(s.Junk, DefaultJunk) }

// HighAt is the threshold of spam.high.
func (s Spam) HighAt() float64 { return orDefault(s.High, DefaultHigh) }

// Quarantine says how long held mail may wait for somebody to look at it (S58). Zero
// values mean the defaults.
type Quarantine struct {
	Digest  time.Duration // the recipient and the administrator are told from this age on; 0 means 3 days
	Overdue time.Duration // quarantine.overdue fails from this age on; 0 means 5 days
	Keep    time.Duration // reviewed mail, and spam, goes at this age; 0 means 30 days
	MaxMiB  int           // all that is held, in mebibytes: above it mail that would be held is put off; 0 means 4096
}

// Accounts are the limits of our own senders that a profile sets (S79, S84).
type Accounts struct {
	PasswordDays   int           // a password older than this is to be changed before the next login; 0 is never
	PasswordGrace  time.Duration // after PasswordDays began to hold no password ends; 0 means 14 days, NoGrace none
	MessagesPerDay int           // an account may send; 0 is no limit
}

// NoGrace is the PasswordGrace of a policy that shuts out at once whose password is too
// old on the day on which it is switched on.
const NoGrace time.Duration = -1

// Sealers are the domains whose word the administrator takes, when they forwarded a
// message and sealed it (ARC, RFC 8617 §7.2): A-labels in lower case, sorted, each once.
// A subdomain is another domain.
type Sealers []string

// MaxSealers bounds them.
const MaxSealers = 1000

// Trusts reports whether a sealer's domain, in A-labels in lower case, is one of them.
func (s Sealers) Trusts(domain string) bool {
	_, found := slices.BinarySearch(s, domain)
	return found
}

const day = 24 * time.Hour

// Grace is how long after PasswordDays began to hold no password ends.
func (a Accounts) Grace() time.Duration {
	if a.PasswordGrace == NoGrace {
		return 0
	}
	return orDefault(a.PasswordGrace, 14*day)
}

// DigestAfter is when people are told of what waits.
func (q Quarantine) DigestAfter() time.Duration { return orDefault(q.Digest, 3*day) }

// OverdueAfter is when nobody having looked is a finding about us.
func (q Quarantine) OverdueAfter() time.Duration { return orDefault(q.Overdue, 5*day) }

// Room is how many octets may be held.
func (q Quarantine) Room() int64 { return orDefault(int64(q.MaxMiB), 4096) << 20 }

// KeepFor is the age at which held mail goes. What was never told to anybody does
// not go at any age.
func (q Quarantine) KeepFor() time.Duration { return orDefault(q.Keep, 30*day) }

func orDefault[T float64 | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}
