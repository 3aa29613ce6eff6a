package spf

import (
	"fmt"
	"strings"
)

// tree prints the evidence, one step a line.
func tree(res Result) string {
	var b strings.Builder
	for _, s := range res.Steps {
		term := s.Term
		if term == "" {
			term = "(record)"
		}
		fmt.Fprintf(&b, "%s%s %s", strings.Repeat("  ", s.Depth), s.Domain, term)
		if s.Target != "" {
			fmt.Fprintf(&b, " → %s", s.Target)
		}
		fmt.Fprintf(&b, ": %v", s.Outcome)
		if s.Err != nil {
			fmt.Fprintf(&b, " (%v)", s.Err)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
