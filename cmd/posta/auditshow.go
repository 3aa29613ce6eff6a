package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"posta/internal/audit"
	"posta/internal/finding"
)

// auditedFinding is a finding as programs and the page read it: with what the
// catalogue says of its check. docs/AUDIT.md has the fields.
type auditedFinding struct {
	Check    finding.ID     `json:"check"`
	Area     audit.Area     `json:"area"`
	Outcome  string         `json:"outcome"`
	Severity string         `json:"severity"` // of the check; it counts where the outcome is "fail"
	Subject  string         `json:"subject,omitempty"`
	Evidence []finding.Fact `json:"evidence,omitempty"`
	Title    string         `json:"title"`
	Why      string         `json:"why,omitempty"`
	Mend     string         `json:"mend,omitempty"`
	Standard string         `json:"standard"`
	Ref      string         `json:"ref"`
}

// audited is a report as programs read it.
type audited struct {
	Domain   string           `json:"domain"`
	Setup    string           `json:"setup"`
	At       time.Time        `json:"at"`
	Seconds  float64          `json:"seconds"`
	Worst    string           `json:"worst,omitempty"` // severity of the gravest fail
	Grades   []audit.Grade    `json:"grades"`
	Findings []auditedFinding `json:"findings"`
	Probes   []string         `json:"probes"`
}

// audited joins a report with the texts of the catalogue.
func (c *cli) audited(r *audit.Report) audited {
	out := audited{
		Domain: r.Domain, Setup: r.Setup, At: r.At.UTC().Truncate(time.Second), Seconds: r.Took.Seconds(),
		Grades: r.Grades, Probes: r.Probes, Findings: []auditedFinding{},
	}
	if worst, any := r.Worst(); any {
		out.Worst = worst.String()
	}
	for _, f := range r.Findings {
		k, _ := finding.Lookup(f.Check)
		t := finding.TextOf(f.Check, string(c.lang))
		x := auditedFinding{
			Check: f.Check, Area: audit.AreaOf(f.Check), Outcome: f.Outcome.String(), Severity: k.Severity.String(), Subject: f.Subject,
			Evidence: f.Evidence, Title: t.Title, Standard: k.Standard, Ref: k.Ref,
		}
		if f.Outcome == finding.Fail || f.Outcome == finding.Unverified {
			x.Why, x.Mend = t.Why, t.Them
			if r.Own {
				x.Mend = t.Us
			}
		}
		out.Findings = append(out.Findings, x)
	}
	return out
}

func (c *cli) showAudit(f *auditFlags, r *audit.Report) error {
	x := c.audited(r)
	switch {
	case c.json:
		return c.printJSON(x)
	case f.html:
		return c.auditPage(&x)
	}
	c.auditText(&x, f.all, painterFor(c.out))
	return nil
}

// auditText prints the grades, then what failed and what could not be verified, each
// with its evidence and mend; passes are counted, and named only when all is asked for.
func (c *cli) auditText(x *audited, all bool, paint painter) {
	fmt.Fprintf(c.out, "%s\n\n", paint.bold(c.lang.Say("audit.title", x.Domain, c.lang.Say("audit.setup."+x.Setup))))
	for _, g := range x.Grades {
		fmt.Fprintf(c.out, "  %s %s  %s\n", padded(c.lang.Say("audit.area."+string(g.Area)), 16),
			paint.mark(g.Mark, padded(c.lang.Say("audit.mark."+string(g.Mark)), 14)), c.lang.Say("audit.counts", g.Failed, g.Unverified, g.Passed))
	}
	counts := map[string]int{}
	for i := range x.Findings {
		f := &x.Findings[i]
		counts[f.Outcome]++
		switch {
		case f.Outcome == finding.Fail.String(), f.Outcome == finding.Unverified.String():
			c.auditFinding(f, paint)
		case all:
			c.auditLine(f, paint)
		}
	}
	fmt.Fprintln(c.out)
	for _, p := range x.Probes {
		c.say("audit.probe", printable(p))
	}
	c.say("done.audit", counts[finding.Fail.String()], counts[finding.Unverified.String()], counts[finding.Pass.String()], x.Seconds)
}

// auditFinding prints one fault with everything that is known of it.
func (c *cli) auditFinding(f *auditedFinding, paint painter) {
	fmt.Fprintln(c.out)
	c.auditLine(f, paint)
	row := func(key, text string) { fmt.Fprintf(c.out, "    %s: %s\n", c.lang.Say(key), printable(text)) }
	for _, e := range f.Evidence {
		fmt.Fprintf(c.out, "    %s: %s\n", printable(e.What), printable(e.Seen))
	}
	if f.Outcome == finding.Fail.String() {
		row("audit.why", f.Why)
		row("audit.mend", f.Mend)
		row("word.standard", f.Standard)
	}
}

// auditLine is the first line of a finding: how grave, about what, which check.
func (c *cli) auditLine(f *auditedFinding, paint painter) {
	word := c.lang.Say("audit.outcome." + dashed(f.Outcome))
	if f.Outcome == finding.Fail.String() {
		word = c.lang.Say("severity." + f.Severity)
	}
	fmt.Fprintf(c.out, "%s %s: %s [%s]\n", paint.severity(f, strings.ToUpper(word)), printable(f.Subject), f.Title, f.Check)
}

func padded(s string, width int) string { return fmt.Sprintf("%-*s", width, s) }

// painter colours text for a terminal; the zero value leaves it plain.
type painter struct{ on bool }

// painterFor paints only on a terminal, and not where NO_COLOR is set (no-color.org).
func painterFor(w io.Writer) painter {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return painter{}
	}
	info, err := f.Stat()
	return painter{err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (p painter) code(code, s string) string {
	if !p.on {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p painter) bold(s string) string { return p.code("1", s) }

func (p painter) mark(m audit.Mark, s string) string {
	return p.code(map[audit.Mark]string{audit.Good: "32", audit.Fair: "33", audit.Poor: "31", audit.Broken: "1;31", audit.Unknown: "36", audit.None: "2"}[m], s)
}

func (p painter) severity(f *auditedFinding, s string) string {
	switch f.Outcome {
	case finding.Pass.String():
		return p.code("32", s)
	case finding.Unverified.String():
		return p.code("36", s)
	case finding.NotApplicable.String():
		return p.code("2", s)
	}
	return p.code(map[string]string{"info": "2", "low": "33", "medium": "33", "high": "31", "critical": "1;31"}[f.Severity], s)
}
