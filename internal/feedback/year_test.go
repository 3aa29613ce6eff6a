package feedback

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/store"
)

// house is a domain whose administrator looks once a day, publishes what is advised, and
// writes down what he is told.
type house struct {
	t      *testing.T
	st     *memory
	record string
	found  string // policy that reporters find, "" for that of record
	lists  bool
	story  []string
	began  time.Time
}

var (
	own     = netip.MustParseAddr("192.0.2.25")
	shop    = netip.MustParseAddr("198.51.100.9")
	forward = netip.MustParseAddr("203.0.113.7")
	tickets = netip.MustParseAddr("198.51.100.77")
	crook   = netip.MustParseAddr("203.0.113.66")
)

func (h *house) tell(format string, a ...any) {
	day := int(time.Since(h.began).Hours() / 24)
	h.story = append(h.story, fmt.Sprintf("day %d: ", day)+fmt.Sprintf(format, a...))
}

// report is a day's report of one reporter, in which each source has sent some messages.
func (h *house) report(org string, rows ...store.ReportRow) {
	h.t.Helper()
	begin := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	r := &store.Report{
		Kind: store.DMARCReport, Domain: "example.org", Org: org, Name: begin.Format(time.DateOnly), Begin: begin, End: begin.Add(24*time.Hour - time.Second),
		Received: time.Now(), Proved: true, Policy: cmp.Or(h.found, policyOf(h.record)),
	}
	r.ID = store.NewReportID(r.Kind, r.Domain, r.Org, r.Name, org)
	for i := range rows {
		rows[i].Day = int32(begin.Unix() / daySeconds)
		r.Messages += rows[i].Count
	}
	if err := h.st.AddReport(h.t.Context(), r, rows); err != nil {
		h.t.Fatal(err)
	}
}

func policyOf(record string) string {
	p := tag(record, "p")
	out := "p=" + p
	if t := tag(record, "t"); t != "" {
		out += "; t=" + t
	}
	return out
}

// sent notes what our queue delivered on the day before.
func (h *house) sent(log *SentLog, n int) {
	for range n {
		log.Note(time.Now().AddDate(0, 0, -1), "example.org", "gmail.com")
	}
	log.Flush(h.t.Context())
}

func (h *house) query() Query {
	return Query{Domain: "example.org", Now: time.Now().UTC(), Own: []netip.Addr{own}}
}

// look is the daily work: incidents, then the ladder.
func (h *house) look() {
	h.t.Helper()
	w, err := Look(h.t.Context(), h.st, h.query(), h.record)
	if err != nil {
		h.t.Fatal(err)
	}
	known, err := h.st.ReportAlerts(h.t.Context(), "", time.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	write, tell := Reconcile(known, w.Incidents(), time.Now())
	if err := h.st.PutReportAlerts(h.t.Context(), write); err != nil {
		h.t.Fatal(err)
	}
	for _, a := range tell {
		what := "new"
		if !a.Resolved.IsZero() {
			what = "over"
		}
		if a.Page {
			what += ", page"
		}
		h.tell("%s: %s", what, a.ID)
	}
	e, err := Gather(h.t.Context(), h.st, h.query(), h.record)
	if err != nil {
		h.t.Fatal(err)
	}
	e.Lists = h.lists
	a := Advise(e)
	if strings.Contains(fmt.Sprint(a.Next), "pct") {
		h.t.Fatal("pct is advised")
	}
	if a.Next != nil {
		h.record = *a.Next
		h.tell("publish %s", h.record)
	}
}

// run lives a year; people post to lists or not.
func run(t *testing.T, lists bool) *house {
	st := newMemory()
	h := &house{t: t, st: st, lists: lists, began: time.Now()}
	log := NewSentLog(st, nil)
	for day := range 365 {
		time.Sleep(24 * time.Hour)
		if day > 0 {
			h.day(day, log)
		}
		h.look()
	}
	return h
}

// day is what happened on the day before, as reported by four of them.
func (h *house) day(day int, log *SentLog) {
	good := store.ReportRow{Source: own, Count: 150, DKIM: true, SPF: true}
	if day >= 200 && day < 210 { // somebody broke the key and the SPF record
		good.DKIM, good.SPF = false, false
	}
	vendor := store.ReportRow{Source: shop, Count: 40, SPF: true, DKIM: day > 40} // SPF alone at first
	if day >= 330 && day < 340 {                                                  // the shop sends through somebody else, who signs nothing
		vendor.DKIM, vendor.SPF = false, false
	}
	h.found = ""
	if day >= 350 && day < 354 { // a name server that has an old zone
		h.found = "p=none"
	}
	passed := store.ReportRow{Source: forward, Count: 3, DKIM: true, Forwarded: true}
	h.sent(log, 600) // 4 × 150
	if day >= 300 && day < 312 {
		return // no reports
	}
	for _, org := range []string{"google.com", "Yahoo", "Outlook.com", "isp.example"} {
		rows := []store.ReportRow{good, vendor, passed}
		if day >= 250 && day < 253 { // a burst of spoofed mail
			rows = append(rows, store.ReportRow{Source: crook, Count: 900, Disposition: store.DisposedQuarantine})
		}
		if day >= 160 { // the tickets of the help desk come from a new house
			rows = append(rows, store.ReportRow{Source: tickets, Count: 20, DKIM: true, SPF: true})
		}
		h.report(org, rows...)
	}
}

// A year of a domain whose administrator does what he is told: one that has people on
// lists stops at quarantine, the other goes on to reject; each trouble is told once when it
// begins and once when it is over.
func TestYear(t *testing.T) {
	for _, c := range []struct {
		name  string
		lists bool
		want  string
	}{
		{"nobody on lists", false, yearToReject},
		{"people on lists", true, yearToQuarantine},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := run(t, c.lists)
				if got := strings.Join(h.story, "\n") + "\n"; got != c.want {
					t.Errorf("the year:\n%s", got)
				}
			})
		})
	}
}
