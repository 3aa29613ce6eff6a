package arc

import (
	"posta/internal/authres"
	"posta/internal/dkim"
)

// Status is the Chain Validation Status (RFC 8617 §4.4). The zero value is None.
type Status uint8

const (
	None Status = iota // the message has no chain
	Pass               // the chain is whole, and the newest set describes this message
	Fail               // it is not
)

// String gives the word for cv= and for Authentication-Results.
func (s Status) String() string { return [...]string{"none", "pass", "fail"}[min(s, Fail)] }

// Reason tells why a chain fails. The values are stable: they are stored and
// counted.
type Reason string

const (
	ReasonNone       Reason = ""
	ReasonBudget     Reason = "budget"            // more than 50 sets, or the header is over our limits
	ReasonMalformed  Reason = "malformed"         // a field does not tell its instance
	ReasonDuplicate  Reason = "duplicate"         // an instance has two fields of one name
	ReasonIncomplete Reason = "incomplete"        // an instance lacks a field, or is missing
	ReasonTerminated Reason = "terminated"        // a sealer had found the chain failed
	ReasonStatus     Reason = "chain-status"      // cv= is not what it must be at its place
	ReasonMessage    Reason = "message-signature" // that of the newest set does not verify
	ReasonSeal       Reason = "seal"              // one of the seals does not verify
)

// Result is the outcome for the chain of one message.
type Result struct {
	Status Status
	Reason Reason
	// Detail explains a failure in English. It contains nothing from the message or
	// the DNS.
	Detail string
	// Instance is the set where the chain fails, or 0.
	Instance int
	// Unverified: it fails because a key could not be looked up now.
	Unverified bool
	// OldestPass is the lowest instance from which on every message signature verifies
	// (RFC 8617 §5.2 step 5): nothing that they cover was changed since. 0 means all
	// do, or that the chain fails.
	OldestPass int
	// Sets are what the message has, by rising instance. Of a malformed chain, they
	// are what could be told apart.
	Sets []Set
}

// Set is one ARC Set (RFC 8617 §4.2).
type Set struct {
	Instance int
	// Seal and Message are the evidence about the two signatures; nil if the field is
	// missing. Their Status is None where they were not looked at: after a failure,
	// and message signatures below the first one that does not verify.
	Seal    *dkim.Result
	Message *dkim.Result
	// Results is the payload of ARC-Authentication-Results; ResultsErr tells why it
	// cannot be read.
	Results    authres.Header
	ResultsErr error
}

// Sealer returns the domain that sealed the set, A-labels in lower case, or "".
func (s *Set) Sealer() string {
	if s.Seal == nil {
		return ""
	}
	return s.Seal.SDID
}

// Newest returns the highest instance, 0 without sets.
func (r *Result) Newest() int {
	if len(r.Sets) == 0 {
		return 0
	}
	return r.Sets[len(r.Sets)-1].Instance
}
