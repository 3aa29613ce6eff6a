package resolver

import (
	"context"
	"errors"
	"strings"
)

// Kind is why a question found no answer.
type Kind uint8

const (
	// InvalidName: the question cannot be asked (see the package comment on names). The only permanent kind.
	InvalidName Kind = 1 + iota
	// Timeout: no server answered in time.
	Timeout
	// ServFail: the server could not find out (RCODE 2), or DNSSEC validation failed there.
	ServFail
	// Refused: the server does not answer us (RCODE 5).
	Refused
	// Malformed: the reply is no DNS message, does not fit the question, or is a referral.
	Malformed
	// Truncated: the UDP reply was cut and asking again over TCP failed.
	Truncated
	// Network: the server cannot be reached.
	Network
	// BadChain: more than MaxChain aliases, or a loop of them.
	BadChain
	// Canceled: the caller's context ended, or the client was closed. It says nothing about the name.
	Canceled
)

var kindNames = [...]string{"unknown", "invalid name", "timeout", "servfail", "refused", "malformed", "truncated", "network", "bad alias chain", "canceled"}

// String gives the kind as lower-case words.
func (k Kind) String() string { return kindNames[min(int(k), len(kindNames)-1)] }

// Error is a question that found no answer. Errors are shared through the cache: they must not be modified.
type Error struct {
	Kind   Kind
	Name   string // as asked
	Type   Type
	Server string // the last server asked, or empty
	Detail string // what the server said beside its code (RFC 8914), or empty
	Err    error  // the cause, or nil
}

// Error tells everything in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("dns: ")
	b.WriteString(e.Type.String())
	b.WriteByte(' ')
	b.WriteString(e.Name)
	if e.Server != "" {
		b.WriteString(" @")
		b.WriteString(e.Server)
	}
	b.WriteString(": ")
	b.WriteString(e.Kind.String())
	if e.Detail != "" {
		b.WriteString(" (" + e.Detail + ")")
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Temporary tells whether the same question may have an answer later: true for every kind but InvalidName.
func (e *Error) Temporary() bool { return e.Kind != InvalidName }

// Temporary tells whether a look-up that failed with err may succeed later. It is false for nil and for an invalid name,
// true for any other failure, known or unknown: what we do not understand is not proof that something is missing.
func Temporary(err error) bool {
	if err == nil {
		return false
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Temporary()
	}
	return true
}

// contextError is what a caller reads whose context ended before the answer came.
func contextError(ctx context.Context, name string, t Type) *Error {
	kind := Canceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = Timeout
	}
	return &Error{Kind: kind, Name: name, Type: t, Err: ctx.Err()}
}
