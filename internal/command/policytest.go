package command

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"posta/internal/addr"
	"posta/internal/arc"
	"posta/internal/directory"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/policy"
	"posta/internal/store"
	"posta/internal/trace"
)

// PolicyTrial is the argument of policy.test: a changed policy, tried on the
// findings that real traffic left. Nothing is changed by it.
type PolicyTrial struct {
	Text  string    `json:"text"`
	Since time.Time `json:"since"`
}

// PolicyReport is what a changed policy would have done otherwise.
type PolicyReport struct {
	Since    time.Time      `json:"since"`
	Sessions int            `json:"sessions"` // messages and refused transactions looked at
	Changes  []PolicyChange `json:"changes"`  // most frequent first
}

// PolicyChange is one kind of change for one sender. It tells nothing of what the
// messages say.
type PolicyChange struct {
	Sender  string    `json:"sender"` // domain of the reverse-path; the client for the null one
	Was     string    `json:"was"`
	Becomes string    `json:"becomes"`
	Check   string    `json:"check,omitempty"` // that decides now
	Unknown bool      `json:"unknown,omitempty"`
	Count   int       `json:"count"` // recipients
	IDs     []mail.ID `json:"-"`
	Traces  []string  `json:"traces"`
	Last    time.Time `json:"last"`
}

// replayPage is how many traces are read at once.
const replayPage = 1000

func testPolicy(ctx context.Context, h *House, _ Principal, a PolicyTrial) (any, error) {
	next, err := policy.Parse(a.Text)
	if err != nil {
		return nil, fail(ErrUsage, "error.policy.text", err)
	}
	if err := h.Store.FlushTraces(ctx); err != nil {
		return nil, err
	}
	t := &trial{next: next, found: map[changeKey]*PolicyChange{}}
	pages := make(chan []store.StoredTrace, runtime.GOMAXPROCS(0))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(pages)
		return h.eachPage(ctx, a.Since, pages)
	})
	results := make(chan *trial, runtime.GOMAXPROCS(0))
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			mine := &trial{next: next, found: map[changeKey]*PolicyChange{}}
			defer func() { results <- mine }()
			for page := range pages {
				for i := range page {
					mine.look(&page[i], a.Since)
				}
			}
			return ctx.Err()
		})
	}
	err = g.Wait()
	close(results)
	for mine := range results {
		t.join(mine)
	}
	if err != nil {
		return nil, err
	}
	return t.report(a.Since), nil
}

