// Package tlsrpt reads and writes SMTP TLS reports (RFC 8460 §4): JSON bytes to values and
// back. Reading is tolerant of what reporters send (a policy-string that is no list,
// counts as text, dates in other forms) and strict about cost: [MaxBytes] of JSON,
// [MaxPolicies], [MaxDetails] of each.
package tlsrpt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Bounds of a report. One that is larger is refused, one with more policies or
// details is cut.
const (
	MaxBytes    = 8 << 20
	MaxPolicies = 1000
	MaxDetails  = 1000
	maxText     = 500
)

// Errors of Parse. A read error of the bytes themselves is returned as it is.
var (
	ErrNotReport = errors.New("tlsrpt: not a TLS report")
	ErrLimit     = errors.New("tlsrpt: over budget")
)

// Types of policies (RFC 8460 §4.2).
const (
	TypeTLSA     = "tlsa"
	TypeSTS      = "sts"
	TypeNoPolicy = "no-policy-found"
)

// Report is one report (RFC 8460 §4.4).
type Report struct {
	Org        string
	Begin, End time.Time // UTC; zero if unreadable
	Contact    string
	ReportID   string
	Policies   []PolicyResult
}

// PolicyResult is how the sessions under one policy went.
type PolicyResult struct {
	Policy    Policy
	Succeeded int64 // sessions
	Failed    int64
	Details   []Detail
}

// Policy is what the sender applied.
type Policy struct {
	Type   string   // "tlsa", "sts", "no-policy-found"; lower case
	Text   []string // the lines of the MTA-STS policy, or the TLSA records
	Domain string   // lower case
	MXHost []string
}

// Detail is one kind of failure (RFC 8460 §4.3).
type Detail struct {
	Type        string // starttls-not-supported, certificate-expired…; lower case
	SendingIP   string // of the sending MTA
	MXHostname  string
	MXHelo      string
	ReceivingIP string
	Failed      int64 // sessions
	Info        string
	Reason      string // failure-reason-code
}

// The form on the wire.
type reportForm struct {
	Org      text         `json:"organization-name"`
	Range    rangeForm    `json:"date-range"`
	Contact  text         `json:"contact-info,omitempty"`
	ID       text         `json:"report-id"`
	Policies []resultForm `json:"policies"`
}

type rangeForm struct {
	Begin text `json:"start-datetime"`
	End   text `json:"end-datetime"`
}

type resultForm struct {
	Policy  policyForm   `json:"policy"`
	Summary summaryForm  `json:"summary"`
	Details []detailForm `json:"failure-details,omitempty"`
}

type policyForm struct {
	Type   text  `json:"policy-type"`
	Text   texts `json:"policy-string,omitempty"`
	Domain text  `json:"policy-domain"`
	MXHost texts `json:"mx-host,omitempty"`
}

type summaryForm struct {
	Succeeded count `json:"total-successful-session-count"`
	Failed    count `json:"total-failure-session-count"`
}

type detailForm struct {
	Type        text  `json:"result-type"`
	SendingIP   text  `json:"sending-mta-ip,omitempty"`
	MXHostname  text  `json:"receiving-mx-hostname,omitempty"`
	MXHelo      text  `json:"receiving-mx-helo,omitempty"`
	ReceivingIP text  `json:"receiving-ip,omitempty"`
	Failed      count `json:"failed-session-count"`
	Info        text  `json:"additional-information,omitempty"`
	Reason      text  `json:"failure-reason-code,omitempty"`
}

// text is a string, or whatever else stands in its place.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = strings.Trim(string(b), `"`)
		if s == "null" {
			s = ""
		}
	}
	*t = text(clip(s))
	return nil
}

// texts is a list, or one string for it.
type texts []string

func (t *texts) UnmarshalJSON(b []byte) error {
	var list []text
	if json.Unmarshal(b, &list) != nil {
		var one text
		_ = one.UnmarshalJSON(b) // takes everything
		list = []text{one}
	}
	for _, s := range list[:min(len(list), 100)] {
		if s != "" {
			*t = append(*t, string(s))
		}
	}
	return nil
}

