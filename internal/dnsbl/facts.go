package dnsbl

import (
	"errors"

	"posta/internal/resolver"
)

// Facts is the result as evidence: what, seen, what, seen…. Neither the zone nor a name that
// was asked is shown as it is: both may hold the key of an account.
func (r *Result) Facts() []string {
	facts := []string{"list", r.Name}
	for _, c := range r.Codes {
		facts = append(facts, "answer", c.String())
	}
	for _, m := range r.Meanings {
		facts = append(facts, "meaning", m)
	}
	for _, t := range r.Texts {
		facts = append(facts, "the list says", t)
	}
	if r.Delist != "" {
		facts = append(facts, "look it up and contest it at", r.Delist)
	}
	if r.Cause != NoCause {
		facts = append(facts, "cause", r.Why())
	}
	return facts
}

// Why is why nothing can be said, in words.
func (r *Result) Why() string {
	cause := r.Cause.String()
	if e, ok := errors.AsType[*resolver.Error](r.Err); ok {
		cause += ": " + e.Kind.String()
	}
	if r.Suggestion != "" {
		cause += "; did you mean " + r.Suggestion + "?"
	}
	return cause
}