// eachPage hands on the traces since a moment, newest first.
func (h *House) eachPage(ctx context.Context, since time.Time, pages chan<- []store.StoredTrace) error {
	before := time.Time{}
	var last mail.ID
	for {
		page, err := h.Store.LatestTraces(ctx, before, replayPage)
		if err != nil {
			return err
		}
		full := len(page) == replayPage
		// "before" is a moment, and several traces may share it: those that were
		// handed on already are left out.
		if i := slices.IndexFunc(page, func(t store.StoredTrace) bool { return t.ID == last }); i >= 0 {
			page = page[i+1:]
		}
		if len(page) == 0 {
			return nil
		}
		last = page[len(page)-1].ID
		select {
		case pages <- page:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !full || last.Time().Before(since) {
			return nil
		}
		before = last.Time().Add(time.Millisecond)
	}
}

type changeKey struct {
	sender, was, becomes, check string
	unknown                     bool
}

// trial gathers the changes; it belongs to one goroutine.
type trial struct {
	next     *policy.Policy
	sessions int
	found    map[changeKey]*PolicyChange
}

// look tries one trace.
func (t *trial) look(st *store.StoredTrace, since time.Time) {
	if st.ID.Time().Before(since) {
		return
	}
	rec, err := trace.Decode(st.TraceRecord)
	if err != nil || rec.Merged != nil {
		return // what was merged has no findings of its own
	}
	seen := seenOf(rec)
	if len(seen.To) == 0 {
		return
	}
	t.sessions++
	for i, b := range t.next.Replay(&seen) {
		was := seen.To[i].Action
		becomes := b.Action.String()
		switch {
		case was == mail.Defer && b.Greylist != "": // put off now as then
			continue
		case b.Unknown:
			becomes = "unknown"
		case b.Greylist != "" && was < mail.Defer && !rec.Greylisted:
			becomes = "greylist"
		case b.Action == was:
			continue
		}
		t.add(rec, changeKey{senderOf(rec), was.String(), becomes, cmp.Or(b.Check, b.Greylist), b.Unknown})
	}
}

// seenOf takes out of a trace what policy looks at.
func seenOf(rec *trace.Record) policy.Seen {
	class, _ := mail.ParseClass(rec.Class)
	asked, _ := mail.ParseAction(rec.Asked)
	filter, _ := mail.ParseAction(rec.Filter)
	s := policy.Seen{
		Class: class, Asked: asked, Filter: filter, PerRcpt: rec.Door == mail.LMTP.String(),
		Whole: rec.Stage == trace.Accepted || rec.Stage == trace.AtData, Findings: &rec.Findings, Chain: chainOf(rec),
		Greylist: slices.ContainsFunc(rec.Scans, func(s trace.Scan) bool { return s.Greylist }),
	}
	alone := takeAlone(&s, rec)
	for _, to := range rec.To {
		action, ok := mail.ParseAction(to.Action)
		if !ok || !policy.Decides(finding.ID(to.Check)) {
			continue // refused for what no policy decides: no such address, no room
		}
		if finding.ID(to.Check) == finding.ScanRefused && to.Reply != "" {
			continue // a filter refused this one recipient; no finding of the message says so
		}
		r := policy.SeenRecipient{Action: action, Early: to.Reply != ""}
		if a, err := addr.ParseAddress(to.Address); err == nil {
			r.Recipient, r.Postmaster = a, directory.IsPostmaster(a)
		}
		r.Friend, r.Own = to.Friend, ownOf(&to, alone)
		for _, f := range alone {
			if string(f.Check) == to.Check && !ofSomebody(f) {
				r.Alone = append(r.Alone, f)
			}
		}
		s.To = append(s.To, r)
	}
	return s
}

// chainOf is the chain of a trace, as policy looks at it.
func chainOf(rec *trace.Record) *policy.Chain {
	if rec.Chain == nil {
		return nil
	}
	c := &policy.Chain{}
	c.Asked, _ = mail.ParseAction(rec.Chain.Asked)
	for _, s := range rec.Chain.Seals {
		c.Seals = append(c.Seals, arc.Voucher{Instance: s.Instance, Sealer: s.Sealer, Intact: s.Intact, Covered: s.Covered})
		c.Passed = append(c.Passed, s.Passed)
	}
	return c
}

// ownOf is what fails by the recipient's own score; nil: the common one holds. Older
// traces tell of an own score only by what failed and was told with his address.
func ownOf(to *trace.Recipient, alone []finding.Finding) *[]finding.ID {
	if to.Own != nil {
		return &to.Own.Failed
	}
	var failed []finding.ID
	for _, f := range alone {
		if f.Subject == to.Address && ofSomebody(f) {
			failed = append(failed, f.Check)
		}
	}
	if failed == nil {
		return nil
	}
	return &failed
}

// ofSomebody reports whether a finding is of the own score of one recipient.
func ofSomebody(f finding.Finding) bool {
	return (f.Check == finding.SpamScore || f.Check == finding.SpamHigh) && strings.Contains(f.Subject, "@")
}

// takeAlone takes out of what was found that which holds for single recipients only:
// whom a limit refused, and who has a score of his own.
func takeAlone(s *policy.Seen, rec *trace.Record) (alone []finding.Finding) {
	isAlone := func(f finding.Finding) bool { return policy.Alone(f.Check) || ofSomebody(f) }
	if !slices.ContainsFunc(rec.Findings.Others, isAlone) {
		return nil
	}
	rest := rec.Findings.Clone()
	rest.Others = nil
	for _, f := range rec.Findings.Others {
		if isAlone(f) {
			alone = append(alone, f)
		} else {
			rest.Others = append(rest.Others, f)
		}
	}
	s.Findings = &rest
	return alone
}

// senderOf is the domain of the reverse-path, or the client of a message without.
func senderOf(rec *trace.Record) string {
	if a, err := addr.ParseAddress(rec.From); err == nil {
		return string(a.Domain)
	}
	return cmp.Or(rec.PTR, rec.IP, rec.Door)
}

func (t *trial) add(rec *trace.Record, k changeKey) {
	c := t.found[k]
	if c == nil {
		c = &PolicyChange{Sender: k.sender, Was: k.was, Becomes: k.becomes, Check: k.check, Unknown: k.unknown}
		t.found[k] = c
	}
	c.Count++
	if n := len(c.IDs); n == 0 || c.IDs[n-1] != rec.ID {
		c.IDs = append(c.IDs, rec.ID)
	}
	if rec.At.After(c.Last) {
		c.Last = rec.At
	}
}

func (t *trial) join(o *trial) {
	t.sessions += o.sessions
	for k, c := range o.found {
		have := t.found[k]
		if have == nil {
			t.found[k] = c
			continue
		}
		have.Count += c.Count
		have.IDs = append(have.IDs, c.IDs...)
		if c.Last.After(have.Last) {
			have.Last = c.Last
		}
	}
}

func (t *trial) report(since time.Time) PolicyReport {
	out := PolicyReport{Since: since, Sessions: t.sessions, Changes: []PolicyChange{}}
	for _, c := range t.found {
		slices.SortFunc(c.IDs, func(a, b mail.ID) int { return slices.Compare(b[:], a[:]) })
		for _, id := range c.IDs {
			c.Traces = append(c.Traces, id.String())
		}
		out.Changes = append(out.Changes, *c)
	}
	slices.SortFunc(out.Changes, func(a, b PolicyChange) int {
		return cmp.Or(b.Count-a.Count, cmp.Compare(a.Sender, b.Sender), cmp.Compare(a.Was, b.Was), cmp.Compare(a.Becomes, b.Becomes), cmp.Compare(a.Check, b.Check))
	})
	return out
}
