package main

import (
	"fmt"
	"strings"

	"posta/internal/audit"
	"posta/internal/finding"
)

// lettered bounds the lines of evidence of one fault: a letter is to be read.
const lettered = 6

// auditLetter drafts the letter to whoever runs the domain: where to send it, what was
// found with its evidence, and how each is mended (S63). Whoever sends it reads and
// signs it.
func (c *cli) auditLetter(x *audited, contacts []audit.Contact) {
	c.say("letter.where")
	for _, k := range contacts {
		state := "letter.takes"
		switch {
		case k.Err != nil:
			state = "letter.unknown"
		case !k.Takes:
			state = "letter.takes-not"
		}
		fmt.Fprintf(c.out, "  %s (%s; %s)\n", printable(k.Address), c.lang.Say("letter.source."+strings.ReplaceAll(strings.ToLower(k.Source), " ", "")), c.lang.Say(state))
	}
	fmt.Fprintf(c.out, "\n%s\n\n", c.lang.Say("letter.subject", x.Domain))
	c.say("letter.begin", x.Domain, x.At.Format("2006-01-02 15:04 UTC"))
	n := 0
	for i := range x.Findings {
		f := &x.Findings[i]
		if f.Outcome != finding.Fail.String() || f.Severity == finding.Info.String() {
			continue
		}
		n++
		fmt.Fprintf(c.out, "\n%d. %s: %s (%s)\n", n, printable(f.Subject), f.Title, c.lang.Say("severity."+f.Severity))
		for j, e := range f.Evidence {
			if j == lettered {
				fmt.Fprintln(c.out, "     …")
				break
			}
			fmt.Fprintf(c.out, "     %s: %s\n", printable(e.What), printable(e.Seen))
		}
		fmt.Fprintf(c.out, "   %s\n   %s %s\n   [%s, %s]\n", f.Why, c.lang.Say("letter.mend"), f.Mend, f.Check, f.Standard)
	}
	fmt.Fprintln(c.out)
	if n == 0 {
		c.say("letter.nothing")
		return
	}
	c.say("letter.end", x.Domain)
}
