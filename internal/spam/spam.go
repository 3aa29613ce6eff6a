// Package spam judges a message by its content and gives it a score that explains
// itself: points for each finding, from one table, and for what the learner says.
//
// The way through it:
//
//	e, err := spam.Examine(r, root)     // reads the message once: links, files, features, findings
//	o, err := learner.Judge(ctx, account, e.Features)
//	                                    // or, where nothing was learned: e, err := spam.Look(r, root), and no outcome
//	facts := e.Facts                    // the caller adds Known and History
//	s := spam.Judge(&set, o, facts)     // set has e.Findings and those of SPF, DKIM and the others
//	for _, f := range s.Findings(junk, high) { set.Add(f) } // spam.score and spam.high
//
// The parts are packages of their own that anyone could use: content (text as the
// reader sees it), links, attach, learn (with tally, its store). Nothing here waits
// or keeps anything; learning is the learner's.
//
// Limits: those of content, links and attach, each with its budget. A message over
// budget is judged by what was seen.
package spam

import (
	"io"
	"slices"
	"strconv"

	"posta/internal/finding"
	"posta/internal/message"
	"posta/internal/spam/attach"
	"posta/internal/spam/content"
	"posta/internal/spam/learn"
	"posta/internal/spam/links"
)

// Examination is what a message's content shows.
type Examination struct {
	Features learn.Features    // for the learner; none after Look
	Links    links.Report      // its Hosts and IPs are for blocklists
	Files    attach.Report     //
	Findings []finding.Finding // outcomes of the checks of content that apply
	Facts    Facts             // what counts in the score and is no check: shorteners, hidden text
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
	e, err := inspect(r, c)
	e.Features = learn.Extract(c)
	return e, err
}

// Look is Examine without the features, which only a learner that has learned enough
// can use: they cost most of it. What it says else is the same. Of a plain text
// without links it costs no more than reading it.
func Look(r io.ReaderAt, root *message.Part) (*Examination, error) {
	c, err := content.Read(r, root, content.Budget{LinksOnly: true})
	if err != nil {
		return &Examination{Over: true}, err
	}
	return inspect(r, c)
}

// inspect has links and files looked at.
func inspect(r io.ReaderAt, c *content.Content) (*Examination, error) {
	e := &Examination{Links: links.Inspect(c), Over: c.Over}
	var err error
	e.Files, err = attach.Inspect(r, c, attach.Budget{})
	e.Findings = append(linkFindings(c, e.Links), fileFindings(e.Files)...)
	e.Facts = Facts{
		Shortener: slices.ContainsFunc(e.Links.Hits, func(h links.Hit) bool { return h.Rule == links.Shortener }),
		Hidden:    mostlyHidden(c),
	}
	return e, err
}

// ofLinks and ofFiles name the checks of the rules.
var (
	ofLinks = []struct {
		rule links.Rule
		id   finding.ID
	}{
		{links.Address, finding.URLAddress}, {links.UserInfo, finding.URLCredential}, {links.Script, finding.URLScript},
		{links.Mismatch, finding.URLMismatch}, {links.Flood, finding.URLMany},
	}
	ofFiles = []struct {
		rule attach.Rule
		id   finding.ID
	}{
		{attach.Executable, finding.ContentExecutable}, {attach.Disguised, finding.ContentName}, {attach.Macro, finding.ContentMacro},
		{attach.Encrypted, finding.ContentEncrypted}, {attach.Opaque, finding.ContentArchive},
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

// fileFindings are the findings of files; a message without any has none. Of a file
// that nobody looked into nothing could be verified.
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
			if h.Rule == attach.Unopened && o.rule == attach.Opaque && f.Outcome == finding.Pass {
				f = failed(o.id, "file", h.Count, h.Seen)
				f.Outcome = finding.Unverified
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

// mostlyHidden tells whether HTML hides more text than it shows: a preview line is
// common and short.
func mostlyHidden(c *content.Content) bool {
	const preview = 400
	return len(c.Hidden) > preview && len(c.Hidden) > len(c.Text)
}
