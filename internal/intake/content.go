package intake

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"posta/internal/addr"
	"posta/internal/dnsbl"
	"posta/internal/finding"
	"posta/internal/policy"
	"posta/internal/reputation"
	"posta/internal/spam"
	"posta/internal/spam/learn"
	"posta/internal/spam/tally"
	"posta/internal/trace"
)

// Learner knows what was learned of mail. *learn.Learner is one.
type Learner interface {
	// Ready tells whether Judge could say something for an account, and whether the
	// account itself has learned anything. It is asked for each recipient.
	Ready(ctx context.Context, account tally.Model) (ready, own bool, err error)
	Judge(ctx context.Context, account tally.Model, f learn.Features) (learn.Outcome, error)
}

// goodStanding is the score from which on a domain has a good history here: some ten
// messages, hardly any of them unwanted.
const goodStanding = 0.6

// newSlots bounds how many messages of several parts are looked into at once: files
// in them may unpack to 32 MiB.
func newSlots() chan struct{} { return make(chan struct{}, max(4, 2*runtime.GOMAXPROCS(0))) }

// taste is what lets the same message score otherwise for two recipients.
type taste struct {
	model tally.Model // whose counts judge, beside the shared ones
	known bool        // the recipient has written to the author
}

// addContent judges a stranger's message by what it holds: links, files, and what the
// learner makes of the words. With all other findings that makes the points of
// spam.score and spam.high. Where they differ for a recipient, k.own has his.
func (k *sink) addContent(ctx context.Context, set *finding.Set, f *facts) {
	if !k.fromOutside() {
		return
	}
	tastes, ready := k.tastes(ctx, f)
	e := k.examine(ctx, set, f, ready)
	if e == nil {
		return
	}
	for _, found := range e.Findings {
		set.Add(found)
	}
	k.addBodyLists(ctx, set, e.Links.Hosts)
	st := k.tx.regard.standing
	e.Facts.History = st.Score >= goodStanding && len(f.from) == 1 && f.from[0] == string(k.env.ReversePath.Domain)
	score := func(t taste) []finding.Finding { return k.score(ctx, set, e, t, ready) }
	if same(tastes) {
		for _, found := range score(tastes[0]) {
			set.Add(found)
		}
		return
	}
	k.scoreEach(set, tastes, score)
}

// tastes are those of the recipients, in their order; ready tells whether what was
// learned suffices to say anything for one of them.
func (k *sink) tastes(ctx context.Context, f *facts) (ts []taste, ready bool) {
	parties := k.parties()
	ts = make([]taste, len(parties))
	if l := k.s.in.cfg.Learner; l != nil {
		for i, p := range parties {
			m := tally.Shared
			if p.Account != 0 {
				m = tally.Account(p.Account)
			}
			can, own, err := l.Ready(ctx, m)
			if err != nil {
				k.s.in.cfg.Log.WarnContext(ctx, "what was learned cannot be read", "err", err)
				break
			}
			if ready = ready || can; own {
				ts[i].model = m
			}
		}
	}
	k.addKnown(ctx, f, parties, ts)
	return ts, ready
}

// addKnown asks which of the recipients wrote to the author, if anybody near one did.
func (k *sink) addKnown(ctx context.Context, f *facts, parties []reputation.Party, ts []taste) {
	if !k.tx.regard.Known {
		return
	}
	author, err := addr.ParseAddress(f.author)
	if err != nil {
		return
	}
	known, err := k.s.in.cfg.Memory.Known(ctx, author, parties...)
	for i := range known {
		ts[i].known = err == nil && known[i].ByAccount
	}
}

// same reports whether the message scores alike for all recipients.
func same(ts []taste) bool {
	for _, t := range ts {
		if t != ts[0] {
			return false
		}
	}
	return true
}

