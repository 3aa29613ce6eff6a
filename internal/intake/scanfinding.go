package intake

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/scan"
	"posta/internal/smtp"
	"posta/internal/trace"
)

// refuse notes that a filter does not want the message.
func (t *txScan) refuse(set *finding.Set, r *scan.Result) {
	facts := []string{"filter", r.Name, "asks for", r.Action.String()}
	if !r.Reply.IsZero() {
		facts = append(facts, "says", r.Reply.String())
	} else if r.Reason != "" {
		facts = append(facts, "says", r.Reason)
	}
	set.Add(finding.Of(finding.ScanRefused, finding.Fail, r.Name, facts...))
	if r.Action > t.asks {
		t.asks, t.reply = r.Action, saneReply(r.Reply)
	}
}

// scanDown is the finding that a scanner has no opinion. It fails where the message
// waits for it; where it may pass, it could not be verified.
func scanDown(o finding.Outcome, name string, cause scan.Cause, seen string) finding.Finding {
	return finding.Of(finding.ScanDown, o, name, "scanner", name, "cause", cause.String(), "seen", seen)
}

// maxFilterText bounds the words of a filter in a reply, in octets.
const maxFilterText = 1000

// saneReply makes a filter's reply fit to be said by us: a refusal, with an enhanced
// code of its class, that does not end the connection. Zero: say it in our words.
func saneReply(r smtp.Reply) smtp.Reply {
	if !r.Temporary() && !r.Permanent() || strings.TrimSpace(r.Text) == "" || len(r.Text) > maxFilterText {
		return smtp.Reply{}
	}
	switch r.Code {
	case 421:
		r.Code = 451
	case 521:
		r.Code = 554
	}
	if int(r.Enhanced[0]) != r.Code/100 {
		r.Enhanced = smtp.Enhanced{uint16(r.Code / 100), 7, 1}
	}
	r.Check, r.Link = "", ""
	return r
}

// filterReply is what the client reads of a filter's refusal, in the filter's words
// if they fit what is done.
func (in *Intake) filterReply(id mail.ID, action mail.Action, words smtp.Reply, subject string) *smtp.Reply {
	if words.Temporary() != (action == mail.Defer) || words.IsZero() {
		return in.verdictReply(id, mail.Verdict{Action: action, Check: string(finding.ScanRefused)}, &finding.Set{}, subject)
	}
	if subject != "" {
		words.Text = subject + ": " + words.Text
	}
	words = words.WithCheck(string(finding.ScanRefused), in.cfg.WhyURL+id.String())
	return &words
}

// verdictReply is the reply of a verdict, a filter's in the filter's words.
func (tx *transaction) verdictReply(in *Intake, id mail.ID, v mail.Verdict, set *finding.Set, subject string) *smtp.Reply {
	if tx.scan != nil && v.Check == string(finding.ScanRefused) {
		return in.filterReply(id, v.Action, tx.scan.reply, subject)
	}
	return in.verdictReply(id, v, set, subject)
}

// take keeps what every scanner said.
func (t *txScan) take(ctx context.Context, k *sink, o *scan.Outcome, set *finding.Set) {
	for i := range o.Results {
		r := &o.Results[i]
		t.results = append(t.results, scanTrace(r))
		if r.Greylist {
			t.greylist = true
			k.tx.noteFact("a scanner would like it to come again later", fmt.Sprintf("%s: score %g of %g", r.Name, r.Score, r.Required))
		}
		switch {
		case r.Cause != scan.NoCause:
			if r.Cause != scan.Resting {
				k.s.in.cfg.Log.WarnContext(ctx, "scanner", "id", k.env.ID.String(), "name", r.Name, "cause", r.Cause.String(), "err", r.Err)
			}
			k.s.filters.stale = k.s.filters.stale || r.Kind == "milter"
			outcome := finding.Unverified
			if r.Action == mail.Defer {
				outcome = finding.Fail
			}
			addOnce(set, scanDown(outcome, r.Name, r.Cause, r.Reason))
		default:
			t.opinion(set, r)
		}
	}
	t.fates = o.Rcpt
}

// opinion turns what a scanner that answered said into findings.
func (t *txScan) opinion(set *finding.Set, r *scan.Result) {
	check := finding.ScanRefused
	if r.Kind == "clamav" {
		check = finding.ScanVirus
	}
	switch {
	case r.Action == mail.Accept:
		set.Add(finding.Finding{Check: check, Outcome: finding.Pass})
	case r.Kind == "clamav":
		set.Add(finding.Of(finding.ScanVirus, finding.Fail, r.Reason, "scanner", r.Name, "found", r.Reason))
	case r.Action == mail.Junk:
		facts := []string{"scanner", r.Name, "score", fmt.Sprintf("%g of %g", r.Score, r.Required)}
		for _, s := range symbolTexts(r) {
			facts = append(facts, "symbol", s)
		}
		set.Add(finding.Of(finding.SpamScore, finding.Fail, r.Name, facts...))
	default:
		if f, ok := set.Find(finding.ScanRefused); ok && f.Subject == r.Name {
			return // it said so before the message came
		}
		t.refuse(set, r)
	}
	set.Add(finding.Finding{Check: finding.ScanDown, Outcome: finding.Pass})
}

// addOnce adds a finding unless the same is there: a milter that failed before the
// message fails after it too.
func addOnce(set *finding.Set, f finding.Finding) {
	if !slices.ContainsFunc(set.Others, func(o finding.Finding) bool { return o.Check == f.Check && o.Subject == f.Subject }) {
		set.Add(f)
	}
}

// What of a report stands in traces and findings.
const (
	maxSymbolTexts = 20
	maxEditTexts   = 50
	maxEditText    = 200
)

// symbolTexts are the reasons of a score, the heaviest first.
func symbolTexts(r *scan.Result) []string {
	var out []string
	for _, s := range r.Symbols[:min(len(r.Symbols), maxSymbolTexts)] {
		out = append(out, s.Name+" "+strconv.FormatFloat(s.Score, 'g', -1, 64))
	}
	return out
}

// scanTrace is a result as the trace keeps it.
func scanTrace(r *scan.Result) trace.Scan {
	t := trace.Scan{
		Name: r.Name, Action: r.Action.String(), Cause: r.Cause.String(), Reason: r.Reason, Score: r.Score, Required: r.Required,
		Greylist: r.Greylist, Symbols: symbolTexts(r), Millis: r.Duration.Milliseconds(),
	}
	if !r.Reply.IsZero() {
		t.Reply = r.Reply.String()
		t.Reply = t.Reply[:min(len(t.Reply), maxFilterText)]
	}
	for _, e := range r.Edits[:min(len(r.Edits), maxEditTexts)] {
		text := e.String()
		t.Edits = append(t.Edits, strings.ToValidUTF8(text[:min(len(text), maxEditText)], "?"))
	}
	if more := len(r.Edits) - maxEditTexts; more > 0 {
		t.Edits = append(t.Edits, fmt.Sprintf("and %d more", more))
	}
	return t
}

// note adds to what the trace says of the member that changed something.
func (t *txScan) note(format string, args ...any) {
	last := &t.results[len(t.results)-1]
	last.Edits = append(last.Edits, fmt.Sprintf(format, args...))
}

// traceScan tells the record what scanners said.
func (tx *transaction) traceScan(r *trace.Record) {
	if tx.scan == nil {
		return
	}
	if r.Scans = tx.scan.results; tx.scan.asks != mail.Accept {
		r.Filter = tx.scan.asks.String()
	}
}
