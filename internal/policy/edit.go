package policy

import (
	"errors"
	"maps"
	"slices"

	"posta/internal/finding"
)

// Edit is one change of a policy, as a person asks for it.
type Edit struct {
	Check finding.ID
	Step  string // as ParseStep reads it; "" takes the level's own value again
	Class string // a column: "own-server", "big-provider", "unverified"; "" is every stranger
	For   string // an address or "@domain" of ours; "" is everybody
}

// With is the policy with an edit; p stays as it is. The error joins Problems.
func (p *Policy) With(e Edit) (*Policy, error) {
	r := &reader{}
	key := "rules." + string(e.Check)
	if byCheck(e.Check) == nil {
		return nil, Problem{key, noRow(string(e.Check))}
	}
	var asked Changes
	if e.Step != "" {
		var row any = e.Step
		if e.Class != "" {
			row = map[string]any{e.Class: e.Step}
		}
		r.cells(&asked, key, e.Check, row)
	} else if e.Class != "" {
		r.cells(&asked, key, e.Check, map[string]any{e.Class: "accept"}) // to learn the cells' names
	} else {
		r.cells(&asked, key, e.Check, map[string]any{"own-server": "accept", "big-provider": "accept", "unverified": "accept"})
	}
	next := *p
	target := &next.Changes
	if e.For != "" {
		who, ok := recipient(e.For)
		if !ok {
			r.wrong("for", "%q is neither an address nor @domain", e.For)
		}
		next.Exceptions = slices.Clone(p.Exceptions)
		target = next.exceptionFor(who)
	}
	if len(r.problems) > 0 {
		return nil, errors.Join(r.problems...)
	}
	target.Steps = maps.Clone(target.Steps)
	if target.Steps == nil {
		target.Steps = Steps{}
	}
	for c, st := range asked.Steps {
		if e.Step == "" {
			delete(target.Steps, c)
		} else {
			target.Steps[c] = st
		}
	}
	next.Exceptions = slices.DeleteFunc(next.Exceptions, func(x Exception) bool { return !x.HasLevel && len(x.Steps) == 0 })
	return &next, nil
}

// exceptionFor finds the exception for exactly one name, or makes it.
func (p *Policy) exceptionFor(who string) *Changes {
	for i := range p.Exceptions {
		if slices.Equal(p.Exceptions[i].For, []string{who}) {
			return &p.Exceptions[i].Changes
		}
	}
	p.Exceptions = append(p.Exceptions, Exception{For: []string{who}})
	return &p.Exceptions[len(p.Exceptions)-1].Changes
}
