package command

import (
	"cmp"
	"context"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/arf"
	"posta/internal/destination"
	"posta/internal/dmarcreport"
	"posta/internal/feedback"
	"posta/internal/finding"
	"posta/internal/store"
	"posta/internal/tlsrpt"
)

// ReportQuery selects what is told of the reports of others about our mail. The zero
// value: of all our domains, the last 30 days.
type ReportQuery struct {
	Domain string `json:"domain,omitempty"`
	Days   int    `json:"days,omitempty"` // today is one; 0 means 30, at most 400
	Kind   string `json:"kind,omitempty"` // dmarc, tls, complaint, failure; "" all
}

// Report is one report that arrived.
type Report struct {
	ID       string              `json:"id"`
	Kind     string              `json:"kind"`
	Domain   string              `json:"domain"`
	Org      string              `json:"org"`
	Name     string              `json:"report_id"`
	Begin    time.Time           `json:"begin"`
	End      time.Time           `json:"end"`
	Received time.Time           `json:"received"`
	Message  string              `json:"message"` // id of the trace of the message that it came in
	Sender   string              `json:"sender"`
	Proved   bool                `json:"proved"` // the author's domain passed DMARC
	Messages int64               `json:"messages"`
	Failed   int64               `json:"failed"`
	Policy   string              `json:"policy,omitempty"`
	Account  string              `json:"account,omitempty"`
	List     string              `json:"list,omitempty"`
	DMARC    *dmarcreport.Report `json:"dmarc,omitempty"` // of report.show
	TLS      *tlsrpt.Report      `json:"tls,omitempty"`
	ARF      *arf.Report         `json:"feedback,omitempty"`
	Trace    []string            `json:"trace,omitempty"` // what posta trace finds failing messages of ours by
}

// ReportSources is who sends in a domain's name.
type ReportSources struct {
	Domain  string            `json:"domain"`
	Sources []feedback.Source `json:"sources"`
}

// ReportDecision says what a source is to a domain.
type ReportDecision struct {
	Domain  string `json:"domain"`
	Subject string `json:"subject"` // address, network, or name and all below it
	Class   string `json:"class"`
	Reason  string `json:"reason"`
}

// ReportLists says whether the people of a domain post to mailing lists.
type ReportLists struct {
	Domain string `json:"domain"`
	On     bool   `json:"on"`
}

// Complaints is how often mail of an account or a list was called spam.
type Complaints struct {
	Account    string    `json:"account,omitempty"`
	List       string    `json:"list,omitempty"`
	Complaints int64     `json:"complaints"`
	Sent       int64     `json:"sent"` // by the domain in these days; 0: not known
	Last       time.Time `json:"last"`
	By         []string  `json:"by"` // who sent them
}

var reportCommands = []Command{
	run("report.ls", store.Helpdesk, listReports),
	run("report.show", store.Helpdesk, showReport),
	run("report.view", store.Helpdesk, viewReports),
	run("report.sources", store.Helpdesk, reportSources),
	run("report.advise", store.Helpdesk, adviseReports),
	run("report.alerts", store.Helpdesk, reportAlerts),
	run("report.complaints", store.Helpdesk, reportComplaints),
	run("report.source.set", store.Owner, decideReport),
	run("report.lists", store.Owner, setReportLists),
}

const maxReportDays = 400

var reportKinds = []string{store.DMARCReport: "dmarc", store.TLSReport: "tls", store.FeedbackReport: "complaint", store.FailureReport: "failure"}

// reportQuery reads a query; one demands a domain, which must be ours.
func (h *House) reportQuery(q ReportQuery, one bool) (feedback.Query, error) {
	out := feedback.Query{Domain: strings.ToLower(q.Domain), Days: cmp.Or(q.Days, 30), Now: h.now()}
	if h.OwnIPs != nil {
		out.Own = h.OwnIPs()
	}
	if out.Days < 0 || out.Days > maxReportDays {
		return out, fail(ErrUsage, "error.report.days", q.Days, maxReportDays)
	}
	if q.Domain == "" && !one {
		return out, nil
	}
	d, err := addr.ParseDomain(q.Domain)
	if err != nil {
		return out, fail(ErrUsage, "error.destination.domain", q.Domain, err)
	}
	if out.Domain = string(d); !h.Directory.View().Local(d) {
		return out, fail(ErrMissing, "error.report.domain", q.Domain)
	}
	return out, nil
}

func listReports(ctx context.Context, h *House, _ Principal, q ReportQuery) (any, error) {
	fq, err := h.reportQuery(q, false)
	if err != nil {
		return nil, err
	}
	kind := 0
	if q.Kind != "" {
		if kind = slices.Index(reportKinds, q.Kind); kind <= 0 {
			return nil, fail(ErrUsage, "error.report.kind", q.Kind)
		}
	}
	list, err := h.Store.ListReports(ctx, store.ReportFilter{Kind: store.ReportKind(kind), Domain: fq.Domain, Since: fq.Now.AddDate(0, 0, -fq.Days)})
	out := make([]Report, 0, len(list))
	for i := range list {
		out = append(out, shownReport(&list[i]))
	}
	return out, err
}

