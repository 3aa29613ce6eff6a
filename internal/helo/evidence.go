package helo

import (
	"fmt"
	"strings"
)

const maxShown = 10 // addresses of the name

// Facts tells what was seen, in pairs of what and seen, in English. What the client sent is made printable.
func (r *Result) Facts() []string {
	f := []string{"HELO", printable(r.Arg), "shape", r.Shape.String()}
	add := func(what, seen string) {
		if seen != "" {
			f = append(f, what, seen)
		}
	}
	add("what is wrong", r.Reason)
	if r.Claim != ClaimsNothing {
		add("claims to be", r.Claim.String())
	}
	if r.Private {
		add("ends in", "a label that public DNS does not have")
	}
	if r.Existence != NotAsked {
		add("in DNS", r.Existence.String())
	}
	add("alias of", strings.Join(r.Alias, " "))
	var b strings.Builder
	for i, a := range r.Addrs {
		if i == maxShown {
			fmt.Fprintf(&b, " and %d more", len(r.Addrs)-i)
			break
		}
		b.WriteString(" " + a.String())
	}
	add("addresses", strings.TrimPrefix(b.String(), " "))
	switch r.Proof {
	case NotApplicable:
	case Unproven:
		add("tied to the client by", "nothing")
	default:
		add("tied to the client by", r.Proof.String())
	}
	if r.Err != nil {
		add("DNS", r.Err.Error())
	}
	return f
}

func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s[:min(len(s), 255)])
}
