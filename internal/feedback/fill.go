package feedback

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/klauspost/compress/s2"

	"posta/internal/arf"
	"posta/internal/dmarcreport"
	"posta/internal/store"
	"posta/internal/tlsrpt"
)

const daySeconds = 24 * 60 * 60

// maxDetail is how many records of a report are kept whole; all of them count.
const maxDetail = 5000

// maxTold bounds what a stranger calls himself, in octets.
const maxTold = 200

func told(s string) string {
	if len(s) > maxTold {
		s = strings.ToValidUTF8(s[:maxTold], "")
	}
	return strings.ReplaceAll(s, "\x00", "")
}

// FillDMARC makes the report and its rows of what was read. What r says of the message
// it came in stays.
func FillDMARC(r *store.Report, d *dmarcreport.Report) []store.ReportRow {
	m := &d.Metadata
	r.Kind, r.Domain, r.Org, r.Name = store.DMARCReport, d.Published.Domain, told(cmp.Or(m.Org, domainOf(m.Email), domainOf(r.Sender))), told(m.ReportID)
	r.Begin, r.End = m.Begin, m.End
	if r.Begin.IsZero() {
		r.Begin, r.End = r.Received, r.Received
	}
	r.Policy = policyText(&d.Published)
	if r.Domain == "" && len(d.Records) > 0 {
		r.Domain = d.Records[0].HeaderFrom
	}
	if r.Name == "" { // a report without an id is known by its time
		r.Name = r.Begin.Format("20060102150405")
	}
	r.ID = store.NewReportID(r.Kind, r.Domain, r.Org, r.Name, by(r))
	day := int32(r.Begin.Unix() / daySeconds)
	rows := make([]store.ReportRow, 0, len(d.Records))
	for i := range d.Records {
		x := &d.Records[i]
		r.Messages += x.Count
		if !x.Aligned() {
			r.Failed += x.Count
		}
		rows = append(rows, store.ReportRow{
			Day: day, Source: x.Source, Count: x.Count, DKIM: x.DKIM == dmarcreport.Pass, SPF: x.SPF == dmarcreport.Pass,
			Forwarded: forwarded(x.Reasons), Disposition: disposition(x.Disposition),
		})
	}
	short := *d
	short.Records = short.Records[:min(len(short.Records), maxDetail)]
	r.Data = pack(&short)
	return rows
}

func policyText(p *dmarcreport.Published) string {
	out := ""
	for _, t := range [][2]string{{"p", p.Policy}, {"sp", p.Sub}, {"np", p.Absent}, {"t", p.Testing}, {"adkim", p.ADKIM}, {"aspf", p.ASPF}} {
		if t[1] != "" && !(t[0] == "t" && t[1] == "n") {
			out += "; " + t[0] + "=" + told(t[1])
		}
	}
	return strings.TrimPrefix(out, "; ")
}

func forwarded(reasons []dmarcreport.Reason) bool {
	for _, r := range reasons {
		switch r.Type {
		case "forwarded", "trusted_forwarder", "mailing_list":
			return true
		}
	}
	return false
}

func disposition(word string) store.Disposition {
	switch word {
	case dmarcreport.Quarantine:
		return store.DisposedQuarantine
	case dmarcreport.Reject:
		return store.DisposedReject
	}
	return store.DisposedNone
}

// FillTLS makes a report for each domain that a TLS report is about: their policies may
// be of several.
func FillTLS(base store.Report, t *tlsrpt.Report) []store.Report {
	var out []store.Report
	at := map[string]int{}
	whole := map[string]*tlsrpt.Report{}
	for _, p := range t.Policies {
		d := p.Policy.Domain
		i, ok := at[d]
		if !ok {
			if len(out) >= 100 {
				break
			}
			i, at[d] = len(out), len(out)
			r := base
			r.Kind, r.Domain, r.Org, r.Name, r.Begin, r.End = store.TLSReport, d, told(cmp.Or(t.Org, domainOf(t.Contact), domainOf(base.Sender))), told(t.ReportID), t.Begin, t.End
			if r.Begin.IsZero() || r.End.IsZero() {
				r.Begin, r.End = r.Received, r.Received
			}
			r.ID = store.NewReportID(r.Kind, r.Domain, r.Org, r.Name, by(&r))
			out = append(out, r)
			one := *t
			one.Policies = nil
			whole[d] = &one
		}
		out[i].Messages += p.Succeeded + p.Failed
		out[i].Failed += p.Failed
		if !strings.Contains(out[i].Policy, p.Policy.Type) {
			out[i].Policy = strings.TrimPrefix(out[i].Policy+" "+told(p.Policy.Type), " ")
		}
		whole[d].Policies = append(whole[d].Policies, p)
	}
	for i := range out {
		out[i].Data = pack(whole[out[i].Domain])
	}
	return out
}

// FillFeedback makes a report of a complaint or of a failure. local tells which domains
// are ours. Account is the address that seems to have sent the message.
func FillFeedback(r *store.Report, a *arf.Report, local func(domain string) bool) {
	r.Kind, r.Messages, r.Failed = store.FeedbackReport, a.Incidents, a.Incidents
	if a.Type == arf.AuthFailure {
		r.Kind = store.FailureReport
	}
	from := address(a.Original.From)
	for _, d := range append([]string{domainOf(a.MailFrom), domainOf(from)}, a.Domains...) {
		if r.Domain = d; d != "" && local(d) {
			break
		}
	}
	r.Account, r.List = from, told(a.Original.ListID)
	if a.MailFrom != "" && local(domainOf(a.MailFrom)) {
		r.Account = a.MailFrom
	}
	r.Begin = a.Arrival
	if r.Begin.IsZero() || r.Begin.After(r.Received) {
		r.Begin = r.Received
	}
	r.End = r.Begin
	r.Org = told(cmp.Or(domainOf(r.Sender), a.UserAgent))
	r.Name = told(cmp.Or(a.Original.MessageID, r.Message.String()))
	if len(a.RcptTo) > 0 {
		r.Name += " " + told(a.RcptTo[0])
	}
	r.Policy = told(a.Type)
	r.ID = store.NewReportID(r.Kind, r.Domain, r.Org, r.Name, by(r))
	r.Data = pack(a)
}

// by is the domain that is proved to have sent a report.
func by(r *store.Report) string {
	if !r.Proved {
		return ""
	}
	return domainOf(r.Sender)
}

// address is the part of a From field between the angle brackets, or all of it.
func address(from string) string {
	if i := strings.LastIndexByte(from, '<'); i >= 0 {
		from = from[i+1:]
	}
	return strings.Trim(from, "<> ")
}

func domainOf(address string) string {
	_, d, ok := strings.Cut(address, "@")
	if !ok {
		return ""
	}
	return strings.ToLower(strings.Trim(d, "<>. "))
}

// pack keeps a report whole: JSON, compressed (S2).
func pack(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return nil // strings and numbers: it cannot be
	}
	if out := s2.Encode(nil, b); len(out) <= store.MaxReportData {
		return out
	}
	return nil
}

// Unpack reads Data of a report into the value of its kind: a dmarcreport.Report, a
// tlsrpt.Report or an arf.Report. It reports whether there was one.
func Unpack(data []byte, v any) bool {
	const most = 64 << 20
	if n, err := s2.DecodedLen(data); err != nil || n > most || n == 0 {
		return false
	}
	b, err := s2.Decode(nil, data)
	return err == nil && json.Unmarshal(b, v) == nil
}
