package imapserver

import (
	"time"

	"posta/internal/gate"
)

// Limits is the budget of the door and of each connection. A field that is zero
// takes the value of DefaultLimits.
type Limits struct {
	gate.Limits // of the door's connections

	Login        time.Duration // from connect to a successful login
	Idle         time.Duration // without a command; RFC 9051 §5.4: at least 30 minutes
	Literal      time.Duration // for one block of a literal, and for one write
	PreCommands  int           // commands before login
	FailedLogins int           // then BYE
	BadCommands  int           // commands in error since the last good one, then BYE
	Message      int64         // octets of an APPEND
	Keywords     int           // keywords in one STORE or APPEND
}

// DefaultLimits are the values for a server of any size.
var DefaultLimits = Limits{
	// One office behind one address, several connections each.
	Limits:       gate.Limits{Connections: 10_000, PerNetwork: 2000, PerHost: 100},
	Login:        time.Minute,
	Idle:         30 * time.Minute,
	Literal:      2 * time.Minute,
	PreCommands:  30,
	FailedLogins: 5,
	BadCommands:  20,
	Message:      50 << 20,
	Keywords:     64,
}

// orDefault fills what is zero.
func (l Limits) orDefault() Limits {
	d := DefaultLimits
	l.Limits = l.Limits.Or(d.Limits)
	for _, f := range []struct{ have, def *int }{
		{&l.PreCommands, &d.PreCommands},
		{&l.FailedLogins, &d.FailedLogins}, {&l.BadCommands, &d.BadCommands}, {&l.Keywords, &d.Keywords},
	} {
		if *f.have == 0 {
			*f.have = *f.def
		}
	}
	for _, f := range []struct{ have, def *time.Duration }{{&l.Login, &d.Login}, {&l.Idle, &d.Idle}, {&l.Literal, &d.Literal}} {
		if *f.have == 0 {
			*f.have = *f.def
		}
	}
	if l.Message == 0 {
		l.Message = d.Message
	}
	return l
}

// pageSize is how many messages are read from the store at once, and announceMin
// how long IDLE waits between two announcements, so that a message each
// millisecond costs some ten announcements in a second.
const (
	pageSize    = 500
	announceMin = 100 * time.Millisecond
	recheck     = 30 * time.Second // IDLE looks at the change counter without a wake-up too

	// restBuffer is what a session that waits has for reading, in octets: there may
	// be thousands of them, each on a phone in somebody's pocket. appendBuffer is
	// what the octets of an APPEND are read through.
	restBuffer   = 1 << 10
	appendBuffer = 16 << 10
)
