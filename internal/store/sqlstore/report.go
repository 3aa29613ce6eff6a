package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"posta/internal/store"
)

const reportColumns = "id, kind, domain, org, name, begins, ends, received, accept, sender, proved, messages, failed, policy, account, list"

// reportStep is how many rows of a report one transaction writes, and as many sums.
const reportStep = 250

// maxAlerts is how many incidents one transaction writes.
const maxAlerts = 500

// resultsOf packs the results of a row; the order of the bits is for ever.
func resultsOf(dkim, spf, forwarded bool, d store.Disposition) int64 {
	n := int64(d) << 3
	for i, b := range []bool{dkim, spf, forwarded} {
		if b {
			n |= 1 << i
		}
	}
	return n
}

func setResults(s *store.ReportSum, n int64) {
	s.DKIM, s.SPF, s.Forwarded, s.Disposition = n&1 != 0, n&2 != 0, n&4 != 0, store.Disposition(n>>3)
}

func sourceOf(ip netip.Addr) []byte {
	if !ip.IsValid() {
		return nil
	}
	return ip.Unmap().WithZone("").AsSlice()
}

// mergedRow is a row as it is kept.
type mergedRow struct {
	day     int32
	source  string
	results int64
	n       int64
}

// maxRowCount is more than anybody has of one kind in a day. Whatever a million reports say, sums
// of such numbers stay numbers.
const maxRowCount = 1 << 40

// mergeRows makes each key stand once, without those of no messages. The order is that in which
// sums by week are locked: the same for everybody, so that nobody waits in a circle.
func mergeRows(rows []store.ReportRow) []mergedRow {
	type key struct {
		day     int32
		source  string
		results int64
	}
	sums := make(map[key]int64, len(rows))
	for _, r := range rows {
		k := key{r.Day, string(sourceOf(r.Source)), resultsOf(r.DKIM, r.SPF, r.Forwarded, r.Disposition)}
		sums[k] = min(sums[k]+min(max(r.Count, 0), maxRowCount), maxRowCount)
	}
	out := make([]mergedRow, 0, len(sums))
	for k, n := range sums {
		if n > 0 {
			out = append(out, mergedRow{k.day, k.source, k.results, n})
		}
	}
	slices.SortFunc(out, compareRows)
	return out
}

func compareRows(a, b mergedRow) int {
	return cmp.Or(cmp.Compare(weekOf(a.day), weekOf(b.day)), strings.Compare(a.source, b.source), cmp.Compare(a.results, b.results), cmp.Compare(a.day, b.day))
}

// AddReport implements store.Reports. The report is there from the first step, and counts
// as there with the last; rows that an earlier call wrote are the same.
func (s *Store) AddReport(ctx context.Context, r *store.Report, rows []store.ReportRow) error {
	if len(r.Data) > store.MaxReportData || len(rows) > store.MaxReportRows || r.Kind == 0 || r.Domain == "" {
		return wrap(store.ErrInvalid, "a report of kind %d about %q with %d octets and %d rows", r.Kind, r.Domain, len(r.Data), len(rows))
	}
	merged := mergeRows(rows)
	err := s.main.write(ctx, func(t *tx) error { return beginReport(t, r) })
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(merged, reportStep) {
		if err := s.main.write(ctx, func(t *tx) error { return addRows(t, r, chunk) }); err != nil {
			return err
		}
	}
	return s.main.write(ctx, func(t *tx) error { return endReport(t, r, merged) })
}

