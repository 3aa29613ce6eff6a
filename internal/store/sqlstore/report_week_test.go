package sqlstore

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"posta/internal/store"
)

// rowSums is what SumReportSources must tell, of the rows themselves.
func rowSums(t testing.TB, s *Store, from int32, proved bool) (out []store.ReportSum) {
	t.Helper()
	err := s.main.read(t.Context(), func(t *tx) (err error) {
		out, err = collect(t, func(r *rows, x *store.ReportSum) error {
			var source []byte
			var results int64
			err := r.scan(&source, &results, &x.Count, &x.First, &x.Last)
			x.Source, _ = netip.AddrFromSlice(source)
			setResults(x, results)
			return err
		}, `SELECT source, results, CAST(SUM(n) AS BIGINT), MIN(day), MAX(day) FROM report_row
			WHERE domain = $1 AND day >= $2 AND proved >= $3 GROUP BY source, results ORDER BY source, results`, "example.org", from, proved)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// weekBegin is the first day of a week; the reports of the test begin three days before.
const weekBegin = 20000 / weekDays * weekDays

// sameSums holds the sums by week against the rows, from each day on.
func sameSums(t *rapid.T, tb testing.TB, s *Store) {
	for from := int32(weekBegin - 4); from < weekBegin+20; from++ {
		for _, proved := range []bool{false, true} {
			got, err := s.SumReportSources(tb.Context(), "example.org", from, proved)
			if want := rowSums(tb, s, from, proved); err != nil || !slices.Equal(got, want) {
				t.Fatalf("from %d, proved %v: %v\n%+v, the rows are\n%+v", from, proved, err, got, want)
			}
		}
	}
}

// drawReport makes one of a few reports, the same each time it is drawn.
func drawReport(t *rapid.T) (*store.Report, []store.ReportRow) {
	n := rapid.Int32Range(0, 39).Draw(t, "report")
	begin := time.Unix(int64(weekBegin-3+n/2)*86400, 0).UTC()
	r := &store.Report{Kind: store.DMARCReport, Domain: "example.org", Org: "big.example", Name: fmt.Sprint(n), Begin: begin, End: begin.Add(86399 * time.Second), Proved: n%3 != 0}
	r.ID = store.NewReportID(r.Kind, r.Domain, r.Org, r.Name, r.Org)
	day := int32(begin.Unix() / 86400)
	rows := []store.ReportRow{
		{Day: day, Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(n % 4)}), Count: int64(n + 1), DKIM: true},
		{Day: day + 1, Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(n % 4)}), Count: 2, DKIM: true}, // the report is of two days
		{Day: day, Count: 7, Disposition: store.DisposedReject},
		{Day: day, Source: netip.MustParseAddr("2001:db8::1"), Count: int64(n%2) << 50, SPF: true}, // none, or more than anybody has
	}
	return r, rows
}

// addHalf leaves a report as a crash between its steps does.
func addHalf(tb testing.TB, s *Store, r *store.Report, rows []store.ReportRow) error {
	merged := mergeRows(rows)
	if err := s.main.write(tb.Context(), func(t *tx) error { return beginReport(t, r) }); err != nil {
		return err
	}
	return s.main.write(tb.Context(), func(t *tx) error { return addRows(t, r, merged[:len(merged)/2]) })
}

// testReportWeeks: whatever is added, added again, cut short, and forgotten, the sums by
// week are those of the rows, from any day on; and an upgrade makes the same of them.
func testReportWeeks(t *testing.T, s *Store) {
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			r, rows := drawReport(rt)
			var err error
			switch rapid.SampledFrom([]string{"add", "add", "half", "forget"}).Draw(rt, "what") {
			case "add":
				err = s.AddReport(t.Context(), r, rows)
			case "half":
				err = addHalf(t, s, r, rows)
			case "forget":
				err = s.DropReports(t.Context(), r.End)
			}
			if err != nil && !errors.Is(err, store.ErrExists) {
				rt.Fatal(err)
			}
		}
		sameSums(rt, t, s)
		if rapid.IntRange(0, 9).Draw(rt, "upgrade") == 0 {
			upgradeWeeks(rt, t, s)
			sameSums(rt, t, s)
		}
	})
	if err := s.DropReports(t.Context(), time.Unix(1<<40, 0)); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := s.main.read(t.Context(), func(t *tx) error { return t.row("SELECT COUNT(*) FROM report_week").scan(&left) }); err != nil || left != 0 {
		t.Errorf("%d sums of nothing are left, %v", left, err)
	}
}

// upgradeWeeks makes the sums anew, as an upgrade from a version without them does.
func upgradeWeeks(t *rapid.T, tb testing.TB, s *Store) {
	if err := s.main.write(tb.Context(), func(t *tx) error { _, err := t.exec("DELETE FROM report_week"); return err }); err != nil {
		t.Fatal(err)
	}
	for cursor, chunks := "", 0; ; chunks++ {
		err := s.main.write(tb.Context(), func(t *tx) (err error) {
			cursor, err = fillWeeks(t, cursor)
			return err
		})
		if err != nil || chunks > 100 {
			t.Fatal(chunks, err)
		}
		if cursor == "" {
			return
		}
	}
}

func TestReportWeeks(t *testing.T) { testReportWeeks(t, openTest(t, t.TempDir())) }

func testPGReportWeeks(t *testing.T, server *pgServer) {
	testReportWeeks(t, server.open(t, server.newDB(t)))
}
