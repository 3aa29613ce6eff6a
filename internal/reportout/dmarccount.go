package reportout

import (
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"posta/internal/dkim"
	"posta/internal/dmarc"
	"posta/internal/dmarcreport"
	"posta/internal/mail"
	"posta/internal/spf"
	"posta/internal/store"
	"posta/internal/trace"
)

// Judged is one message of a stranger's as DMARC and we judged it.
type Judged struct {
	At           time.Time
	Source       netip.Addr
	DMARC        dmarc.Result
	SPF          spf.Result
	DKIM         []dkim.Result
	EnvelopeFrom string // domain, "" for the null reverse-path
	EnvelopeTo   string // domain of the first recipient
	Done         mail.Action
	Override     *trace.Override // why a failure does not count
	Report       bool            // it is a report itself
}

// dmarcRow counts messages that are alike.
type dmarcRow struct {
	At     int64              `json:"at"`
	Record string             `json:"record,omitempty"` // of the row that is the domain's policy
	N      int64              `json:"n,omitempty"`
	Row    dmarcreport.Record `json:"row,omitzero"`
}

func (r dmarcRow) until() time.Time { return keepUntil(time.Unix(r.At, 0)) }

func (r dmarcRow) plus(kept []byte) any {
	var old dmarcRow
	if json.Unmarshal(kept, &old) == nil {
		r.N += old.N
	}
	return r
}

// Judged counts a message, if its domain asks for reports. It does not block.
func (r *Reporter) Judged(j Judged) {
	d := &j.DMARC
	if !r.cfg.DMARC || j.Report || d.Record == nil || len(d.Record.RUA) == 0 || len(d.Others) > 0 || r.cfg.Local(string(d.RecordDomain)) {
		return
	}
	if d.Status != dmarc.StatusPass && d.Status != dmarc.StatusFail {
		return // neither the one nor the other: RFC 9990 §3.1 reports outcomes
	}
	at := day(j.At) + "/" + string(d.RecordDomain)
	if len(d.RecordText) <= 900 { // a longer one is nobody's
		r.dmarc.Note(at+"/p", dmarcRow{At: j.At.Unix(), Record: d.RecordText})
		r.countRow(at, dmarcRow{At: j.At.Unix(), N: 1, Row: j.record()})
	}
}

// around is the room that a row needs beside its messages' record.
const around = 80

// countRow counts a message under what it was like. Of a row that would not fit less is
// told: what is left out is told apart by nobody.
func (r *Reporter) countRow(at string, row dmarcRow) {
	id, err := json.Marshal(row.Row)
	if err == nil && len(id) > store.MaxFactValue-around {
		row.Row.DKIMAuth = row.Row.DKIMAuth[:min(1, len(row.Row.DKIMAuth))]
		id, err = json.Marshal(row.Row)
	}
	if err == nil && len(id) <= store.MaxFactValue-around {
		r.dmarc.Note(at+"/r/"+digest(string(id)), row)
	}
}

const maxSignatures = 4 // of one row

// record is the row of a message (RFC 9990 §3.1.1.6 to §3.1.1.11).
func (j *Judged) record() dmarcreport.Record {
	d := &j.DMARC
	out := dmarcreport.Record{
		Source: j.Source.Unmap(), Disposition: j.disposition(), DKIM: word(d.DKIMAligned), SPF: word(d.SPFAligned),
		HeaderFrom: string(d.Author), EnvFrom: text(strings.ToLower(j.EnvelopeFrom), 200), EnvTo: text(j.EnvelopeTo, 100),
	}
	switch {
	case j.Override != nil:
		out.Reasons = []dmarcreport.Reason{{Type: j.Override.Type, Comment: text(j.Override.Comment, 100)}}
	case d.Status == dmarc.StatusFail && d.Record.Testing && d.Policy > dmarc.None:
		out.Reasons = []dmarcreport.Reason{{Type: "policy_test_mode"}}
	case d.Status == dmarc.StatusFail && out.Disposition != asked(d.Disposition):
		out.Reasons = []dmarcreport.Reason{{Type: "local_policy"}}
	}
	for i := range j.DKIM[:min(len(j.DKIM), maxSignatures)] {
		s := &j.DKIM[i]
		out.DKIMAuth = append(out.DKIMAuth, dmarcreport.DKIMResult{Domain: text(s.SDID, 100), Selector: text(s.Selector, 63), Result: s.Status.String()})
	}
	scope := "mfrom"
	if j.EnvelopeFrom == "" {
		scope = "helo"
	}
	if j.SPF.Domain != "" {
		out.SPFAuth = []dmarcreport.SPFResult{{Domain: text(j.SPF.Domain, 100), Scope: scope, Result: j.SPF.Status.String()}}
	}
	return out
}

// disposition is what was done for the sake of DMARC.
func (j *Judged) disposition() string {
	if j.DMARC.Status == dmarc.StatusPass {
		if j.DMARC.Policy > dmarc.None {
			return dmarcreport.Pass
		}
		return dmarcreport.None
	}
	switch {
	case j.DMARC.Disposition <= dmarc.None || j.Override != nil:
		return dmarcreport.None // whatever was done had another reason
	case j.Done == mail.Reject:
		return dmarcreport.Reject
	case j.Done == mail.Junk || j.Done == mail.Quarantine:
		return dmarcreport.Quarantine
	}
	return dmarcreport.None
}

func asked(p dmarc.Policy) string {
	if p <= dmarc.None {
		return dmarcreport.None
	}
	return p.String()
}

func word(pass bool) string {
	if pass {
		return dmarcreport.Pass
	}
	return dmarcreport.Fail
}

// published is the policy as a report repeats it (RFC 9990 §3.1.1.4).
func published(domain, record string) (dmarcreport.Published, *dmarc.Record, bool) {
	r, err := dmarc.Parse(record)
	if err != nil {
		return dmarcreport.Published{}, nil, false
	}
	p := dmarcreport.Published{
		Domain: domain, Policy: asked(r.P), Sub: r.SP.String(), Absent: r.NP.String(), ADKIM: r.ADKIM.String(), ASPF: r.ASPF.String(),
		Testing: "n", FO: r.FO, Discovery: "treewalk",
	}
	if r.Testing {
		p.Testing = "y"
	}
	return p, r, true
}

// withLimits gives the URIs of a record with the size limits that stand behind them in its
// text ("mailto:a@example.org!10m"): RFC 9990 has them no more, and who writes one still
// means it.
func withLimits(record string, rua []string) []string {
	limits := map[string]string{}
	for field := range strings.SplitSeq(record, ";") {
		name, value, _ := strings.Cut(field, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "rua") {
			continue
		}
		for item := range strings.SplitSeq(value, ",") {
			if uri, size, limited := strings.Cut(strings.TrimSpace(item), "!"); limited {
				limits[uri] = "!" + size
			}
		}
	}
	out := make([]string, len(rua))
	for i, uri := range rua {
		out[i] = uri + limits[uri]
	}
	return out
}
