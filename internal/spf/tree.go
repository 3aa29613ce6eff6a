package spf

import (
	"fmt"
	"strings"
)

const (
	maxShown   = 10   // addresses or names of one step
	maxQuoted  = 1000 // octets of one record
	treeIndent = "  "
)

// Tree prints the evaluation for a person, one line for the outcome and one for each step: a record, its terms below it, and
// what an include leads to below that. Text from the DNS is shown as it is, in quotes and made printable; a record is cut
// after 1,000 octets and a list of addresses after 10.
func (r *Result) Tree() []string {
	out := make([]string, 0, len(r.Steps)+1)
	out = append(out, r.summary())
	for i := range r.Steps {
		s := &r.Steps[i]
		indent := strings.Repeat(treeIndent, 2*s.Depth+1)
		if s.Term == "" {
			out = append(out, indent+s.record())
		} else {
			out = append(out, indent+treeIndent+s.term())
		}
	}
	return out
}

// summary is the outcome and what it cost.
func (r *Result) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v for %v %s", r.Status, r.Identity, printable(r.Sender))
	switch {
	case r.Err != nil:
		b.WriteString(": " + printable(r.Err.Error()))
	case r.Term != "":
		fmt.Fprintf(&b, ": %s of %s", printable(r.Term), r.TermDomain)
	case r.Status == None:
		b.WriteString(": no record")
	case r.Status == Neutral:
		b.WriteString(": no term matched")
	}
	fmt.Fprintf(&b, "; %d of %d look-ups, %d of %d void", r.Lookups, MaxLookups, r.VoidLookups, MaxVoidLookups)
	return b.String()
}

// record tells of a record that was fetched.
func (s *Step) record() string {
	switch {
	case s.Err != nil && len(s.Texts) == 0:
		return s.Domain + ": " + printable(s.Err.Error())
	case len(s.Texts) == 0:
		return s.Domain + ": no SPF record (" + s.State.String() + ")"
	}
	quoted := make([]string, 0, len(s.Texts))
	for _, t := range s.Texts[:min(len(s.Texts), maxShown)] {
		quoted = append(quoted, `"`+printable(t)+`"`)
	}
	line := s.Domain + ": " + strings.Join(quoted, " and ")
	if s.Err != nil {
		line += ": " + printable(s.Err.Error())
	}
	return line
}

// term tells of a term that was evaluated.
func (s *Step) term() string {
	var b strings.Builder
	b.WriteString(printable(s.Term))
	if s.Target != "" && !strings.HasSuffix(strings.ToLower(s.Term), s.Target) {
		b.WriteString(" → " + printable(s.Target))
	}
	if s.Lookup > 0 {
		fmt.Fprintf(&b, " [look-up %d]", s.Lookup)
	}
	if s.Void > 0 {
		fmt.Fprintf(&b, " [void %d]", s.Void)
	}
	b.WriteString(": " + s.Outcome.String())
	var seen []string
	if s.Texts != nil {
		seen = append(seen, list(s.Texts))
	}
	if s.Addrs != nil {
		seen = append(seen, list(s.Addrs))
	}
	if s.State != 0 && len(seen) == 0 {
		seen = append(seen, s.State.String())
	}
	if s.Err != nil {
		seen = append(seen, printable(s.Err.Error()))
	}
	if len(seen) > 0 {
		b.WriteString(" (" + strings.Join(seen, "; ") + ")")
	}
	return b.String()
}

func list[T any](items []T) string {
	var b strings.Builder
	for i, x := range items {
		if i == maxShown {
			fmt.Fprintf(&b, " and %d more", len(items)-i)
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(printable(fmt.Sprint(x)))
	}
	return b.String()
}

// printable makes a stranger's text fit to be shown: controls become "?", invalid UTF-8 too, and what is long is cut.
func printable(s string) string {
	cut := s[:min(len(s), maxQuoted)]
	cut = strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == '\uFFFD' {
			return '?'
		}
		return c
	}, cut)
	if len(s) > maxQuoted {
		cut += "…"
	}
	return cut
}
