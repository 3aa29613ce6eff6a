package main

import (
	"fmt"
	"strings"

	"posta/internal/finding"
	"posta/internal/probe"
)

// showLine prints one line of the dialogue, and below it what it means.
func (c *cli) showLine(l probe.Line) {
	mark := map[probe.Side]string{probe.Us: ">>", probe.Them: "<<", probe.Event: "--"}[l.From]
	if l.Text != "" || l.From != probe.Event {
		fmt.Fprintf(c.out, "%s %s\n", mark, printable(l.Text))
	}
	if l.Note == "" {
		return
	}
	args := make([]any, len(l.Args))
	for i, a := range l.Args {
		if s, ok := a.(string); ok {
			a = printable(s)
		}
		args[i] = a
	}
	fmt.Fprintf(c.out, "   # %s\n", c.lang.Say("probe.note."+l.Note, args...))
	if l.Note == probe.NoteCertificateBad {
		fmt.Fprintf(c.out, "   # %s\n", c.lang.Say(fmt.Sprintf("probe.error.%d", l.Args[0])))
	}
}

// showProbe prints what is to be mended, and how to see the same with other programs.
func (c *cli) showProbe(protocol string, p *probed) {
	paint := painterFor(c.out)
	counts := map[string]int{}
	for i := range p.Findings {
		f := &p.Findings[i]
		counts[f.Outcome]++
		if f.Outcome == finding.Fail.String() || f.Outcome == finding.Unverified.String() {
			c.auditFinding(f, paint)
		}
	}
	fmt.Fprintln(c.out)
	if p.Error != "" {
		c.say("probe.ended", printable(p.Error))
	}
	c.say("probe.same")
	for _, line := range sameByHand(protocol, p.target) {
		fmt.Fprintf(c.out, "  %s\n", line)
	}
	c.say("done.probe", counts[finding.Fail.String()], counts[finding.Unverified.String()], counts[finding.Pass.String()])
}

// sameByHand are the commands with which anybody sees the same. Names that stand in
// them are host names and addresses, which need no quoting.
func sameByHand(protocol string, t probe.Target) []string {
	at := t.Addr.String()
	name := ""
	if t.Host != t.Addr.Addr().String() {
		name = " -servername " + t.Host + " -verify_hostname " + t.Host
	}
	if t.Implicit {
		return []string{"openssl s_client -connect " + at + name + " -showcerts -crlf"}
	}
	say := map[string]string{"smtp": "EHLO NAME, STARTTLS, QUIT", "imap": "a1 CAPABILITY, a2 LOGOUT", "pop3": "CAPA, QUIT"}[protocol]
	return []string{
		fmt.Sprintf("telnet %s %d   (%s)", strings.Trim(t.Addr.Addr().String(), "[]"), t.Addr.Port(), say),
		"openssl s_client -connect " + at + name + " -starttls " + protocol + " -showcerts -crlf",
	}
}
