package storetest

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"posta/internal/mail"
	"posta/internal/store"
)

// reportOf is a report of one day about a domain.
func reportOf(domain, org, name string, day int, proved bool) *store.Report {
	begin := time.Unix(int64(day)*86400, 0).UTC()
	return &store.Report{
		ID: store.NewReportID(store.DMARCReport, domain, org, name, org), Kind: store.DMARCReport, Domain: domain, Org: org, Name: name,
		Begin: begin, End: begin.Add(24*time.Hour - time.Second), Received: begin.Add(30 * time.Hour), Message: mail.ID{1, 2}, Sender: "noreply@" + org,
		Proved: proved, Messages: 12, Failed: 2, Policy: "p=none", Data: []byte{0, 1, 2},
	}
}

func sums(list []store.ReportSum, err error) string {
	if err != nil {
		return err.Error()
	}
	out := ""
	for _, s := range list {
		out += fmt.Sprintf("%d %s %v %v%v%v%d %d [%d %d]\n", s.Day, s.Org, s.Source, s.DKIM, s.SPF, s.Forwarded, s.Disposition, s.Count, s.First, s.Last)
	}
	return out
}

// A report counts once, whoever sends it how often; what is summed is what was added; and
// what is old goes with its rows.
func testReports(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	rows := func(day int32) []store.ReportRow {
		return []store.ReportRow{
			{Day: day, Source: v4, Count: 5, DKIM: true, SPF: true},
			{Day: day, Source: v4, Count: 4, DKIM: true, SPF: true}, // merged
			{Day: day, Source: v6, Count: 2, Disposition: store.DisposedReject},
			{Day: day, Count: 1, DKIM: true, Forwarded: true, Disposition: store.DisposedQuarantine},
		}
	}
	first, second := reportOf("example.org", "big.example", "r1", 20000, true), reportOf("example.org", "small.example", "r1", 20001, false)
	for _, r := range []*store.Report{first, second} {
		if err := a.AddReport(ctx, r, rows(int32(r.Begin.Unix()/86400))); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.AddReport(ctx, first, rows(20000)); !errors.Is(err, store.ErrExists) {
		t.Errorf("again: %v", err)
	}
	if err := a.AddReport(ctx, &store.Report{}, nil); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("an empty one: %v", err)
	}
	want := `0  invalid IP truefalsetrue1 2 [20000 20001]
0  2001:db8::1 falsefalsefalse2 4 [20000 20001]
0  192.0.2.1 truetruefalse0 18 [20000 20001]
`
	if got := sums(b.SumReportSources(ctx, "example.org", 20000, false)); got != want {
		t.Errorf("by source:\n%s", got)
	}
	if got := sums(b.SumReportSources(ctx, "example.org", 20001, true)); got != "" {
		t.Errorf("proved, the second day:\n%s", got)
	}
	want = `20000 big.example invalid IP truetruefalse0 9 [20000 20000]
20000 big.example invalid IP truefalsetrue1 1 [20000 20000]
20000 big.example invalid IP falsefalsefalse2 2 [20000 20000]
`
	if got := sums(b.SumReportDays(ctx, "example.org", 0, true)); got != want {
		t.Errorf("by day:\n%s", got)
	}
	list, err := b.ListReports(ctx, store.ReportFilter{Domain: "example.org"})
	if err != nil || len(list) != 2 || list[0].Org != "small.example" || list[0].Proved || list[1].Data != nil || !list[1].Begin.Equal(first.Begin) {
		t.Errorf("%+v, %v", list, err)
	}
	list, err = b.ListReports(ctx, store.ReportFilter{Kind: store.DMARCReport, ID: first.ID, Since: first.End})
	if err != nil || len(list) != 1 || len(list[0].Data) != 3 || list[0].Message != first.Message || list[0].Policy != "p=none" {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err = b.ListReports(ctx, store.ReportFilter{Kind: store.TLSReport}); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := a.DropReports(ctx, second.End); err != nil {
		t.Fatal(err)
	}
	if n := sumCount(b.SumReportSources(ctx, "example.org", 0, false)); n != 12 {
		t.Errorf("%d messages by source are left", n)
	}
	if n := sumCount(b.SumReportDays(ctx, "example.org", 0, false)); n != 12 {
		t.Errorf("%d messages by day are left", n)
	}
	if err := a.AddReport(ctx, first, rows(20000)); err != nil {
		t.Errorf("one that was forgotten comes again: %v", err)
	}
}

func sumCount(list []store.ReportSum, err error) (n int64) {
	if err != nil {
		return -1
	}
	for _, s := range list {
		n += s.Count
	}
	return n
}

// A report with more rows than a transaction may write, from two nodes at once: it counts
// once.
func testReportsConcurrent(t *testing.T, a, b store.Store) {
	r := reportOf("example.org", "big.example", "huge", 20000, true)
	var rows []store.ReportRow
	for i := range 1700 {
		rows = append(rows, store.ReportRow{Day: 20000, Source: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Count: 2, SPF: true})
	}
	var wg sync.WaitGroup
	for _, s := range []store.Store{a, b, a, b} {
		wg.Go(func() {
			if err := s.AddReport(t.Context(), r, rows); err != nil && !errors.Is(err, store.ErrExists) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range []store.Store{a, b} {
		if n, d := sumCount(s.SumReportSources(t.Context(), "example.org", 0, true)), sumCount(s.SumReportDays(t.Context(), "example.org", 0, true)); n != 3400 || d != 3400 {
			t.Errorf("%d by source, %d by day", n, d)
		}
	}
	if err := a.DropReports(t.Context(), r.End.Add(time.Second)); err != nil {
		t.Error(err)
	}
	if n := sumCount(b.SumReportSources(t.Context(), "example.org", 0, false)); n != 0 {
		t.Errorf("%d are left", n)
	}
}

// Decisions are kept, all of them; an incident is one row, resolved once.
func testReportStates(t *testing.T, a, b store.Store) {
	ctx, at := t.Context(), time.Unix(1e9, 0).UTC()
	for i, class := range []string{"mine", "spoof"} {
		d := store.ReportDecision{At: at.Add(time.Duration(i) * time.Second), Domain: "example.org", Subject: "192.0.2.1", Class: class, Reason: "why", Actor: "ana"}
		if err := a.DecideReport(ctx, d, store.Audit{Command: "report.decide", Object: d.Subject, Principal: "ana"}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := b.ReportDecisions(ctx, "example.org")
	if err != nil || len(list) != 2 || list[1].Class != "spoof" || !list[0].At.Equal(at) || list[0].Actor != "ana" {
		t.Errorf("%+v, %v", list, err)
	}
	x := store.ReportAlert{ID: "silent/example.org/", Domain: "example.org", Kind: "silent", Page: true, Seen: "3 days", First: at, Last: at}
	y := x
	y.ID, y.Domain = "silent/example.net/", "example.net"
	if err := a.PutReportAlerts(ctx, []store.ReportAlert{x, y}); err != nil {
		t.Fatal(err)
	}
	x.Last, x.Resolved = at.Add(time.Hour), at.Add(time.Hour)
	if err := b.PutReportAlerts(ctx, []store.ReportAlert{x}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		domain string
		since  time.Time
		n      int
	}{{"", at, 2}, {"", at.Add(2 * time.Hour), 1}, {"example.org", at, 1}, {"example.org", at.Add(2 * time.Hour), 0}} {
		if list, err := a.ReportAlerts(ctx, c.domain, c.since); err != nil || len(list) != c.n {
			t.Errorf("%q since %v: %+v, %v", c.domain, c.since, list, err)
		}
	}
	if err := a.DropReports(ctx, at.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if list, err := b.ReportAlerts(ctx, "", time.Time{}); err != nil || len(list) != 1 || list[0].Domain != "example.net" {
		t.Errorf("%+v, %v", list, err)
	}
}
