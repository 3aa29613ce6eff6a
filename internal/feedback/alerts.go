package feedback

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"posta/internal/store"
)

// Kinds of incidents; their words are below "report.alert." in the catalogue.
const (
	AlertUnaligned  = "unaligned"  // a known source stopped passing: page
	AlertOwn        = "own"        // mail from our own addresses fails: page
	AlertNewSource  = "new-source" // somebody new sends much in our name
	AlertCompliance = "compliance" // the share that passes has fallen
	AlertSilent     = "silent"     // no reports, though we send
	AlertPolicy     = "policy"     // reporters find another policy than is published
	AlertSpoof      = "spoof"      // a burst in our name that the policy already blocks
)

// What makes an incident (checks.md §2, Alerts).
const (
	recentDays   = 7
	beforeDays   = 28
	failingMin   = 10 // messages of a source, before its failing means something
	newPerDay    = 50 // messages
	newPercent   = 1
	fallPoints   = 5
	silentDays   = 3
	silentPerDay = 100 // sent to reporters
)

// Windows are a domain's last week, and the same with four weeks before it.
type Windows struct {
	Now            time.Time
	Domain         string
	Record         string // published; "" if it could not be seen
	Recent, Whole  *Overview
	Sources, Since []Source            // of the week, of all
	Known          []store.ReportAlert // that go on
}

