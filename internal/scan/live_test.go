package scan

import (
	"context"
	"errors"
	"testing"
)

// closing is a scanner that tells when it was closed.
type closing struct {
	Scanner
	closed *int
}

func (c closing) Defaults() Defaults { return Defaults{Kind: "test"} }
func (c closing) Close() error       { *c.closed++; return errClosed }

var errClosed = errors.New("closed")

func (closing) Ping(context.Context) (string, error) { return "1", nil }

// Who began with a list of scanners ends with it; it is closed once, when the last of
// them has ended, and not while it is the list of now.
func TestLive(t *testing.T) {
	var closed [2]int
	of := func(i int) *Runner {
		r, err := New(Config{Members: []Member{{Name: "a", Scanner: closing{closed: &closed[i]}}}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	var l Live
	if r, release := l.Take(); r != nil || release() != nil || l.Now() != nil {
		t.Error("a runner of nobody")
	}
	first, second := of(0), of(1)
	if err := l.Replace(first); err != nil || l.Now() != first {
		t.Error(err)
	}
	a, releaseA := l.Take()
	b, releaseB := l.Take()
	if a != first || b != first || releaseA() != nil {
		t.Error("the first is closed, or another")
	}
	if err := l.Replace(second); err != nil || closed != [2]int{} {
		t.Errorf("it is in use: %v, closed %v", err, closed)
	}
	if c, release := l.Take(); c != second || release() != nil {
		t.Error("who begins now has not the new one")
	}
	if err := releaseB(); !errors.Is(err, errClosed) || closed != [2]int{1, 0} {
		t.Errorf("its last user is gone: %v, closed %v", err, closed)
	}
	if err := l.Close(); !errors.Is(err, errClosed) || closed != [2]int{1, 1} || l.Now() != nil {
		t.Errorf("at the end: %v, closed %v", err, closed)
	}
	if err := l.Close(); err != nil || closed != [2]int{1, 1} {
		t.Errorf("a second time: %v, closed %v", err, closed)
	}
}
