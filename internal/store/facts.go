package store

import (
	"context"
	"time"
)

// FactKind is what a fact is about. The numbers are for ever.
type FactKind uint8

// The kinds.
const (
	GreyTriplet     FactKind = 1 + iota // a stranger who was asked to come again
	GreyPassed                          // one who came again
	Reputation                          // counts of a sender domain and network
	Correspondent                       // somebody our user wrote to
	Allowance                           // what an account of ours sent in the last day
	Destination                         // how a domain took our mail on one day
	ListState                           // how one of our addresses or domains stands in a DNS list
	ListChange                          // that this changed
	SourceName                          // the reverse DNS name of an address that sent in our name
	SentMail                            // how much we sent on one day, by domains
	TransportPolicy                     // an MTA-STS policy that was fetched
	TLSResult                           // how sessions with one domain were protected on one day
	DMARCResult                         // what DMARC said of one domain's mail on one day
	ReportTo                            // whom reports are not sent to, and which were
	MovedIn                             // how far an import from another server came
	Duplicate                           // an id that a script wants remembered (RFC 7352)
	Answered                            // whom a script has answered
)

// FactKinds lists the kinds.
func FactKinds() []FactKind {
	return []FactKind{GreyTriplet, GreyPassed, Reputation, Correspondent, Allowance, Destination, ListState, ListChange, SourceName, SentMail,
		TransportPolicy, TLSResult, DMARCResult, ReportTo, MovedIn, Duplicate, Answered}
}

// Bounds of one fact, in octets.
const (
	MaxFactKey   = 600
	MaxFactValue = 1000
)

// MaxFacts is how many facts of one kind are kept; of more, those go first that
// end soonest.
const MaxFacts = 1 << 20

// Fact is a small thing that was noticed. Key is UTF-8 without NUL; Value is opaque here. At
// Until it is forgotten; a zero Until is no fact.
type Fact struct {
	Key   string
	Value []byte
	Until time.Time
}

// Facts are small things that help to judge and that may be lost: a crash loses
// the last second of them, a lost file all, and nobody's letter with them. They
// are no part of a Snapshot.
type Facts interface {
	// FactsOf gives a fact for each key, the zero Fact where there is none (any
	// more). At most 100 keys.
	FactsOf(ctx context.Context, kind FactKind, keys ...string) ([]Fact, error)
	// ChangeFacts gives f each fact and keeps what f makes of it: a zero Until
	// forgets it. f is told the key in Fact.Key, it may run more than once, and must not block. All keys are
	// changed together; no other change comes between reading and writing. At
	// most 100 keys, each once.
	ChangeFacts(ctx context.Context, kind FactKind, keys []string, f func(Fact) Fact) error
	// ListFacts gives facts whose key begins with prefix, in order of key, from the first
	// one behind after. At most limit of them, and at most 1,000.
	ListFacts(ctx context.Context, kind FactKind, prefix, after string, limit int) ([]Fact, error)
	// SweepFacts deletes what is over and what is too much, in steps, and says how
	// many facts that was.
	SweepFacts(ctx context.Context) (int, error)
}
