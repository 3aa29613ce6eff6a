package feedback

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"posta/internal/finding"
	"posta/internal/store"
)

// Whether others see our mail pass is known from what was sent and what was reported.
func TestObserved(t *testing.T) {
	now := time.Date(2026, 12, 1, 6, 0, 0, 0, time.UTC)
	day := int32(now.Unix()/daySeconds) - 1
	row := func(from netip.Addr, n int64, passes bool) store.ReportRow {
		return store.ReportRow{Day: day, Source: from, Count: n, DKIM: passes}
	}
	for _, c := range []struct {
		what string
		sent int
		own  []netip.Addr
		rows []store.ReportRow
		want finding.Outcome
	}{
		{"nothing is known", 0, []netip.Addr{own}, nil, finding.Unverified},
		{"all passes", 200, []netip.Addr{own}, []store.ReportRow{row(own, 200, true)}, finding.Pass},
		{"two in a hundred fail", 200, []netip.Addr{own}, []store.ReportRow{row(own, 196, true), row(own, 4, false)}, finding.Pass},
		{"three in a hundred fail", 200, []netip.Addr{own}, []store.ReportRow{row(own, 194, true), row(own, 6, false)}, finding.Fail},
		{"others fail, which is no fault of ours", 200, []netip.Addr{own}, []store.ReportRow{row(own, 200, true), row(crook, 900, false)}, finding.Pass},
		{"too little is reported", 200, []netip.Addr{own}, []store.ReportRow{row(own, 3, false), row(crook, 1, false)}, finding.Fail},
		{"little was sent, little is reported", 50, []netip.Addr{own}, []store.ReportRow{row(own, 3, false)}, finding.Unverified},
		{"much was sent to who reports, and none is seen from us", 200, []netip.Addr{own}, []store.ReportRow{row(crook, 1, false)}, finding.Fail},
		{"our addresses are not known", 200, nil, []store.ReportRow{row(own, 200, false)}, finding.Unverified},
	} {
		st := newMemory()
		log := NewSentLog(st, nil)
		for range c.sent {
			log.Note(now.AddDate(0, 0, -1), "example.org", "gmail.com")
		}
		log.Flush(t.Context())
		if c.rows != nil {
			r := &store.Report{Kind: store.DMARCReport, Domain: "example.org", Org: "google.com", Begin: now.AddDate(0, 0, -1), End: now, Proved: true}
			if err := st.AddReport(t.Context(), r, c.rows); err != nil {
				t.Fatal(err)
			}
		}
		f, err := Observed(t.Context(), st, Query{Domain: "example.org", Now: now, Own: c.own})
		if err != nil || f.Check != finding.DMARCObserved || f.Outcome != c.want || f.Subject != "example.org" {
			t.Errorf("%s: %+v, %v", c.what, f, err)
		}
	}
}

// What providers say to us themselves holds a step back: refusals that speak of
// authentication, and complaints.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		what string
		e    Evidence
		want string
	}{
		{"nothing", Evidence{}, "[]"},
		{"a few refusals", Evidence{Refused: []Refusal{{"gmail.com", finding.DKIMMissing, "5.7.26", 4}}}, "[]"},
		{"many", Evidence{Refused: []Refusal{{"gmail.com", finding.DKIMMissing, "5.7.26", 5}, {"isp.example", finding.SPFFail, "", 9}}}, "[{refused [gmail.com 5 5.7.26]} {refused [isp.example 9 spf.fail]}]"},
		{"three complaints in a thousand", Evidence{Complaints: Complaints{6, 2000}}, "[]"},
		{"four", Evidence{Complaints: Complaints{8, 2000}}, "[{complaints [8 2000]}]"},
		{"four complaints in all", Evidence{Complaints: Complaints{4, 10}}, "[]"},
	} {
		a := Advice{Blockers: []Blocker{}}
		a.refused(&c.e)
		if got := fmt.Sprint(a.Blockers); got != c.want {
			t.Errorf("%s: %s", c.what, got)
		}
	}
}

// Complaints count when their author is proved, for two weeks.
func TestComplaintsOf(t *testing.T) {
	now := time.Date(2026, 12, 1, 6, 0, 0, 0, time.UTC)
	st := newMemory()
	for _, r := range []store.Report{
		{Kind: store.FeedbackReport, End: now.AddDate(0, 0, -1), Proved: true, Messages: 3},
		{Kind: store.FeedbackReport, End: now.AddDate(0, 0, -2), Messages: 90},
		{Kind: store.FeedbackReport, End: now.AddDate(0, 0, -20), Proved: true, Messages: 90},
		{Kind: store.FailureReport, End: now, Proved: true, Messages: 90},
	} {
		r.Domain = "example.org"
		if err := st.AddReport(t.Context(), &r, nil); err != nil {
			t.Fatal(err)
		}
	}
	log := NewSentLog(st, nil)
	for range 70 {
		log.Note(now, "example.org", "isp.example")
	}
	log.Flush(t.Context())
	if c, err := ComplaintsOf(t.Context(), st, Query{Domain: "example.org", Now: now}); err != nil || c != (Complaints{3, 70}) {
		t.Errorf("%+v, %v", c, err)
	}
}
