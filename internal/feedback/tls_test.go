package feedback

import (
	"fmt"
	"testing"
	"time"

	"posta/internal/store"
	"posta/internal/tlsrpt"
)

// said is what a TLS advice says.
func said(a *TLSAdvice) string {
	out := fmt.Sprintf("ready %t, %d days, %d sessions, %d failed, %d explained\n", a.Ready, a.Days, a.Sessions, a.Failed, a.Explained)
	for _, b := range a.Blockers {
		out += fmt.Sprintln(b.ID, b.Args)
	}
	return out
}

// tlsDay is a report of one day: 100 sessions under a policy, some of which failed.
type tlsDay struct {
	org      string
	day      int
	kind     string // of the policy; "" is sts
	unproved bool
	summary  int64 // failed in all
	details  []tlsrpt.Detail
}

func (d *tlsDay) add(t *testing.T, st *memory, now time.Time) {
	t.Helper()
	if d.kind == "" {
		d.kind = tlsrpt.TypeSTS
	}
	begin := now.AddDate(0, 0, -d.day).Truncate(24 * time.Hour)
	r := &tlsrpt.Report{Org: d.org, ReportID: fmt.Sprint(d.org, d.day, d.kind), Begin: begin, End: begin.Add(24*time.Hour - time.Second),
		Policies: []tlsrpt.PolicyResult{{Policy: tlsrpt.Policy{Type: d.kind, Domain: "example.org"}, Succeeded: 100 - d.summary, Failed: d.summary, Details: d.details}}}
	for _, rep := range FillTLS(store.Report{Received: now, Sender: "tls@" + d.org, Proved: !d.unproved}, r) {
		if err := st.AddReport(t.Context(), &rep, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// When may MTA-STS be enforced: enough days, enough large reporters, and no failure that
// would have been a lost message.
func TestAdviseTLS(t *testing.T) {
	now := time.Date(2026, 12, 1, 6, 0, 0, 0, time.UTC)
	quiet := func(days int, orgs ...string) (out []tlsDay) {
		for d := range days {
			for _, org := range orgs {
				out = append(out, tlsDay{org: org, day: d + 1})
			}
		}
		return out
	}
	failed := func(n int64, kind string) []tlsrpt.Detail {
		return []tlsrpt.Detail{{Type: kind, MXHostname: "mx.example.org", Failed: n}}
	}
	good := quiet(14, "Google Inc.", "Microsoft Corporation")
	for _, c := range []struct {
		what, mode string
		days       []tlsDay
		want       string
	}{
		{"all is well", "testing", good, "ready true, 14 days, 2800 sessions, 0 failed, 0 explained\n"},
		{"a day too few", "testing", quiet(13, "Google Inc.", "Microsoft Corporation"), "ready false, 13 days, 2600 sessions, 0 failed, 0 explained\ntls-days [13 14]\n"},
		{"one large, one small", "testing", quiet(14, "Google Inc.", "small.example"), "ready false, 14 days, 2800 sessions, 0 failed, 0 explained\ntls-reporters [1 2]\n"},
		{"nobody", "testing", nil, "ready false, 0 days, 0 sessions, 0 failed, 0 explained\ntls-days [0 14]\ntls-reporters [0 2]\n"},
		{"older than four weeks", "testing", []tlsDay{{org: "Google Inc.", day: 40, summary: 5}}, "ready false, 0 days, 0 sessions, 0 failed, 0 explained\ntls-days [0 14]\ntls-reporters [0 2]\n"},
		{"a certificate that expired", "testing", append(quiet(14, "Google Inc.", "Microsoft Corporation"), tlsDay{org: "Google Inc.", day: 15, summary: 5, details: failed(5, "certificate-expired")}),
			"ready false, 15 days, 2900 sessions, 5 failed, 0 explained\ntls-failure [5 certificate-expired mx.example.org]\n"},
		{"failures that nobody explains", "testing", append(quiet(14, "Google Inc.", "Microsoft Corporation"), tlsDay{org: "Yahoo", day: 15, summary: 5, details: failed(2, "starttls-not-supported")}),
			"ready false, 15 days, 2900 sessions, 5 failed, 0 explained\ntls-failure [3 Yahoo]\ntls-failure [2 starttls-not-supported mx.example.org]\n"},
		{"a policy that could not be fetched loses nothing", "testing", append(quiet(14, "Google Inc.", "Microsoft Corporation"), tlsDay{org: "Google Inc.", day: 15, summary: 5, details: failed(5, "sts-policy-fetch-error")}),
			"ready true, 15 days, 2900 sessions, 0 failed, 5 explained\n"},
		{"details that claim more than there was", "testing", append(quiet(14, "Google Inc.", "Microsoft Corporation"), tlsDay{org: "Google Inc.", day: 15, summary: 5, details: failed(1<<40, "sts-policy-fetch-error")}),
			"ready true, 15 days, 2900 sessions, 0 failed, 5 explained\n"},
		{"of DANE alone", "testing", []tlsDay{{org: "Google Inc.", day: 1, kind: tlsrpt.TypeTLSA, summary: 5}}, "ready false, 0 days, 0 sessions, 0 failed, 0 explained\ntls-days [0 14]\ntls-reporters [0 2]\n"},
		{"written by anybody", "testing", append(quiet(14, "Google Inc.", "Microsoft Corporation"), tlsDay{org: "Yahoo", day: 1, unproved: true, summary: 90, details: failed(90, "certificate-expired")}),
			"ready true, 14 days, 2800 sessions, 0 failed, 0 explained\n"},
		{"enforced already", "enforce", nil, "ready false, 0 days, 0 sessions, 0 failed, 0 explained\n"},
	} {
		st := newMemory()
		for i := range c.days {
			c.days[i].add(t, st, now)
		}
		a, err := AdviseTLS(t.Context(), st, Query{Domain: "example.org", Now: now}, c.mode)
		if err != nil || said(a) != c.want {
			t.Errorf("%s: %v\n%s", c.what, err, said(a))
		}
	}
}
