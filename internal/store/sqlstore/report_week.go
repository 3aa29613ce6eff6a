package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"posta/internal/store"
)

// Sums by source and week. A view over a year of a domain with a million rows reads some
// thousands of these; and since each has the week's days apart, it may begin on any day.
// They are written in the transaction of each row, so they are of the same reports.

const weekDays = 7

func weekOf(day int32) int32 { return day / weekDays }

// addWeek adds a row to its sum.
func addWeek(t *tx, domain string, proved bool, m mergedRow) error {
	n := fmt.Sprint("n", m.day%weekDays)
	return t.later(nil, "INSERT INTO report_week (domain, week, source, results, proved, "+n+`) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (domain, week, source, results, proved) DO UPDATE SET `+n+" = report_week."+n+" + excluded."+n,
		domain, weekOf(m.day), []byte(m.source), m.results, proved, m.n)
}

// subWeek takes a row from its sum, which goes with the last of them.
func subWeek(t *tx, domain string, proved bool, m mergedRow) error {
	const which = " WHERE domain = $1 AND week = $2 AND source = $3 AND results = $4 AND proved = $5"
	n := fmt.Sprint("n", m.day%weekDays)
	key := []any{domain, weekOf(m.day), []byte(m.source), m.results, proved}
	if _, err := t.exec("UPDATE report_week SET "+n+" = "+n+" - $6"+which, append(key[:len(key):len(key)], m.n)...); err != nil {
		return err
	}
	_, err := t.exec("DELETE FROM report_week"+which+" AND n0 = 0 AND n1 = 0 AND n2 = 0 AND n3 = 0 AND n4 = 0 AND n5 = 0 AND n6 = 0", key...)
	return err
}

// weekRow is a sum of one source and one week.
type weekRow struct {
	source  []byte
	results int64
	week    int32
	n       [weekDays]int64
}

// SumReportSources implements store.Reports.
func (s *Store) SumReportSources(ctx context.Context, domain string, from int32, proved bool) (out []store.ReportSum, err error) {
	from = max(from, 0)
	err = s.main.read(ctx, func(t *tx) error {
		out = nil
		found, err := t.query(`SELECT source, results, week, n0, n1, n2, n3, n4, n5, n6 FROM report_week
			WHERE domain = $1 AND week >= $2 AND proved >= $3`, domain, weekOf(from), proved)
		if err != nil {
			return err
		}
		out, err = foldWeeks(found, from)
		return err
	})
	return out, err
}

// foldWeeks reads weekRows to the end and sums up what they tell of the days from from on,
// in the order of sources and results.
func foldWeeks(found *rows, from int32) ([]store.ReportSum, error) {
	defer found.close()
	type key struct {
		source  string
		results int64
	}
	at := map[key]int{}
	var out []store.ReportSum
	for w := (weekRow{}); found.next(); {
		if err := found.scan(&w.source, &w.results, &w.week, &w.n[0], &w.n[1], &w.n[2], &w.n[3], &w.n[4], &w.n[5], &w.n[6]); err != nil {
			return nil, err
		}
		for i, n := range w.n {
			day := w.week*weekDays + int32(i)
			if n == 0 || day < from {
				continue
			}
			j, ok := at[key{string(w.source), w.results}]
			if !ok {
				k := key{string(w.source), w.results}
				j, at[k] = len(out), len(out)
				x := store.ReportSum{First: day}
				x.Source, _ = netip.AddrFromSlice(w.source)
				setResults(&x, w.results)
				out = append(out, x)
			}
			x := &out[j]
			x.Count += n
			x.First, x.Last = min(x.First, day), max(x.Last, day)
		}
	}
	if err := found.close(); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b store.ReportSum) int {
		return cmp.Or(bytes.Compare(sourceOf(a.Source), sourceOf(b.Source)), cmp.Compare(resultsOfSum(&a), resultsOfSum(&b)))
	})
	return out, nil
}

func resultsOfSum(s *store.ReportSum) int64 {
	return resultsOf(s.DKIM, s.SPF, s.Forwarded, s.Disposition)
}

// weekCursor is the last row of report_row that fillWeeks has summed.
type weekCursor struct {
	Domain  string
	Day     int32
	Source  []byte
	Results int64
	Report  store.ReportID
}

// fillWeeks sums up the rows that were there before report_week was, a chunk at each call.
func fillWeeks(t *tx, cursor string) (next string, err error) {
	var last weekCursor
	if cursor != "" {
		if err := json.Unmarshal([]byte(cursor), &last); err != nil {
			return "", err
		}
	}
	n := 0
	r, err := collect(t, func(r *rows, k *rowKey) error {
		var source []byte
		err := r.scan(&k.domain, &k.proved, &k.day, &source, &k.results, &last.Report, &k.n)
		k.source = string(source)
		last.Domain, last.Day, last.Source, last.Results = k.domain, k.day, []byte(k.source), k.results
		n++
		return err
	}, `SELECT domain, proved, day, source, results, report, n FROM report_row
		WHERE (domain, day, source, results, report) > ($1, $2, $3, $4, $5) ORDER BY domain, day, source, results, report LIMIT $6`,
		last.Domain, last.Day, last.Source, last.Results, last.Report, step)
	if err != nil || n == 0 {
		return "", err
	}
	for i := range r {
		if err := addWeek(t, r[i].domain, r[i].proved, r[i].mergedRow); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(last)
	return string(b), err
}
