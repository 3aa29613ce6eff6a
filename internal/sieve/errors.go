package sieve

import (
	"errors"
	"fmt"
	"strings"
)

// ErrTryLater says that what the script needs cannot be had now (a filter program
// that failed): the run is to be repeated later, and none of its actions holds.
// Result.Err wraps it.
var ErrTryLater = errors.New("sieve: try again later")

// ErrBudget says that a run came to the end of one of its Limits.
var ErrBudget = errors.New("sieve: the script exceeds a limit")

// Error is what is wrong at one place of a script.
type Error struct {
	Line, Col int // from 1; Col counts octets
	Text      string
}

// Error gives "line 3:7: what is wrong".
func (e Error) Error() string { return fmt.Sprintf("line %d:%d: %s", e.Line, e.Col, e.Text) }

// maxErrors is how many errors of a script are told.
const maxErrors = 20

// Errors is everything that is wrong in a script, in its order, at most twenty.
type Errors []Error

// Error gives each error on a line of its own.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// RunError is what ended a run (RFC 5228 §2.10.6).
type RunError struct {
	Script    string // name of the included script; "" is the one that was run
	Line, Col int
	Text      string
	Err       error // ErrTryLater, ErrBudget, or nil
}

// Error gives "line 3:7: what went wrong", with the name of an included script.
func (e *RunError) Error() string {
	where := Error{e.Line, e.Col, e.Text}.Error()
	if e.Script != "" {
		return "script " + e.Script + ", " + where
	}
	return where
}

// Unwrap returns Err.
func (e *RunError) Unwrap() error { return e.Err }
