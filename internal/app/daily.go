package app

import (
	"context"
	"fmt"
	"time"

	"posta/internal/daily"
	"posta/internal/destination"
	"posta/internal/finding"
	"posta/internal/jobs"
	"posta/internal/standing"
	"posta/internal/store"
	"posta/internal/words"
)

// newDaily joins the daily letter with what it tells of.
func (s *server) newDaily() *jobs.Regular {
	return daily.New(daily.Config{
		Store: s.state.Store, Directory: s.state.Directory, Hostname: s.cfg.Hostname, Node: nodeName(),
		When: daily.When(s.cfg.Daily.Letter), Language: func(*store.Account) words.Lang { return words.Parse(s.cfg.Language) },
		Now: s.opt.Now, Log: s.log,
		Deposit: s.deposit,
		Sources: []daily.Named{
			{Name: "findings", Source: s.tellFindings}, {Name: "quarantine", Source: s.tellQuarantine}, {Name: "queue", Source: s.tellQueue},
			{Name: "lists", Source: s.tellLists}, {Name: "destinations", Source: s.tellDestinations},
			{Name: "rotations", Source: s.tellRotations}, {Name: "drift", Source: s.tellDrift},
			{Name: "reports", Source: s.tellReports}, {Name: "unsent", Source: s.tellUnsent}, {Name: "disk", Source: s.tellDisk},
		},
	})
}

// tellFindings: what would be held against this server now. Of held mail and DNS lists
// other parts tell.
func (s *server) tellFindings(_ context.Context, l words.Lang, _ time.Time) (p daily.Part, err error) {
	for _, f := range s.self() {
		if f.Outcome != finding.Fail {
			continue
		}
		t := finding.TextOf(f.Check, string(l))
		line := fmt.Sprintf("%s [%s] %s", t.Title, f.Check, f.Subject)
		for _, e := range f.Evidence[:min(len(f.Evidence), 2)] {
			line += fmt.Sprintf(" · %s: %s", e.What, e.Seen)
		}
		p.Waiting = append(p.Waiting, line+". "+t.Us)
	}
	return p, nil
}

func (s *server) tellQuarantine(ctx context.Context, l words.Lang, _ time.Time) (p daily.Part, err error) {
	stats, err := s.state.Store.HeldStats(ctx)
	for _, st := range stats {
		if st.Waiting > 0 {
			p.Waiting = append(p.Waiting, l.Say("daily.held", st.Domain, st.Waiting, st.Since.Local().Format(time.DateTime)))
		}
	}
	return p, err
}

// tellQueue: how much waits. What has waited too long is a finding.
func (s *server) tellQueue(ctx context.Context, l words.Lang, _ time.Time) (p daily.Part, err error) {
	stats, err := s.state.Store.QueueStats(ctx)
	waiting, held := 0, 0
	for _, st := range stats {
		switch st.State {
		case store.Ready:
			waiting += st.Count
		case store.Held:
			held += st.Count
		}
	}
	if held > 0 {
		p.Waiting = append(p.Waiting, l.Say("daily.queue.held", held))
	}
	if waiting > 0 {
		p.Good = append(p.Good, l.Say("daily.queue", waiting))
	}
	return p, err
}

func (s *server) tellLists(ctx context.Context, l words.Lang, since time.Time) (p daily.Part, err error) {
	changes, err := standing.Changes(ctx, s.state.Store, since)
	for i := range changes {
		c := &changes[i]
		key := "daily.list.clear"
		switch {
		case c.Bad():
			key = "daily.list.listed"
		case c.Listed:
			key = "daily.list.good"
		}
		p.Changed = append(p.Changed, l.Say(key, c.Subject, c.List, c.Since.Local().Format(time.DateTime)))
	}
	return p, err
}

// tellDestinations: who refused us or put us off for a reason that is ours to mend, and how
// much was delivered.
func (s *server) tellDestinations(ctx context.Context, l words.Lang, _ time.Time) (p daily.Part, err error) {
	list, _, err := destination.List(ctx, s.state.Store, s.opt.Now(), 2, "")
	var delivered int64
	for i := range list {
		d := &list[i]
		delivered += d.Delivered
		for _, t := range d.Troubles {
			if t.Ours || !aboutUs(t.Reading.Check, t.Reading.Advice) {
				continue
			}
			p.Waiting = append(p.Waiting, l.Say("daily.destination", d.Domain, t.N, l.Say("destination."+string(t.Outcome)), t.Reading.Code, l.Say("refusal."+t.Reading.Advice)))
		}
	}
	if delivered > 0 {
		p.Good = append(p.Good, l.Say("daily.delivered", delivered, len(list)))
	}
	return p, err
}

// aboutUs reports whether a reply speaks of us, not of its recipient or of a moment.
func aboutUs(check finding.ID, advice string) bool {
	switch advice {
	case "", "wait", "unknown", "disabled", "full", "size", "loop", "nomail", "rate-recipient", "content", "tlsa":
		return false
	}
	return check != finding.Greylisted
}

func (s *server) tellDisk(_ context.Context, l words.Lang, _ time.Time) (p daily.Part, err error) {
	free, all, err := room(s.cfg.Data)
	if err == nil && all > 0 {
		p.Good = append(p.Good, l.Say("daily.disk", octets(free), octets(all)))
	}
	return p, err
}