// count is a number, or one as text; anything else is 0.
type count int64

func (c *count) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		n = 0
	}
	*c = count(n)
	return nil
}

func clip(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}

// Parse reads a report. Errors wrap ErrNotReport or ErrLimit, or are r's.
func Parse(r io.Reader) (*Report, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: more than %d octets", ErrLimit, MaxBytes)
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	var f reportForm
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotReport, err)
	}
	if f.Policies == nil {
		return nil, fmt.Errorf("%w: it has no policies", ErrNotReport)
	}
	out := &Report{Org: string(f.Org), Contact: string(f.Contact), ReportID: string(f.ID), Begin: date(string(f.Range.Begin)), End: date(string(f.Range.End))}
	for _, p := range f.Policies[:min(len(f.Policies), MaxPolicies)] {
		out.Policies = append(out.Policies, p.value())
	}
	return out, nil
}

func (f *resultForm) value() PolicyResult {
	p := PolicyResult{
		Policy:    Policy{Type: strings.ToLower(string(f.Policy.Type)), Text: f.Policy.Text, Domain: domain(string(f.Policy.Domain)), MXHost: f.Policy.MXHost},
		Succeeded: int64(f.Summary.Succeeded), Failed: int64(f.Summary.Failed),
	}
	for _, d := range f.Details[:min(len(f.Details), MaxDetails)] {
		p.Details = append(p.Details, Detail{
			Type: strings.ToLower(string(d.Type)), SendingIP: string(d.SendingIP), MXHostname: domain(string(d.MXHostname)), MXHelo: string(d.MXHelo),
			ReceivingIP: string(d.ReceivingIP), Failed: int64(d.Failed), Info: string(d.Info), Reason: string(d.Reason),
		})
	}
	return p
}

func domain(s string) string { return strings.ToLower(strings.Trim(s, ". ")) }

// date reads RFC 3339 (RFC 8460 §4.4), and what is written for it.
func date(s string) time.Time {
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(form, s); err == nil && t.Year() > 1970 && t.Year() < 5000 {
			return t.UTC().Truncate(time.Second)
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 && n < 1e11 {
		return time.Unix(n, 0).UTC()
	}
	return time.Time{}
}

// AppendJSON writes the report as RFC 8460 §4.4 wants it, on one line.
func (r *Report) AppendJSON(b []byte) ([]byte, error) {
	f := reportForm{
		Org: text(r.Org), Contact: text(r.Contact), ID: text(r.ReportID), Policies: []resultForm{},
		Range: rangeForm{text(r.Begin.UTC().Format(time.RFC3339)), text(r.End.UTC().Format(time.RFC3339))},
	}
	for _, p := range r.Policies {
		x := resultForm{
			Policy:  policyForm{text(p.Policy.Type), p.Policy.Text, text(p.Policy.Domain), p.Policy.MXHost},
			Summary: summaryForm{count(p.Succeeded), count(p.Failed)},
		}
		for _, d := range p.Details {
			x.Details = append(x.Details, detailForm{
				text(d.Type), text(d.SendingIP), text(d.MXHostname), text(d.MXHelo), text(d.ReceivingIP), count(d.Failed), text(d.Info), text(d.Reason),
			})
		}
		f.Policies = append(f.Policies, x)
	}
	j, err := json.Marshal(&f)
	return append(b, j...), err
}

// Filename is what the file of a report is called (RFC 8460 §5.1), with the extension
// that follows: "json.gz".
func Filename(sender, domain string, begin, end time.Time, unique, extension string) string {
	if unique != "" {
		unique = "!" + unique
	}
	return fmt.Sprintf("%s!%s!%d!%d%s.%s", sender, domain, begin.Unix(), end.Unix(), unique, extension)
}

// Subject is the one of a report's message (RFC 8460 §5.3).
func Subject(domain, submitter, reportID string) string {
	return "Report Domain: " + domain + " Submitter: " + submitter + " Report-ID: <" + strings.Trim(reportID, "<>") + ">"
}
