package reflector

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/authres"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/words"
)

// Bounds of an answer, so that it is never much larger than what it answers is
// allowed to make it: findings, pieces of evidence of one, and octets of a piece.
const (
	maxFindings = 100
	maxEvidence = 20
	maxSeen     = 600
)

// Report is what an answer tells. Host, To, From and Findings are required.
type Report struct {
	Host      string       // ours
	From      addr.Address // the address that was written to
	To        addr.Address // the reverse-path
	Date      time.Time
	MessageID string // of the answer
	ID        mail.ID
	Why       string // what the id of a check is put behind, "https://mail.example.org/why/"

	Client    mail.Client
	PTR       string // the confirmed name, "" if none
	Author    string // the From field's addresses
	Subject   string
	InReplyTo string // Message-ID of what is answered, "" if it had none

	Judged   bool // false: one of our own people, who are not judged
	Results  []authres.Result
	Findings *finding.Set
	Level    string       // of policy
	Verdict  mail.Verdict // what an ordinary recipient's would be

	Languages []words.Lang // see Languages
}

// Message writes the answer, with CRLF. It is 7-bit, but for an address that needs
// SMTPUTF8.
func (r *Report) Message() []byte {
	var b message.Builder
	b.Mailbox("From", r.Host, r.From)
	b.Mailbox("To", "", r.To)
	subject := make([]string, len(r.Languages))
	for i, l := range r.Languages {
		subject[i] = l.Say("reflect.subject")
	}
	b.Field("Subject", strings.Join(subject, " / ")+": "+cut(r.Subject, 200))
	b.Date(r.Date)
	b.Structured("Message-ID", r.MessageID)
	if wellFormed(r.InReplyTo) {
		b.Structured("In-Reply-To", r.InReplyTo)
		b.Structured("References", r.InReplyTo)
	}
	b.Structured("Auto-Submitted", "auto-replied") // RFC 3834 §3.1.7
	b.Structured("X-Auto-Response-Suppress", "All")
	names := make([]string, len(r.Languages))
	texts := make([]string, len(r.Languages))
	for i, l := range r.Languages {
		names[i], texts[i] = string(l), r.text(l)
	}
	b.Structured("Content-Language", strings.Join(names, ", "))
	b.Text("plain", strings.Join(texts, "\n"+strings.Repeat("=", 72)+"\n\n"))
	return b.Bytes()
}

