package policy

import "sync/atomic"

// Setting is the key under which the directory keeps the text of the policy.
const Setting = "policy"

// Live gives the policy of a text that changes now and then, parsed once for each
// change. Its method may be called from any goroutine.
type Live struct {
	shipped *Policy
	last    atomic.Pointer[parsed]
}

type parsed struct {
	text   string
	policy *Policy
	err    error
}

// NewLive makes a Live whose policy is, as long as nobody changed it, the profile of
// a level.
func NewLive(l Level) *Live { return &Live{shipped: Profile(l)} }

// Of is the policy of a text; of an empty one the shipped policy. A text that cannot
// be parsed, which only a version of Posta that knew more can have stored, gives the
// shipped policy and the error.
func (l *Live) Of(text string) (*Policy, error) {
	if text == "" {
		return l.shipped, nil
	}
	if have := l.last.Load(); have != nil && have.text == text {
		return have.policy, have.err
	}
	p, err := Parse(text)
	if err != nil {
		p = l.shipped
	}
	l.last.Store(&parsed{text, p, err})
	return p, err
}
