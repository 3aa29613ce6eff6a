package sqlstore

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"posta/internal/store"
)

// BenchmarkReportViews has a million rows about one domain, of 400 days, and sums those of
// the last days.
func BenchmarkReportViews(b *testing.B) {
	s := openTest(b, b.TempDir())
	const days, orgs, sources = 400, 5, 500
	for day := range int32(days) {
		for org := range orgs {
			begin := time.Unix(int64(20000+day)*86400, 0)
			r := &store.Report{Kind: store.DMARCReport, Domain: "example.org", Org: fmt.Sprint("org", org), Name: fmt.Sprint(day), Begin: begin, End: begin.Add(86399 * time.Second), Proved: true}
			r.ID = store.NewReportID(r.Kind, r.Domain, r.Org, r.Name, r.Org)
			rows := make([]store.ReportRow, sources)
			for i := range rows {
				rows[i] = store.ReportRow{Day: 20000 + day, Source: netip.AddrFrom4([4]byte{192, byte(i >> 8), byte(i), 1}), Count: 3, DKIM: i%3 != 0, SPF: i%2 != 0}
			}
			if err := s.AddReport(b.Context(), r, rows); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, n := range []int32{7, 30, 60, 400} {
		b.Run(fmt.Sprint("sources/", n), func(b *testing.B) {
			for b.Loop() {
				if list, err := s.SumReportSources(b.Context(), "example.org", 20000+days-n, true); err != nil || len(list) != sources {
					b.Fatal(len(list), err)
				}
			}
		})
		b.Run(fmt.Sprint("days/", n), func(b *testing.B) {
			for b.Loop() {
				if list, err := s.SumReportDays(b.Context(), "example.org", 20000+days-n, true); err != nil || len(list) == 0 {
					b.Fatal(len(list), err)
				}
			}
		})
	}
}