func shownReport(r *store.Report) Report {
	kind := ""
	if int(r.Kind) < len(reportKinds) {
		kind = reportKinds[r.Kind]
	}
	return Report{
		ID: hex.EncodeToString(r.ID[:]), Kind: kind, Domain: r.Domain, Org: r.Org, Name: r.Name, Begin: r.Begin, End: r.End, Received: r.Received,
		Message: r.Message.String(), Sender: r.Sender, Proved: r.Proved, Messages: r.Messages, Failed: r.Failed, Policy: r.Policy, Account: r.Account, List: r.List,
	}
}

func showReport(ctx context.Context, h *House, _ Principal, a Name) (any, error) {
	id, err := hex.DecodeString(a.Name)
	if err != nil || len(id) != len(store.ReportID{}) {
		return nil, fail(ErrUsage, "error.report.id", a.Name)
	}
	list, err := h.Store.ListReports(ctx, store.ReportFilter{ID: store.ReportID(id)})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fail(ErrMissing, "error.report.missing", a.Name)
	}
	r := &list[0]
	out := shownReport(r)
	switch r.Kind {
	case store.DMARCReport:
		if out.DMARC = (&dmarcreport.Report{}); !feedback.Unpack(r.Data, out.DMARC) {
			out.DMARC = nil
		}
		out.Trace = h.traceable(out.DMARC)
	case store.TLSReport:
		if out.TLS = (&tlsrpt.Report{}); !feedback.Unpack(r.Data, out.TLS) {
			out.TLS = nil
		}
	default:
		if out.ARF = (&arf.Report{}); !feedback.Unpack(r.Data, out.ARF) {
			out.ARF = nil
		}
		if out.ARF != nil && out.ARF.Original.MessageID != "" {
			out.Trace = []string{out.ARF.Original.MessageID}
		}
	}
	return out, nil
}

// traceable is where to look for messages of ours that failed: the domains that they
// went to.
func (h *House) traceable(r *dmarcreport.Report) (out []string) {
	if r == nil || h.OwnIPs == nil {
		return nil
	}
	own := h.OwnIPs()
	for i := range r.Records {
		x := &r.Records[i]
		if !x.Aligned() && slices.Contains(own, x.Source) {
			if to := cmp.Or(x.EnvTo, r.Metadata.Org); !slices.Contains(out, to) {
				out = append(out, to)
			}
		}
	}
	return out
}

func viewReports(ctx context.Context, h *House, _ Principal, q ReportQuery) (any, error) {
	fq, err := h.reportQuery(q, true)
	if err != nil {
		return nil, err
	}
	return feedback.View(ctx, h.Store, fq)
}

func reportSources(ctx context.Context, h *House, _ Principal, q ReportQuery) (any, error) {
	fq, err := h.reportQuery(q, true)
	if err != nil {
		return nil, err
	}
	list, err := feedback.Sources(ctx, h.Store, fq)
	return ReportSources{fq.Domain, list}, err
}

// listsSetting is the directory's setting that tells whether people of a domain post to
// lists: "no", or "" for yes, where it has people.
const listsSetting = "report.lists."

func adviseReports(ctx context.Context, h *House, _ Principal, q ReportQuery) (any, error) {
	fq, err := h.reportQuery(ReportQuery{Domain: q.Domain}, true)
	if err != nil {
		return nil, err
	}
	if h.Published == nil {
		return nil, fail(ErrLater, "error.report.offline")
	}
	record, err := h.Published(ctx, fq.Domain)
	if err != nil {
		return nil, fail(ErrLater, "error.report.record", fq.Domain, err)
	}
	e, err := feedback.Gather(ctx, h.Store, fq, record)
	if err != nil {
		return nil, err
	}
	view := h.Directory.View()
	people := false
	for a := range view.Accounts() {
		people = people || strings.HasSuffix(a.Login, "@"+fq.Domain)
	}
	e.Lists = people && view.Setting(listsSetting+fq.Domain) != "no"
	e.Parked = !people && e.Overview.Sent == 0 && e.Overview.Aligned == 0
	if h.Self != nil {
		for _, f := range h.Self() {
			if s := f.Check.Section(); (s == "spf" || s == "dkim") && f.Outcome == finding.Fail {
				e.Problems = append(e.Problems, string(f.Check))
			}
		}
	}
	if e.Refused, err = h.refusedFor(ctx, fq.Now); err != nil {
		return nil, err
	}
	a := feedback.Advise(e)
	sts, err := STSOf(view.Setting(STSSetting(fq.Domain)))
	if err != nil {
		return nil, err
	}
	a.TLS, err = feedback.AdviseTLS(ctx, h.Store, fq, sts.Mode)
	return a, err
}