// Look reads the windows of a domain.
func Look(ctx context.Context, st Store, q Query, record string) (w *Windows, err error) {
	w = &Windows{Now: q.Now, Domain: q.Domain, Record: record}
	if w.Known, err = st.ReportAlerts(ctx, q.Domain, q.Now); err != nil {
		return nil, err
	}
	for _, x := range []struct {
		days int
		view **Overview
		list *[]Source
	}{{recentDays, &w.Recent, &w.Sources}, {recentDays + beforeDays, &w.Whole, &w.Since}} {
		q.Days = x.days
		if *x.view, err = View(ctx, st, q); err != nil {
			return nil, err
		}
		if *x.list, err = Sources(ctx, st, q); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Incidents are what is wrong now, each with an id that stays the same as long as it is.
func (w *Windows) Incidents() []store.ReportAlert {
	var out []store.ReportAlert
	add := func(kind, subject string, page bool, args ...any) {
		out = append(out, store.ReportAlert{
			ID: kind + "/" + w.Domain + "/" + subject, Domain: w.Domain, Kind: kind, Subject: subject, Page: page,
			Seen: seenOf(args), First: w.Now, Last: w.Now,
		})
	}
	for i := range w.Sources {
		w.source(&w.Sources[i], add)
	}
	recent, whole := w.compliance(w.Sources), w.compliance(w.Since)
	whole.Messages -= recent.Messages
	whole.Aligned -= recent.Aligned
	if recent.Messages >= lowVolume && whole.Messages >= lowVolume {
		if now, then := rate(&recent), rate(&whole); then-now >= fallPoints {
			add(AlertCompliance, "", false, fmt.Sprintf("%.1f", now), fmt.Sprintf("%.1f", then))
		}
	}
	w.silent(add)
	w.policy(add)
	return out
}

// compliance counts what should pass: without spoofed mail once the policy blocks it.
func (w *Windows) compliance(list []Source) (c Counts) {
	for i := range list {
		if list[i].Class != Spoof || !w.enforced() {
			c.plus(&list[i].Counts)
		}
	}
	return c
}

// enforced reports whether the published policy blocks what fails.
func (w *Windows) enforced() bool { return rank(tag(w.Record, "p")) > 0 && tag(w.Record, "t") != "y" }

// rate is the share that passes, in percent.
func rate(c *Counts) float64 { return 100 * float64(c.Aligned) / float64(max(c.Messages, 1)) }

type adder func(kind, subject string, page bool, args ...any)

// seenOf keeps what was seen as the arguments of a text, so that whoever reads it reads it in
// his language.
func seenOf(args []any) string {
	parts := make([]string, len(args))
	for i, a := range args {
		parts[i] = strings.ReplaceAll(fmt.Sprint(a), "|", "/")
	}
	return strings.Join(parts, "|")
}

// Seen are the arguments of the text "report.seen." of an incident's kind.
func Seen(a *store.ReportAlert) []any {
	var out []any
	for part := range strings.SplitSeq(a.Seen, "|") {
		out = append(out, part)
	}
	return out
}

func (w *Windows) source(s *Source, add adder) {
	earlier := w.earlier(s.Group)
	failing := s.Messages >= failingMin && rate(&s.Counts) < 50
	switch {
	case s.Class == Ours && s.Messages >= failingMin && rate(&s.Counts) < 95:
		add(AlertOwn, s.Group, true, s.Aligned, s.Messages)
	case (earlier.Messages >= failingMin && rate(&earlier) >= 90 || w.goesOn(AlertUnaligned, s.Group)) && failing && s.Class != Forwarder && (s.Class != Spoof || s.Decided == ""):
		add(AlertUnaligned, s.Group, true, s.Aligned, s.Messages)
	case s.Class == Spoof && w.enforced():
		if s.Messages > recentDays*newPerDay && s.Messages > 5*earlier.Messages {
			add(AlertSpoof, s.Group, false, s.Messages, s.Quarantined+s.Rejected)
		}
	case earlier.Messages == 0 && s.Class != Ours && s.Decided == "" && w.Whole.Messages > w.Recent.Messages &&
		(s.Messages > recentDays*newPerDay || s.Messages >= failingMin && s.Messages*100 > newPercent*w.Recent.Messages):
		add(AlertNewSource, s.Group, false, s.Messages, s.Aligned)
	}
}

// goesOn reports whether an incident is known and not over: a source that fails for long is no
// longer known to have passed, and fails all the same.
func (w *Windows) goesOn(kind, subject string) bool {
	return slices.ContainsFunc(w.Known, func(a store.ReportAlert) bool {
		return a.Kind == kind && a.Subject == subject && a.Resolved.IsZero()
	})
}

// earlier is what a group sent before the last week.
func (w *Windows) earlier(group string) (c Counts) {
	for i := range w.Since {
		if w.Since[i].Group == group {
			c.plus(&w.Since[i].Counts)
		}
	}
	for i := range w.Sources {
		if s := &w.Sources[i]; s.Group == group {
			c.Messages -= s.Messages
			c.Aligned -= s.Aligned
			c.DKIM -= s.DKIM
			c.SPF -= s.SPF
		}
	}
	return c
}

// silent: those who reported before say nothing, though they had mail of ours.
func (w *Windows) silent(add adder) {
	last := ""
	for i := range w.Whole.Days {
		if d := &w.Whole.Days[i]; d.Messages > 0 {
			last = d.Day
		}
	}
	if last == "" || daysSince(w.Now, last) <= silentDays+1 { // yesterday's is on its way
		return
	}
	days, sent := map[string]bool{}, int64(0)
	for i := range w.Recent.Days {
		if d := &w.Recent.Days[i]; d.Day > last && d.Sent > 0 {
			days[d.Day], sent = true, sent+d.Sent
		}
	}
	if len(days) >= silentDays && sent > int64(len(days))*silentPerDay {
		add(AlertSilent, "", false, last, sent)
	}
}

// policy: what was found in the last two days is not what is published.
func (w *Windows) policy(add adder) {
	if w.Record == "" {
		return
	}
	for _, p := range w.Recent.Policies {
		if daysSince(w.Now, p.Last) <= 1 && daysSince(w.Now, p.First) >= 2 && !samePolicy(p.Policy, w.Record) {
			add(AlertPolicy, p.Policy, false, p.Reports, p.Policy)
			return
		}
	}
}

// Reconcile holds what is wrong now against the incidents that go on: what is to be
// written, and what a person should hear of: what is new or over, and nothing twice.
func Reconcile(known, now []store.ReportAlert, at time.Time) (write, tell []store.ReportAlert) {
	for _, n := range now {
		i := slices.IndexFunc(known, func(k store.ReportAlert) bool { return k.ID == n.ID && k.Resolved.IsZero() })
		if i >= 0 {
			n.First = known[i].First
		} else {
			tell = append(tell, n)
		}
		write = append(write, n)
	}
	for _, k := range known {
		if k.Resolved.IsZero() && !slices.ContainsFunc(now, func(n store.ReportAlert) bool { return n.ID == k.ID }) {
			k.Resolved = at
			write, tell = append(write, k), append(tell, k)
		}
	}
	return write, tell
}