// examine reads the message. It gives nil where that could not be done in time, and
// where the disk failed, which the commit meets again.
func (k *sink) examine(ctx context.Context, set *finding.Set, f *facts, features bool) *spam.Examination {
	in := k.s.in
	if f.tree.Type != "text" {
		select {
		case in.slots <- struct{}{}:
			defer func() { <-in.slots }()
		case <-ctx.Done():
			set.Add(finding.Of(finding.ContentArchive, finding.Unverified, "", "seen", "too many messages were looked into at the same time"))
			return nil
		}
	}
	read := spam.Look
	if features {
		read = spam.Examine
	}
	e, err := read(k.spool.body(), f.tree)
	if err != nil {
		in.cfg.Log.ErrorContext(ctx, "content not read", "id", k.env.ID.String(), "err", err)
		return nil
	}
	return e
}

// addBodyLists asks the lists for domains, where some are configured, about the
// hosts that links lead to.
func (k *sink) addBodyLists(ctx context.Context, set *finding.Set, hosts []string) {
	if len(hosts) == 0 || len(k.s.in.cfg.Lists.Body) == 0 {
		return
	}
	j := &k.tx.judge
	about := dnsbl.Facts{Body: hosts}
	var answers eventually[[]dnsbl.Result]
	k.s.in.ask(j.ctx, &j.wg, &answers, about)
	addListed(set, k.tx, k.s.in.answers(ctx, &answers, about))
}

// score is the outcome of spam.score and spam.high for a taste.
func (k *sink) score(ctx context.Context, set *finding.Set, e *spam.Examination, t taste, ready bool) []finding.Finding {
	var o learn.Outcome
	if ready {
		var err error
		if o, err = k.s.in.cfg.Learner.Judge(ctx, t.model, e.Features); err != nil {
			k.s.in.cfg.Log.WarnContext(ctx, "what was learned cannot be read", "err", err)
		}
	}
	facts := e.Facts
	facts.Known = t.known
	p := &k.tx.policy.Spam
	s := spam.Judge(set, o, facts)
	if s.Points >= p.JunkAt()/2 && s.Points < p.JunkAt() {
		k.tx.noteFact("points for spam", fmt.Sprintf("%.1f of %.1f", s.Points, p.JunkAt()))
	}
	return s.Findings(p.JunkAt(), p.HighAt())
}

// scoreEach keeps in k.own the score of each recipient of special taste; the one for
// all others goes into the common set. What differs is told in the record, with his
// address.
func (k *sink) scoreEach(set *finding.Set, ts []taste, score func(taste) []finding.Finding) {
	memo := map[taste][]finding.Finding{}
	of := func(t taste) []finding.Finding {
		if _, ok := memo[t]; !ok {
			memo[t] = score(t)
		}
		return memo[t]
	}
	common := of(taste{})
	k.own = make([][]finding.Finding, len(ts))
	for i, t := range ts {
		if t == (taste{}) {
			continue
		}
		k.own[i] = of(t)
		for j, f := range k.own[i] {
			if f.Outcome == finding.Fail && common[j].Outcome != finding.Fail {
				f.Subject = k.env.Recipients[i].Address.String()
				k.tx.aside(f)
			}
		}
	}
	for _, f := range common {
		set.Add(f)
	}
}

// setOf is the set that holds for a recipient: the common one, but with his own score
// where he has one.
func (k *sink) setOf(i int, common *finding.Set) *finding.Set {
	if k.own == nil || k.own[i] == nil {
		return common
	}
	set := common.Clone()
	set.Others = slices.DeleteFunc(set.Others, policy.OfScore)
	for _, f := range k.own[i] {
		set.Add(f)
	}
	return &set
}

// ownScore says for the trace what of it fails; nil: the common score holds.
func (k *sink) ownScore(i int) *trace.Own {
	if k.own == nil || k.own[i] == nil {
		return nil
	}
	own := &trace.Own{}
	for _, f := range k.own[i] {
		if f.Outcome == finding.Fail {
			own.Failed = append(own.Failed, f.Check)
		}
	}
	return own
}
