package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"posta/internal/addr"
	"posta/internal/command"
	"posta/internal/daily"
	"posta/internal/drift"
	"posta/internal/feedback"
	"posta/internal/finding"
	"posta/internal/reportout"
	"posta/internal/words"
)

// tellReports: what is wrong by the reports of others about our mail, new, over, and still so.
func (s *server) tellReports(ctx context.Context, l words.Lang, since time.Time) (p daily.Part, err error) {
	domains := s.state.Directory.View().Domains()
	slices.Sort(domains)
	for _, d := range domains {
		alerts, err := s.state.Store.ReportAlerts(ctx, d, since)
		if err != nil {
			return p, err
		}
		for i := range alerts {
			a := &alerts[i]
			line := func(key string, at time.Time) string {
				return l.Say(key, d, l.Say("report.alert."+a.Kind), a.Subject, a.Seen, at.Local().Format(time.DateTime))
			}
			switch {
			case !a.Resolved.IsZero():
				p.Changed = append(p.Changed, line("daily.report.over", a.Resolved))
			case !a.First.Before(since):
				p.Changed = append(p.Changed, line("daily.report.new", a.First))
			case a.Kind == feedback.AlertSpoof: // the policy does its work
				p.Good = append(p.Good, line("daily.report.on", a.First))
			default:
				p.Waiting = append(p.Waiting, line("daily.report.on", a.First))
			}
		}
	}
	return p, nil
}

// tellDrift: what the last look at each of our domains found changed.
func (s *server) tellDrift(ctx context.Context, l words.Lang, since time.Time) (p daily.Part, err error) {
	changes, err := drift.Changes(ctx, s.state.Store, since)
	for _, c := range changes {
		title := l.Say("drift." + string(c.Check))
		if _, ok := finding.Lookup(c.Check); ok {
			title = finding.TextOf(c.Check, string(l)).Title
		}
		key := "daily.drift.new"
		if c.Mended {
			key = "daily.drift.mended"
		}
		p.Changed = append(p.Changed, l.Say(key, c.Domain, title, string(c.Check), c.Subject))
	}
	return p, err
}

// tellRotations: replacements of DKIM keys that a person has to help, because no provider
// of ours keeps the zone or it refuses. What waits for three days is a finding besides.
func (s *server) tellRotations(ctx context.Context, l words.Lang, _ time.Time) (p daily.Part, err error) {
	v, err := s.state.Store.LoadDirectory(ctx)
	if err != nil {
		return p, err
	}
	list, err := command.Rotations(v)
	for i := range list {
		r := &list[i]
		refused := slices.ContainsFunc(r.Lacks, func(k command.Lack) bool { return k.What == "provider" })
		if len(r.Lacks) == 0 || command.KeepsKeys(s.house, r.Domain) && !refused {
			continue
		}
		k := r.Lacks[0]
		p.Waiting = append(p.Waiting, l.Say("daily.rotation", r.Domain, l.Say("dkim.lack."+k.What, k.Server, k.Name), len(r.Lacks)-1))
	}
	return p, err
}

// tellUnsent: reports to other domains that nobody was told of. That is their matter, unless
// none can be sent at all.
func (s *server) tellUnsent(ctx context.Context, l words.Lang, since time.Time) (p daily.Part, err error) {
	wanted := s.cfg.Reports.DMARC || s.cfg.Reports.TLS
	if wanted && s.reportsFrom() == (addr.Address{}) && len(s.state.Directory.View().Domains()) > 0 {
		p.Waiting = append(p.Waiting, l.Say("daily.unsent.keys"))
	}
	list, err := reportout.Unsent(ctx, s.state.Store, since)
	slices.SortFunc(list, func(a, b reportout.Sent) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Kind, b.Kind))
	})
	for _, r := range list {
		p.Good = append(p.Good, l.Say("daily.unsent", fmt.Sprintf("%s (%s, %s)", r.Domain, r.Kind, r.Day), r.Why))
	}
	return p, err
}
