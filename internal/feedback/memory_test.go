package feedback

import (
	"context"
	"slices"
	"strings"
	"time"

	"posta/internal/store"
)

// memory is what a year in fake time needs of a store: one on disk has clocks of its own.
type memory struct {
	store.Reports
	reports []store.Report
	rows    [][]store.ReportRow
	alerts  map[string]store.ReportAlert
	decided []store.ReportDecision
	facts   map[string]store.Fact
}

func newMemory() *memory {
	return &memory{alerts: map[string]store.ReportAlert{}, facts: map[string]store.Fact{}}
}

func (m *memory) AddReport(_ context.Context, r *store.Report, rows []store.ReportRow) error {
	m.reports, m.rows = append(m.reports, *r), append(m.rows, rows)
	return nil
}

func (m *memory) ListReports(_ context.Context, f store.ReportFilter) (out []store.Report, err error) {
	for _, r := range slices.Backward(m.reports) {
		if !r.End.Before(f.Since) && (f.Domain == "" || r.Domain == f.Domain) && (f.Kind == 0 || r.Kind == f.Kind) && (f.ID == (store.ReportID{}) || r.ID == f.ID) {
			out = append(out, r)
		}
	}
	return out, nil
}

func (m *memory) sum(from int32, proved bool, key func(*store.Report, *store.ReportSum)) (out []store.ReportSum, err error) {
	at := map[store.ReportSum]int{}
	for i := range m.reports {
		for _, x := range m.rows[i] {
			if x.Day < from || proved && !m.reports[i].Proved {
				continue
			}
			s := store.ReportSum{Day: x.Day, Org: m.reports[i].Org, Source: x.Source, DKIM: x.DKIM, SPF: x.SPF, Forwarded: x.Forwarded, Disposition: x.Disposition}
			key(&m.reports[i], &s)
			j, ok := at[s]
			if !ok {
				j, at[s] = len(out), len(out)
				out = append(out, s)
				out[j].First = x.Day
			}
			out[j].Count += x.Count
			out[j].Last = x.Day
		}
	}
	return out, nil
}

func (m *memory) SumReportSources(_ context.Context, _ string, from int32, proved bool) ([]store.ReportSum, error) {
	return m.sum(from, proved, func(_ *store.Report, s *store.ReportSum) { s.Day, s.Org = 0, "" })
}

func (m *memory) SumReportDays(_ context.Context, _ string, from int32, proved bool) ([]store.ReportSum, error) {
	return m.sum(from, proved, func(_ *store.Report, s *store.ReportSum) { s.Source = crook })
}

func (m *memory) ReportDecisions(context.Context, string) ([]store.ReportDecision, error) {
	return m.decided, nil
}

func (m *memory) PutReportAlerts(_ context.Context, alerts []store.ReportAlert) error {
	for _, a := range alerts {
		m.alerts[a.ID] = a
	}
	return nil
}

func (m *memory) ReportAlerts(_ context.Context, _ string, since time.Time) (out []store.ReportAlert, err error) {
	for _, a := range m.alerts {
		if a.Resolved.IsZero() || !a.Resolved.Before(since) {
			out = append(out, a)
		}
	}
	return out, nil
}

func (m *memory) FactsOf(_ context.Context, _ store.FactKind, keys ...string) ([]store.Fact, error) {
	out := make([]store.Fact, len(keys))
	for i, k := range keys {
		out[i] = m.facts[k]
	}
	return out, nil
}

func (m *memory) ChangeFacts(_ context.Context, _ store.FactKind, keys []string, f func(store.Fact) store.Fact) error {
	for _, k := range keys {
		old := m.facts[k]
		old.Key = k
		m.facts[k] = f(old)
	}
	return nil
}

func (m *memory) ListFacts(_ context.Context, _ store.FactKind, prefix, after string, limit int) (out []store.Fact, err error) {
	for k, f := range m.facts {
		if strings.HasPrefix(k, prefix) && k > after {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b store.Fact) int { return strings.Compare(a.Key, b.Key) })
	return out[:min(len(out), limit)], nil
}

func (m *memory) SweepFacts(context.Context) (int, error) { return 0, nil }
