package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/feedback"
	"posta/internal/jobs"
	"posta/internal/letter"
	"posta/internal/relay"
	"posta/internal/report"
	"posta/internal/resolver"
	"posta/internal/store"
	"posta/internal/words"
)

// keepReports is how long reports of others are kept (and incidents that are over).
const keepReports = 400 * day

// newCollector joins what takes in the reports of others.
func (s *server) newCollector() *report.Collector {
	return report.New(report.Config{
		Store: s.state.Store, Blobs: s.state.Blobs, Directory: s.state.Directory, Names: s.dns, Node: nodeName(), Now: s.opt.Now, Log: s.log,
	})
}

// noteSent counts a recipient who got mail of a domain of ours.
func (s *server) noteSent(e *store.QueueEntry, o *relay.Outcome) {
	_, domain, ok := strings.Cut(e.ReversePath, "@")
	if !ok || !e.Sign || !s.state.Directory.View().LocalName(domain) {
		return
	}
	at := o.Ended
	if at.IsZero() {
		at = s.opt.Now()
	}
	s.sent.Note(at, domain, e.Domain)
}

// publishedDMARC looks up the record of a domain, "" for none.
func (s *server) publishedDMARC(ctx context.Context, domain string) (string, error) {
	if s.dns == nil {
		return "", errors.New("no resolver yet")
	}
	res, err := s.dns.LookupTXT(ctx, "_dmarc."+domain)
	if err != nil || res.State != resolver.Found {
		return "", err
	}
	for _, t := range res.Records {
		if strings.HasPrefix(strings.ToLower(strings.ReplaceAll(t, " ", "")), "v=dmarc1") {
			return t, nil
		}
	}
	return "", nil
}

// newReportWatch looks once a day what has changed in the reports, for all nodes; and
// forgets what is old.
func (s *server) newReportWatch() *jobs.Regular {
	return &jobs.Regular{
		Store: s.state.Store, Node: nodeName(), Key: "report-watch", Now: s.opt.Now, Log: s.log,
		First: 20 * time.Minute, Again: time.Hour, Every: 24 * time.Hour, Lease: 30 * time.Minute,
		Do: func(ctx context.Context) error {
			var failed error
			for _, domain := range s.state.Directory.View().Domains() {
				failed = errors.Join(failed, s.watchReports(ctx, domain))
			}
			return errors.Join(failed, s.state.Store.DropReports(ctx, s.opt.Now().Add(-keepReports)))
		},
	}
}

// tellAgain is how long it is made sure that a letter about an incident was written.
const tellAgain = 48 * time.Hour

// watchReports writes down the incidents of a domain, and tells its postmaster of those
// that are new or over and cannot wait for the daily letter. The incident is written first,
// and its letter has an id that follows from it: when we die between the two, the next look
// writes the letter, and one that is there is not written again.
func (s *server) watchReports(ctx context.Context, domain string) error {
	now := s.opt.Now().UTC().Truncate(time.Microsecond)
	record, err := s.publishedDMARC(ctx, domain)
	if err != nil {
		record = "" // not known: nothing is said of it
	}
	w, err := feedback.Look(ctx, s.state.Store, feedback.Query{Domain: domain, Now: now, Own: s.ownIPs()}, record)
	if err != nil {
		return err
	}
	write, _ := feedback.Reconcile(w.Known, w.Incidents(), now)
	if err := s.state.Store.PutReportAlerts(ctx, write[:min(len(write), 500)]); err != nil {
		return err
	}
	since := now.Add(-tellAgain)
	known, err := s.state.Store.ReportAlerts(ctx, domain, since)
	if err != nil {
		return err
	}
	for i := range known {
		a := &known[i]
		if !a.Page || a.Resolved.IsZero() && a.First.Before(since) {
			continue
		}
		if err := s.page(ctx, a, now); err != nil {
			return err
		}
	}
	return nil
}

// page writes a letter about an incident to the postmaster of its domain.
func (s *server) page(ctx context.Context, a *store.ReportAlert, now time.Time) error {
	l := words.Parse(s.cfg.Language)
	key, at := "report.page.new", a.First
	if !a.Resolved.IsZero() {
		key = "report.page.over"
	}
	subject := l.Say(key, l.Say("report.alert."+a.Kind), a.Domain)
	body := l.Say("report.page.body", l.Say("report.alert."+a.Kind), a.Subject, l.Say("report.seen."+a.Kind, feedback.Seen(a)...), a.First.Local().Format(time.DateTime), a.Domain)
	sum := sha256.Sum256([]byte(key + a.ID))
	to := addr.Address{Local: "postmaster", Domain: addr.Domain(a.Domain)}
	err := s.deposit(ctx, letter.New(s.cfg.Hostname, now, letter.IDOf(at, fmt.Sprintf("%x", sum)), to, subject, body))
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	return err
}
