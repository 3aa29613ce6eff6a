package intake

import (
	"context"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"posta/internal/addr"
	"posta/internal/dnsbl"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/policy"
	"posta/internal/reputation"
	"posta/internal/spf"
	"posta/internal/trace"
)

// regard is what speaks for a stranger, or against it, beside the findings. Nobody is
// refused for want of it; a score of spam may take it into account.
type regard struct {
	Provider string         // the big provider that it is, "" for none
	Allowed  []dnsbl.Result // allowlists that have it
	standing                // how its mail fared here before
	Known    bool           // one of a recipient's circle wrote to the author, whom DMARC proved
}

// standing is what is remembered of the reverse-path's domain from the client's
// network, as it was when it was read. The zero value is unknown.
type standing struct {
	Score  float64 // from -1 to 1, see reputation.Standing.Score
	Counts reputation.Counts
}

// badStanding is the score from which on down reputation.bad fails: nearly all of at
// least five messages was junk or refused.
const badStanding = -0.5

// standings remembers for a minute what was read, so that a sender of thousands costs
// one read a minute. It is safe for concurrent use.
type standings struct {
	mu sync.Mutex
	m  map[standingKey]readStanding
}

type standingKey struct {
	domain  addr.Domain
	network netip.Prefix
	proven  bool
}

type readStanding struct {
	standing
	until time.Time
}

const (
	standingFor  = time.Minute
	maxStandings = 8192 // of more all are read again
)

func (c *standings) get(k standingKey, now time.Time) (standing, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.m[k]
	return r.standing, ok && now.Before(r.until)
}

func (c *standings) put(k standingKey, s standing, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= maxStandings {
		c.m = map[standingKey]readStanding{}
	}
	c.m[k] = readStanding{s, now.Add(standingFor)}
}

// beginStanding reads what is remembered of a stranger: once SPF has said whether the
// domain is proven, since anybody can say another's.
func (j *txJudge) beginStanding(e *mail.Envelope) {
	in := j.in
	if in.cfg.Memory == nil {
		return
	}
	if j.spf.ready() {
		k := standingKey{e.ReversePath.Domain, reputation.Network(e.Client.IP), j.spf.value.Status == spf.Pass}
		if st, ok := in.standings.get(k, in.cfg.Now()); ok {
			j.known = eventually[standing]{done: over, value: st}
			return
		}
	}
	j.readStanding(reputation.Sender{Domain: e.ReversePath.Domain, IP: e.Client.IP})
}

func (j *txJudge) readStanding(who reputation.Sender) {
	j.known.beginBeside(j.ctx, &j.wg, func(ctx context.Context) standing {
		r, _ := j.spf.await(ctx)
		who.Proven = r.Status == spf.Pass
		return j.in.standing(ctx, who)
	})
}

// standing reads through the cache. Who cannot be read is unknown.
func (in *Intake) standing(ctx context.Context, who reputation.Sender) standing {
	now := in.cfg.Now()
	k := standingKey{who.Domain, reputation.Network(who.IP), who.Proven}
	if st, ok := in.standings.get(k, now); ok {
		return st
	}
	found, err := in.cfg.Memory.Standing(ctx, who)
	if err != nil {
		return standing{}
	}
	st := standing{Score: found.Score(now), Counts: found.Counts(now)}
	in.standings.put(k, st, now)
	return st
}

// addStanding maps how the sender's mail fared (S86).
func addStanding(set *finding.Set, domain string, st standing) {
	switch {
	case st.Score <= badStanding:
		set.Add(finding.Of(finding.ReputationBad, finding.Fail, domain, "remembered", st.Counts.String(), "score", score(st.Score)))
	case st.Counts.Total() > 0:
		set.Add(finding.Finding{Check: finding.ReputationBad, Outcome: finding.Pass})
	}
}

func score(s float64) string { return strconv.FormatFloat(s, 'f', 2, 64) }

// remember counts what became of a stranger's message. What the memory itself decided
// does not count: it would prove itself right.
func (s *session) remember(tx *transaction, fate reputation.Fate, check string) {
	e := tx.env
	if s.in.cfg.Memory == nil || finding.ID(check) == finding.ReputationBad {
		return
	}
	if _, ok := reputation.AsStranger(&e.Client, e.ReversePath); !ok {
		return
	}
	s.in.cfg.Memory.Record(reputation.Sender{
		Domain: e.ReversePath.Domain, IP: e.Client.IP, Proven: tx.judge.spfSeen.Status == spf.Pass,
	}, fate)
}

// rememberVerdicts counts a message by what became of it for whom it fared best. One
// that was put off comes again, and is counted then.
func (k *sink) rememberVerdicts(verdicts []mail.Verdict) {
	best := verdicts[0]
	for _, v := range verdicts {
		if v.Action < best.Action {
			best = v
		}
	}
	if best.Action != mail.Defer {
		k.s.remember(k.tx, fates[best.Action], best.Check)
	}
}

// fates are what is counted of actions; of Defer nothing is.
var fates = map[mail.Action]reputation.Fate{
	mail.Accept: reputation.Wanted,
	mail.Junk:   reputation.Junk, mail.Quarantine: reputation.Junk,
	mail.Discard: reputation.Refused, mail.Reject: reputation.Refused,
}

// rememberRefused counts a transaction of which every recipient was refused, and one
// of them for what policy holds against the sender.
func (s *session) rememberRefused(tx *transaction) {
	if len(tx.env.Recipients) > 0 {
		return
	}
	for _, r := range tx.refused {
		if r.Action == mail.Reject.String() && r.Check != "" && policy.Decides(finding.ID(r.Check)) {
			s.remember(tx, reputation.Refused, r.Check)
			return
		}
	}
}

// recognise asks whether our users wrote to the author, if DMARC proved who that is:
// for each recipient, those of his own circle.
func (k *sink) recognise(ctx context.Context, set *finding.Set, f *facts) {
	in := k.s.in
	if in.cfg.Memory == nil || len(f.from) != 1 || set.Outcome(finding.DMARCFail) != finding.Pass {
		return
	}
	author, err := addr.ParseAddress(f.author)
	if err != nil {
		return
	}
	seen := map[reputation.Circle]bool{}
	for _, p := range k.parties() {
		if seen[p.Circle] {
			continue
		}
		seen[p.Circle] = true
		if known := in.written.knows(ctx, p.Circle, author); known.ByCircle {
			k.tx.regard.Known = true
			k.tx.noteFact("known correspondent", author.String()+": days on which we wrote: "+strconv.Itoa(known.Days)+", the last "+known.Last.Format(time.DateOnly))
		}
	}
}

// noteFact notes what fails no check and is worth knowing.
func (tx *transaction) noteFact(what, seen string) {
	tx.notes = append(tx.notes, finding.Fact{What: what, Seen: seen})
}

// aside keeps a finding about one recipient: it is recorded, and not held against the
// others.
func (tx *transaction) aside(f finding.Finding) { tx.asides = append(tx.asides, f) }

// tell adds to a record what is known beside the findings.
func (tx *transaction) tell(r *trace.Record) {
	for _, f := range tx.asides {
		r.Findings.Add(f)
	}
	r.Notes, r.Greylisted, r.Proven = tx.notes, tx.greylisted, tx.judge.spfSeen.Status == spf.Pass
	if st := tx.regard.standing; st.Counts.Total() > 0 {
		r.Notes = append(r.Notes, finding.Fact{What: "remembered of the sender", Seen: st.Counts.String() + ", score " + score(st.Score)})
	}
}