// refusedFor is where our mail was refused or put off in the last two weeks because of SPF,
// DKIM or DMARC. It is of the whole house: providers do not say of which domain they speak.
func (h *House) refusedFor(ctx context.Context, now time.Time) (out []feedback.Refusal, err error) {
	const days = 14
	list, _, err := destination.List(ctx, h.Store, now, days, "")
	if err != nil {
		return nil, err
	}
	for i := range list {
		for _, c := range list[i].Troubles {
			switch c.Reading.Check.Section() {
			case "spf", "dkim", "dmarc":
				out = append(out, feedback.Refusal{Domain: list[i].Domain, Check: c.Reading.Check, Code: c.Reading.Code, Times: c.N})
			}
		}
	}
	return out, nil
}

// observed tells of each domain of ours whether others have seen its mail pass.
func (h *House) observed(ctx context.Context) (out []finding.Finding, err error) {
	q := feedback.Query{Now: h.now()}
	if h.OwnIPs != nil {
		q.Own = h.OwnIPs()
	}
	for _, q.Domain = range h.Directory.View().Domains() {
		f, err := feedback.Observed(ctx, h.Store, q)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func reportAlerts(ctx context.Context, h *House, _ Principal, q ReportQuery) (any, error) {
	fq, err := h.reportQuery(q, false)
	if err != nil {
		return nil, err
	}
	list, err := h.Store.ReportAlerts(ctx, fq.Domain, fq.Now.AddDate(0, 0, -fq.Days))
	if list == nil {
		list = []store.ReportAlert{}
	}
	return list, err
}

func reportComplaints(ctx context.Context, h *House, _ Principal, q ReportQuery) (any, error) {
	fq, err := h.reportQuery(q, false)
	if err != nil {
		return nil, err
	}
	list, err := h.Store.ListReports(ctx, store.ReportFilter{Kind: store.FeedbackReport, Domain: fq.Domain, Since: fq.Now.AddDate(0, 0, -fq.Days), Limit: 10_000})
	if err != nil {
		return nil, err
	}
	out := []Complaints{}
	domains := map[string]int64{}
	for i := range list {
		r := &list[i]
		j := slices.IndexFunc(out, func(c Complaints) bool { return c.Account == r.Account && c.List == r.List })
		if j < 0 {
			if _, ok := domains[r.Domain]; !ok {
				sent, err := feedback.SentOf(ctx, h.Store, r.Domain, fq.Now, fq.Days)
				if err != nil {
					return nil, err
				}
				for _, s := range sent {
					domains[r.Domain] += s.Count
				}
			}
			j, out = len(out), append(out, Complaints{Account: r.Account, List: r.List, Last: r.Received, Sent: domains[r.Domain]})
		}
		c := &out[j]
		c.Complaints += r.Messages
		if r.Received.After(c.Last) {
			c.Last = r.Received
		}
		if len(c.By) < 10 && !slices.Contains(c.By, r.Org) {
			c.By = append(c.By, r.Org)
		}
	}
	slices.SortStableFunc(out, func(a, b Complaints) int { return cmp.Compare(b.Complaints, a.Complaints) })
	return out, nil
}

func decideReport(ctx context.Context, h *House, p Principal, a ReportDecision) (any, error) {
	fq, err := h.reportQuery(ReportQuery{Domain: a.Domain}, true)
	if err != nil {
		return nil, err
	}
	classes := []string{feedback.DecideMine, feedback.DecideVendor, feedback.DecideForwarder, feedback.DecideSpoof}
	if !slices.Contains(classes, a.Class) {
		return nil, fail(ErrUsage, "error.report.class", a.Class, strings.Join(classes, ", "))
	}
	if strings.TrimSpace(a.Reason) == "" || len(a.Reason) > 500 {
		return nil, fail(ErrUsage, "error.report.reason")
	}
	subject := strings.ToLower(strings.Trim(a.Subject, ". "))
	if !sourceSubject(subject) {
		return nil, fail(ErrUsage, "error.report.subject", a.Subject)
	}
	d := store.ReportDecision{At: h.now(), Domain: fq.Domain, Subject: subject, Class: a.Class, Reason: a.Reason, Actor: p.Name}
	return d, h.Store.DecideReport(ctx, d, store.Audit{
		At: d.At, Principal: p.Name, Tenant: p.Tenant, Command: "report.source.set", Object: fq.Domain + " " + subject, After: asJSON(a),
	})
}

func sourceSubject(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if _, err := netip.ParsePrefix(s); err == nil {
		return true
	}
	_, err := addr.ParseDomain(s)
	return err == nil
}

func setReportLists(ctx context.Context, h *House, p Principal, a ReportLists) (any, error) {
	fq, err := h.reportQuery(ReportQuery{Domain: a.Domain}, true)
	if err != nil {
		return nil, err
	}
	key := listsSetting + fq.Domain
	err = h.change(ctx, p, "report.lists", key, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		before, after := v.Settings[key], ""
		if !a.On {
			after = "no"
		}
		return before, after, tx.PutSetting(key, after)
	})
	return a, err
}
