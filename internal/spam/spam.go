// Package spam judges a message by its content and gives it a score that explains
// itself: points for each finding, from one table, and for what the learner says.
//
// The way through it:
//
//	e, err := spam.Examine(r, root)            // reads the message once: links, files, features, findings
//	o, err := learner.Judge(ctx, account, e.Features)
//	s := spam.Judge(&set, o, spam.Facts{Known: true}) // set has e.Findings and those of SPF, DKIM …
//
// The parts are packages of their own that anyone could use: content (text as the
// reader sees it), links, attach, learn (with tally, its store). Nothing here waits
// or keeps anything; learning is the learner's.
//
// Limits: those of content, links and attach, each with its budget. A message over
// budget is judged by what was seen.
package spam

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"posta/internal/finding"
	"posta/internal/message"
	"posta/internal/spam/attach"
	"posta/internal/spam/content"
	"posta/internal/spam/learn"
	"posta/internal/spam/links"
)

// Examination is what a message's content shows.
type Examination struct {
	Features learn.Features    // for the learner
	Links    links.Report      // its Domains and IPs are for blocklists
	Files    attach.Report     //
	Findings []finding.Finding // pass and fail of the checks of content that apply
	Over     bool              // something was left out: over budget
}

// Examine reads the message in r, as it was received, whose tree is root. It takes
// processor time and no other waiting than r's. The error is r's; what was seen so
// far comes with it.
func Examine(r io.ReaderAt, root *message.Part) (*Examination, error) {
	c, err := content.Read(r, root, content.Budget{})
	if err != nil {
		return &Examination{Features: learn.Extract(c), Over: true}, err
	}
	e := &Examination{Features: learn.Extract(c), Links: links.Inspect(c), Over: c.Over}
	e.Files, err = attach.Inspect(r, c, attach.Budget{})
	e.Findings = append(linkFindings(c, e.Links), fileFindings(e.Files)...)
	if f, ok := hiddenText(c); ok {
		e.Findings = append(e.Findings, f)
	}
	return e, err
}

// ofLinks and ofFiles name the checks of the rules.
var (
	ofLinks = []struct {
		rule links.Rule
		id   finding.ID
	}{
		{links.Address, finding.URLAddress}, {links.UserInfo, finding.URLUserInfo}, {links.Script, finding.URLScript},
		{links.Shortener, finding.URLShortener}, {links.Mismatch, finding.URLMismatch}, {links.Flood, finding.URLFlood},
	}
	ofFiles = []struct {
		rule attach.Rule
		id   finding.ID
	}{
		{attach.Executable, finding.AttachExecutable}, {attach.Disguised, finding.AttachDisguised}, {attach.Macro, finding.AttachMacro},
		{attach.Encrypted, finding.AttachEncrypted}, {attach.Opaque, finding.AttachOpaque},
	}
)

// linkFindings are the findings of links; a message without any has none.
func linkFindings(c *content.Content, r links.Report) []finding.Finding {
	if c.AllLinks == 0 {
		return nil
	}
	var out []finding.Finding
	for _, o := range ofLinks {
		f := finding.Of(o.id, finding.Pass, "")
		for _, h := range r.Hits {
			if h.Rule == o.rule {
				f = failed(o.id, "link", h.Count, h.Seen)
			}
		}
		out = append(out, f)
	}
	return out
}

// fileFindings are the findings of files; a message without any has none.
func fileFindings(r attach.Report) []finding.Finding {
	if r.Files == 0 && len(r.Hits) == 0 {
		return nil
	}
	var out []finding.Finding
	for _, o := range ofFiles {
		f := finding.Of(o.id, finding.Pass, "")
		for _, h := range r.Hits {
			if h.Rule == o.rule {
				f = failed(o.id, "file", h.Count, h.Seen)
			}
		}
		out = append(out, f)
	}
	return out
}

func failed(id finding.ID, what string, count int, seen []string) finding.Finding {
	f := finding.Of(id, finding.Fail, "", "count", strconv.Itoa(count))
	for _, s := range seen {
		f.Evidence = append(f.Evidence, finding.Fact{What: what, Seen: s})
	}
	return f
}

// hiddenText judges text that HTML hides: a preview line is common and short.
func hiddenText(c *content.Content) (finding.Finding, bool) {
	const preview = 400
	if c.Markup.Parts == 0 {
		return finding.Finding{}, false
	}
	if len(c.Hidden) <= preview || len(c.Hidden) <= len(c.Text) {
		return finding.Of(finding.ContentHidden, finding.Pass, ""), true
	}
	return finding.Of(finding.ContentHidden, finding.Fail, "", "octets hidden", strconv.Itoa(len(c.Hidden)),
		"octets shown", strconv.Itoa(len(c.Text)), "hidden", strings.ToValidUTF8(c.Hidden[:min(len(c.Hidden), 80)], "")+"…"), true
}

// Learned is the learner's outcome as a finding: a fail is what it calls spam, with
// the features that told most. One that is unsure does not apply.
func Learned(o learn.Outcome) finding.Finding {
	outcome := [...]finding.Outcome{learn.Unsure: finding.NotApplicable, learn.Spam: finding.Fail, learn.Ham: finding.Pass}[o.Verdict]
	f := finding.Of(finding.ContentLearned, outcome, "")
	if outcome != finding.Fail {
		return f
	}
	f.Evidence = append(f.Evidence,
		finding.Fact{What: "evidence", Seen: fmt.Sprintf("%.1f, of %.1f that are asked for", o.Evidence, o.Threshold)},
		finding.Fact{What: "learned", Seen: fmt.Sprintf("%d spam, %d ham", o.Trained.Spam, o.Trained.Ham)})
	for _, r := range o.Reasons[:min(len(o.Reasons), 8)] {
		f.Evidence = append(f.Evidence, finding.Fact{What: r.Where, Seen: r.String()})
	}
	return f
}
