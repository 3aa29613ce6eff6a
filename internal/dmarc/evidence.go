package dmarc

import (
	"fmt"
	"strings"
)

// maxEvidence is how much of a stranger's record is shown.
const maxEvidence = 1000

// Facts tells what was seen, in pairs of what and seen, in English: the outcome, the
// policy and where it comes from, each identifier with why it is aligned or not,
// and each name that was asked. Text from the DNS is made printable and cut after
// 1,000 octets.
func (r *Result) Facts() []string {
	f := make([]string, 0, 24)
	add := func(what, seen string) { f = append(f, what, seen) }
	r.verdict(add)
	for i := range r.Others {
		r.Others[i].verdict(add)
	}
	for i := range r.Asked {
		q := &r.Asked[i]
		add(prefix+string(q.Domain), q.seen())
	}
	return f
}

// verdict tells of one author domain.
func (r *Result) verdict(add func(what, seen string)) {
	if r.Author != "" {
		add("author domain", string(r.Author))
	}
	add("result", r.Status.String()+" "+string(r.Reason))
	if r.Record != nil {
		add("record of", string(r.RecordDomain))
		add("record", printable(r.RecordText))
		for _, p := range r.Record.Problems {
			add("problem in the record", printable(p))
		}
	}
	if r.PolicyTag != "" {
		add("policy", r.policyFact())
	}
	if r.NameErr != nil {
		add("existence of the author domain", printable(r.NameErr.Error()))
	}
	for i := range r.Identifiers {
		id := &r.Identifiers[i]
		add(strings.ToUpper(id.Method)+" "+string(id.Domain), r.why(id))
	}
	if r.Record != nil && len(r.Identifiers) == 0 {
		add("identifiers", "neither SPF nor DKIM authenticated any domain")
	}
	if r.Org == "" {
		return
	}
	add("organizational domain", string(r.Org))
	if list := ListedOrganization(r.Author); list != "" && list != r.Org {
		add("by the Public Suffix List", string(list)+": hosts of the old standard (RFC 7489) go by this one")
	}
}

func (r *Result) policyFact() string {
	s := fmt.Sprintf("%s=%v", r.PolicyTag, r.Policy)
	switch {
	case r.PolicyTag == "np":
		s += ": the author domain does not exist"
	case r.PolicyTag == "sp" && r.Record.SP == Unset:
		s = fmt.Sprintf("p=%v, for subdomains too", r.Policy)
	}
	if r.Record.Testing {
		s += "; t=y: one step less is asked for"
	}
	if r.Status == StatusFail {
		s += fmt.Sprintf("; asks for %v", r.Disposition)
	}
	return s
}

// why tells why a domain is aligned with the author domain or not.
func (r *Result) why(id *Identifier) string {
	s := ""
	switch {
	case id.Alignment == AlignmentUnknown:
		s = "not known: the organizational domain could not be found out now"
	case id.Alignment == Aligned && id.Domain == r.Author:
		s = "aligned: it is the author domain"
	case id.Alignment == Aligned:
		s = "aligned: both belong to " + string(id.Org)
	case id.Mode == Strict:
		s = "not aligned: it is not the author domain, and the record asks for the same (a" + id.Method + "=s)"
	case id.Org != "":
		s = "not aligned: it belongs to " + string(id.Org)
	default:
		s = "not aligned: it belongs to another organization"
	}
	if id.TempError {
		s += "; its authentication failed for now"
	}
	return s
}

// seen tells what was found at a name.
func (q *Query) seen() string {
	switch {
	case q.Err != nil:
		return printable(q.Err.Error())
	case q.Count > 1:
		return fmt.Sprintf("%d policy records, so none counts: %s", q.Count, printable(q.Text))
	case q.Record != nil:
		return printable(q.Text)
	}
	return "no policy record"
}

// printable makes a stranger's text fit to be shown.
func printable(s string) string {
	cut := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s[:min(len(s), maxEvidence)])
	if len(s) > maxEvidence {
		cut += "…"
	}
	return cut
}