// beginReport writes the report's row, unless an earlier call did.
func beginReport(t *tx, r *store.Report) error {
	var whole int
	err := t.row("SELECT whole FROM report WHERE id = $1", r.ID).scan(&whole)
	switch {
	case err == nil && whole != 0:
		return wrap(store.ErrExists, "report %q of %s about %s", r.Name, r.Org, r.Domain)
	case err == nil:
		return nil
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	_, err = t.exec("INSERT INTO report ("+reportColumns+`, whole, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0, $17)
		ON CONFLICT DO NOTHING`, r.ID, r.Kind, r.Domain, r.Org, r.Name, r.Begin, r.End, r.Received, r.Message, r.Sender, r.Proved, r.Messages, r.Failed, r.Policy, r.Account, r.List, r.Data)
	return err
}

// addRows writes rows of a report; those that were not there are added to the sums by week.
func addRows(t *tx, r *store.Report, chunk []mergedRow) error {
	fresh := make([]bool, len(chunk))
	for i, m := range chunk {
		err := t.later(func(n int64) error { fresh[i] = n > 0; return nil }, `INSERT INTO report_row (domain, proved, day, source, results, report, n) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT DO NOTHING`, r.Domain, r.Proved, m.day, []byte(m.source), m.results, r.ID, m.n)
		if err != nil {
			return err
		}
	}
	var whole int // asking makes PostgreSQL do what was said so far
	if err := t.row("SELECT whole FROM report WHERE id = $1", r.ID).scan(&whole); err != nil {
		return err
	}
	for i, m := range chunk {
		if !fresh[i] {
			continue
		}
		if err := addWeek(t, r.Domain, r.Proved, m); err != nil {
			return err
		}
	}
	return nil
}

// endReport writes the sums by day, and that the report is whole.
func endReport(t *tx, r *store.Report, merged []mergedRow) error {
	type key struct {
		day     int32
		results int64
	}
	sums := map[key]int64{}
	for _, m := range merged {
		sums[key{m.day, m.results}] += m.n
	}
	for k, n := range sums { // a report is of a few days: few rows
		err := t.later(nil, `INSERT INTO report_day (domain, day, report, results, proved, org, n) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT DO NOTHING`, r.Domain, k.day, r.ID, k.results, r.Proved, r.Org, n)
		if err != nil {
			return err
		}
	}
	_, err := t.exec("UPDATE report SET whole = 1 WHERE id = $1", r.ID)
	return err
}

func scanReport(r *rows, x *store.Report) error {
	return r.scan(&x.ID, &x.Kind, &x.Domain, &x.Org, &x.Name, &x.Begin, &x.End, &x.Received, &x.Message, &x.Sender, &x.Proved, &x.Messages, &x.Failed, &x.Policy, &x.Account, &x.List)
}

// ListReports implements store.Reports.
func (s *Store) ListReports(ctx context.Context, f store.ReportFilter) (out []store.Report, err error) {
	where, args := []string{"whole = 1"}, []any(nil)
	add := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, fmt.Sprintf(condition, len(args)))
	}
	if f.Kind != 0 {
		add("kind = $%d", f.Kind)
	}
	if f.Domain != "" {
		add("domain = $%d", f.Domain)
	}
	if !f.Since.IsZero() {
		add("ends >= $%d", f.Since)
	}
	columns, scan := reportColumns, scanReport
	if f.ID != (store.ReportID{}) {
		add("id = $%d", f.ID)
		columns += ", data"
		scan = func(r *rows, x *store.Report) error {
			err := r.scan(&x.ID, &x.Kind, &x.Domain, &x.Org, &x.Name, &x.Begin, &x.End, &x.Received, &x.Message, &x.Sender, &x.Proved, &x.Messages, &x.Failed, &x.Policy, &x.Account, &x.List, &x.Data)
			x.Data = bytes.Clone(x.Data)
			return err
		}
	}
	args = append(args, page(f.Limit))
	q := fmt.Sprintf("SELECT %s FROM report WHERE %s ORDER BY ends DESC, id LIMIT $%d", columns, strings.Join(where, " AND "), len(args))
	err = s.main.read(ctx, func(t *tx) (err error) {
		out, err = collect(t, scan, q, args...)
		return err
	})
	return out, err
}

// SumReportDays implements store.Reports.
func (s *Store) SumReportDays(ctx context.Context, domain string, from int32, proved bool) (out []store.ReportSum, err error) {
	err = s.main.read(ctx, func(t *tx) (err error) {
		out, err = collect(t, func(r *rows, x *store.ReportSum) error {
			var results int64
			if err := r.scan(&x.Day, &x.Org, &results, &x.Count); err != nil {
				return err
			}
			x.First, x.Last = x.Day, x.Day
			setResults(x, results)
			return nil
		}, `SELECT day, org, results, CAST(SUM(n) AS BIGINT) FROM report_day
			WHERE domain = $1 AND day >= $2 AND proved >= $3 GROUP BY day, org, results ORDER BY day, org, results`, domain, from, proved)
		return err
	})
	return out, err
}

// DecideReport implements store.Reports.
func (s *Store) DecideReport(ctx context.Context, d store.ReportDecision, a store.Audit) error {
	return s.main.write(ctx, func(t *tx) error {
		_, err := t.exec("INSERT INTO report_decision (domain, at, subject, class, reason, actor) VALUES ($1, $2, $3, $4, $5, $6)",
			d.Domain, d.At, d.Subject, d.Class, d.Reason, d.Actor)
		if err != nil {
			return err
		}
		return writeAudit(t, a)
	})
}

// ReportDecisions implements store.Reports.
func (s *Store) ReportDecisions(ctx context.Context, domain string) (out []store.ReportDecision, err error) {
	err = s.main.read(ctx, func(t *tx) (err error) {
		out, err = collect(t, func(r *rows, d *store.ReportDecision) error {
			return r.scan(&d.Domain, &d.At, &d.Subject, &d.Class, &d.Reason, &d.Actor)
		}, "SELECT domain, at, subject, class, reason, actor FROM report_decision WHERE domain = $1 ORDER BY at, subject", domain)
		return err
	})
	return out, err
}