// wellFormed reports whether a stranger's Message-ID may be named in a field of ours.
func wellFormed(id string) bool {
	return len(id) > 4 && len(id) < 256 && id[0] == '<' && strings.HasSuffix(id, ">") &&
		!strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

// text is the report in one language.
func (r *Report) text(l words.Lang) string {
	p := &page{lang: l}
	p.paragraph(l.Say("reflect.intro", r.From.String(), r.Host))
	p.head("reflect.connection")
	p.row("trace.client", strings.TrimSpace(r.ip()+" "+r.PTR))
	p.row("trace.helo", r.Client.HELO)
	p.row("trace.tls", r.tls(l))
	p.row("trace.from", "<"+r.To.String()+">")
	p.row("trace.author", r.Author)
	p.row("trace.message-id", r.InReplyTo)
	p.row("reflect.id", r.ID.String())

	p.head("reflect.results")
	if !r.Judged {
		p.paragraph(l.Say("reflect.own"))
	} else {
		r.results(p)
	}
	p.head("reflect.verdict")
	p.paragraph(r.verdict(l))
	r.findings(p)
	if passed := r.Findings.Passes(); len(passed) > 0 {
		p.head("reflect.passed")
		p.paragraph(joined(passed))
	}
	p.head("why.contest")
	p.paragraph(l.Say("why.contest.text", r.Host, r.ID.String()))
	return p.String()
}

func (r *Report) ip() string {
	if r.Client.IP.IsValid() {
		return r.Client.IP.String()
	}
	return r.Client.Door.String()
}

func (r *Report) tls(l words.Lang) string {
	if r.Client.TLS.Version == "" {
		return l.Say("reflect.clear")
	}
	return strings.TrimSpace(r.Client.TLS.Version + " " + r.Client.TLS.Cipher)
}

// methods are what is always told of, in the order of the way.
var methods = []string{"iprev", "spf", "dkim", "dmarc", "arc"}

// results tells what each method gave (RFC 8601), and what content was judged to
// be.
func (r *Report) results(p *page) {
	names := map[string]string{"iprev": "PTR", "spf": "SPF", "dkim": "DKIM", "dmarc": "DMARC", "arc": "ARC"}
	for _, m := range methods {
		found := false
		for _, res := range r.Results {
			if res.Method != m {
				continue
			}
			found = true
			text := res.Value
			for _, pr := range res.Props {
				text += " " + pr.Type + "." + pr.Name + "=" + pr.Value
			}
			p.field(names[m], text)
		}
		if !found {
			p.field(names[m], p.lang.Say("reflect.none"))
		}
	}
	p.row("reflect.helo", r.section("helo", p.lang))
	p.row("reflect.spam", r.section("spam", p.lang))
}

// section is the worst outcome of a section's checks, with those that failed.
func (r *Report) section(section string, l words.Lang) string {
	worst := finding.NotApplicable
	var failed []finding.ID
	for _, c := range finding.All() {
		if c.ID.Section() != section {
			continue
		}
		o := r.Findings.Outcome(c.ID)
		if o == finding.Fail {
			failed = append(failed, c.ID)
		}
		if o == finding.Fail || o == finding.Unverified && worst != finding.Fail || o == finding.Pass && worst == finding.NotApplicable {
			worst = o
		}
	}
	if worst == finding.NotApplicable {
		return l.Say("reflect.none")
	}
	return strings.TrimSpace(outcome(l, worst) + " " + joined(failed))
}

func outcome(l words.Lang, o finding.Outcome) string {
	return l.Say("outcome." + strings.ReplaceAll(o.String(), " ", "-"))
}

// verdict is what would have become of the message.
func (r *Report) verdict(l words.Lang) string {
	what := l.Say("reflect.would."+r.Verdict.Action.String(), r.Level)
	if r.Verdict.Check != "" {
		what += " " + l.Say("reflect.because", r.Verdict.Check)
	}
	if r.Verdict.Label != "" {
		what += " " + l.Say("reflect.label", r.Verdict.Label)
	}
	if r.Verdict.Greylist != "" {
		what += " " + l.Say("reflect.greylist", r.Verdict.Greylist)
	}
	return what
}

// findings tells each that is no pass, the gravest first, with its mend.
func (r *Report) findings(p *page) {
	p.head("reflect.findings")
	list := slices.Clone(r.Findings.Others)
	slices.SortStableFunc(list, func(a, b finding.Finding) int { return weight(b) - weight(a) })
	told := 0
	for _, f := range list {
		c, ok := finding.Lookup(f.Check)
		if !ok || f.Outcome == finding.Pass {
			continue
		}
		if told++; told > maxFindings {
			p.paragraph(p.lang.Say("trace.more", len(list)-maxFindings))
			break
		}
		r.finding(p, c, f)
	}
	if told == 0 {
		p.paragraph(p.lang.Say("reflect.nothing"))
	}
}

// weight orders findings: what failed by severity, then what could not be verified.
func weight(f finding.Finding) int {
	c, _ := finding.Lookup(f.Check)
	if f.Outcome == finding.Fail {
		return int(c.Severity) + 10
	}
	return int(c.Severity)
}

func (r *Report) finding(p *page, c finding.Check, f finding.Finding) {
	l := p.lang
	x := finding.TextOf(c.ID, string(l))
	p.paragraph(fmt.Sprintf("[%s] %s (%s, %s)", c.ID, x.Title, outcome(l, f.Outcome), l.Say("severity."+c.Severity.String())))
	if c.Disclosure() == finding.ToNobody {
		p.indented(l.Say("reflect.private"))
	} else {
		for _, e := range f.Evidence[:min(len(f.Evidence), maxEvidence)] {
			p.indented(e.What + ": " + cut(e.Seen, maxSeen))
		}
	}
	p.indented(x.Why)
	p.indented(l.Say("why.mend") + " " + x.Them)
	p.indented(l.Say("word.standard") + ": " + c.Standard)
	p.indented(r.Why + string(c.ID))
	p.line("")
}

func joined(ids []finding.ID) string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return strings.Join(out, " ")
}
