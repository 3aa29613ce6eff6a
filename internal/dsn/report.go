package dsn

import (
	"strings"
	"time"
)

// Action is what happened to a recipient (RFC 3464 §2.3.3).
type Action string

const (
	Failed    Action = "failed"
	Delayed   Action = "delayed"
	Delivered Action = "delivered"
	Relayed   Action = "relayed"  // to a system that will not notify
	Expanded  Action = "expanded" // to the members of a list
)

// Report is the machine part of a notification.
type Report struct {
	EnvelopeID   string    // ENVID, decoded; empty if the client gave none
	ReportingMTA string    // host name
	ReceivedFrom string    // host name of the client, optional
	Arrival      time.Time // optional
	Recipients   []Recipient
}

// Recipient is one recipient of a Report.
type Recipient struct {
	Original       Address // ORCPT; optional
	Final          Address
	Action         Action
	Status         string    // RFC 3463, "5.1.1"
	RemoteMTA      string    // host name of who answered, optional
	Diagnostic     string    // what it said, without the type; optional
	DiagnosticType string    // "smtp" if empty
	LastAttempt    time.Time // optional
	RetryUntil     time.Time // for Delayed
	LogID          string    // our id of the delivery, optional

	// Why is told to people beside the diagnostic, in both languages;
	// optional, and not part of the machine part.
	Why Text
}

// Text is a text in the languages that notices have.
type Text struct{ English, Spanish string }

// Permanent reports whether the status is of class 5.
func (r Recipient) Permanent() bool { return strings.HasPrefix(r.Status, "5.") }

// worst returns the action that the subject tells of.
func (r Report) worst() Action {
	rank := []Action{Failed, Delayed, Relayed, Expanded, Delivered}
	for _, a := range rank {
		for _, rcpt := range r.Recipients {
			if rcpt.Action == a {
				return a
			}
		}
	}
	return Failed
}