// PutReportAlerts implements store.Reports.
func (s *Store) PutReportAlerts(ctx context.Context, alerts []store.ReportAlert) error {
	if len(alerts) > maxAlerts {
		return wrap(store.ErrInvalid, "%d alerts at once", len(alerts))
	}
	return s.main.write(ctx, func(t *tx) error {
		for i := range alerts {
			a := &alerts[i]
			_, err := t.exec(`INSERT INTO report_alert (id, domain, kind, subject, page, seen, first, last, resolved) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
				ON CONFLICT (id) DO UPDATE SET page = excluded.page, seen = excluded.seen, first = excluded.first, last = excluded.last, resolved = excluded.resolved`,
				a.ID, a.Domain, a.Kind, a.Subject, a.Page, a.Seen, a.First, a.Last, a.Resolved)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// ReportAlerts implements store.Reports.
func (s *Store) ReportAlerts(ctx context.Context, domain string, since time.Time) (out []store.ReportAlert, err error) {
	err = s.main.read(ctx, func(t *tx) (err error) {
		out, err = collect(t, func(r *rows, a *store.ReportAlert) error {
			return r.scan(&a.ID, &a.Domain, &a.Kind, &a.Subject, &a.Page, &a.Seen, &a.First, &a.Last, &a.Resolved)
		}, `SELECT id, domain, kind, subject, page, seen, first, last, resolved FROM report_alert
			WHERE (resolved = 0 OR resolved >= $1) AND ($2 = '' OR domain = $2) ORDER BY first, id`, since, domain)
		return err
	})
	return out, err
}

// DropReports implements store.Reports, in steps: rows first, so that what is left of a
// report that was cut off is found again.
func (s *Store) DropReports(ctx context.Context, before time.Time) error {
	for {
		var gone []store.ReportID
		err := s.main.read(ctx, func(t *tx) (err error) {
			gone, err = collect(t, one[store.ReportID], "SELECT id FROM report WHERE ends < $1 ORDER BY ends LIMIT 100", before)
			return err
		})
		if err != nil {
			return err
		}
		if len(gone) == 0 {
			return drain(ctx, s.main, "DELETE FROM report_alert WHERE id IN (SELECT id FROM report_alert WHERE resolved <> 0 AND resolved < $1 LIMIT $2)", before, step)
		}
		for _, id := range gone {
			if err := s.dropReport(ctx, id); err != nil {
				return err
			}
		}
	}
}

func (s *Store) dropReport(ctx context.Context, id store.ReportID) error {
	for more := true; more; {
		err := s.main.write(ctx, func(t *tx) error {
			more = false
			found, err := collect(t, func(r *rows, k *rowKey) error {
				var source []byte
				err := r.scan(&k.domain, &k.proved, &k.day, &source, &k.results, &k.n)
				k.source = string(source)
				return err
			}, "SELECT domain, proved, day, source, results, n FROM report_row WHERE report = $1 LIMIT $2", id, reportStep)
			if err != nil {
				return err
			}
			slices.SortFunc(found, func(a, b rowKey) int { return compareRows(a.mergedRow, b.mergedRow) })
			for i := range found {
				if err := dropRow(t, id, &found[i]); err != nil {
					return err
				}
			}
			if more = len(found) == reportStep; more {
				return nil
			}
			return endDrop(t, id)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

type rowKey struct {
	mergedRow
	domain string
	proved bool
}

// dropRow deletes a row of a report, and takes it from the sums by week.
func dropRow(t *tx, id store.ReportID, k *rowKey) error {
	n, err := t.exec("DELETE FROM report_row WHERE domain = $1 AND day = $2 AND source = $3 AND results = $4 AND report = $5", k.domain, k.day, []byte(k.source), k.results, id)
	if err != nil || n == 0 { // another node was here
		return err
	}
	return subWeek(t, k.domain, k.proved, k.mergedRow)
}

// endDrop deletes a report whose rows are gone, with its sums.
func endDrop(t *tx, id store.ReportID) error {
	var domain string
	var begin, end time.Time
	err := t.row("SELECT domain, begins, ends FROM report WHERE id = $1", id).scan(&domain, &begin, &end)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	const daySeconds = 24 * 60 * 60
	if _, err := t.exec("DELETE FROM report_day WHERE domain = $1 AND day >= $2 AND day <= $3 AND report = $4", domain, begin.Unix()/daySeconds-1, end.Unix()/daySeconds+1, id); err != nil {
		return err
	}
	_, err = t.exec("DELETE FROM report WHERE id = $1", id)
	return err
}
