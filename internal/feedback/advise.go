package feedback

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"posta/internal/dmarc"
)

// Evidence is what the ladder decides on. It is of the last [window] days.
type Evidence struct {
	Domain     string
	Now        time.Time
	Record     string // that is published; "" none
	Parked     bool   // it sends no mail and nobody reads any there
	Lists      bool   // its people post to mailing lists
	Problems   []string
	Overview   *Overview
	Sources    []Source
	Refused    []Refusal // that speak of SPF, DKIM or DMARC, of two weeks
	Complaints Complaints
	HeldFor    int // days since reporters find the policy that is published now
	FirstDays  int // days since the first report
}

// window is how far back evidence goes, in days: two steps of four weeks.
const window = 60

// What a step asks for (checks.md §2, Path).
const (
	minDays       = 28  // under observation
	minReportDays = 7   // with reports
	minOrgs       = 3   // that report
	minCoverage   = 80  // % of what we sent that is reported
	minAligned    = 98  // % of known senders' mail that is aligned by DKIM
	quietDays     = 14  // without a new legitimate source
	testingDays   = 14  // of t=y
	unclassified  = 0.1 // % of the volume that may come from one source that nobody knows
	lowVolume     = 50  // messages in the window: too few to say anything
)

// Blocker is why the next step must wait: a key of the words catalogue below
// "report.blocker." and its arguments.
type Blocker struct {
	ID   string   `json:"id"`
	Args []string `json:"args,omitempty"`
}

// Advice is the next step, and whether it may be taken.
type Advice struct {
	Domain   string     `json:"domain"`
	Step     string     `json:"step"` // where the domain stands: missing, none, testing-quarantine, quarantine, testing-reject, reject
	Ready    bool       `json:"ready"`
	Final    bool       `json:"final"` // there is no further step
	Blockers []Blocker  `json:"blockers"`
	Next     *string    `json:"next_record"` // null: nothing to publish now
	Rollback string     `json:"rollback,omitempty"`
	TLS      *TLSAdvice `json:"tls,omitempty"` // of the domain's MTA-STS policy
	Limits   []string   `json:"limits"`        // keys below "report.limit.": what reports do not prove
}

// Advise says what the ladder asks for. It never gives pct, and never a weaker policy
// than the one that is published.
func Advise(e *Evidence) Advice {
	a := Advice{Domain: e.Domain, Blockers: []Blocker{}, Limits: []string{"placement", "silent", "either"}}
	rec, err := dmarc.Parse(e.Record)
	if e.Record == "" || err != nil || rec == nil {
		a.Step = "missing"
		p := "none"
		if e.Parked {
			p = "reject"
		}
		a.publish(e, p, false)
		return a
	}
	a.Rollback = e.Record
	testing := tag(e.Record, "t") == "y"
	switch policy := strings.ToLower(cmp.Or(tag(e.Record, "p"), "none")); {
	case e.Parked && policy != "reject":
		a.Step = policy
		a.publish(e, "reject", false)
	case policy == "none":
		a.Step = "none"
		a.observe(e, minDays)
		a.publish(e, "quarantine", true)
	case policy == "quarantine" && testing:
		a.Step = "testing-quarantine"
		a.observe(e, quietDays/2)
		a.publish(e, "quarantine", false)
	case policy == "quarantine":
		a.Step = "quarantine"
		if e.Lists {
			a.Final = true
			a.Limits = append(a.Limits, "lists")
			return a
		}
		a.observe(e, minDays)
		a.publish(e, "reject", true)
	case policy == "reject" && testing:
		a.Step = "testing-reject"
		a.observe(e, testingDays)
		a.publish(e, "reject", false)
	default:
		a.Step, a.Final = policy, true
	}
	return a
}

func (a *Advice) block(id string, args ...any) {
	b := Blocker{ID: id}
	for _, x := range args {
		b.Args = append(b.Args, fmt.Sprint(x))
	}
	a.Blockers = append(a.Blockers, b)
}

// observe adds what is missing for a step that wants the present policy to have been seen
// for some days.
func (a *Advice) observe(e *Evidence, days int) {
	o := e.Overview
	if o.Messages < lowVolume && o.Sent < lowVolume {
		a.block("volume", o.Messages, lowVolume)
		return
	}
	if held := min(e.HeldFor, e.FirstDays); held < days {
		a.block("days", held, days)
	}
	reportDays := 0
	for i := range o.Days {
		if o.Days[i].Messages > 0 {
			reportDays++
		}
	}
	if reportDays < minReportDays {
		a.block("report-days", reportDays, minReportDays)
	}
	if len(o.Reporters) < minOrgs {
		a.block("reporters", len(o.Reporters), minOrgs)
	}
	a.sources(e)
	a.refused(e)
	for _, p := range e.Problems {
		a.block("check", p)
	}
}

// sources adds what the senders lack.
func (a *Advice) sources(e *Evidence) {
	var known, dkim, ours int64
	newest := ""
	for i := range e.Sources {
		s := &e.Sources[i]
		switch s.Class {
		case Misconfigured:
			a.block("misconfigured", s.Group, s.Messages-s.Aligned, s.Messages)
			fallthrough
		case Ours, Vendor:
			if s.Class == Ours {
				ours += s.Messages
			}
			known += s.Messages
			dkim += s.DKIM
			newest = max(newest, s.First)
		case Spoof:
			if s.Decided == "" && float64(s.Messages)*100 > unclassified*float64(e.Overview.Messages) {
				a.block("unclassified", s.Group, s.Messages)
			}
		}
	}
	if known > 0 && dkim*100 < known*minAligned {
		a.block("aligned", percent(dkim, known), minAligned)
	}
	if sent := e.Overview.Sent; sent > 0 && ours*100 < sent*minCoverage {
		a.block("coverage", percent(ours, sent), minCoverage)
	}
	if day, err := time.Parse(time.DateOnly, newest); err == nil && e.FirstDays > quietDays {
		if since := int(e.Now.Sub(day).Hours() / 24); since < quietDays {
			a.block("new-source", since, quietDays)
		}
	}
}

func percent(n, of int64) string { return fmt.Sprintf("%.1f", 100*float64(n)/float64(of)) }

// publish names the next record; it is given when nothing is in the way.
func (a *Advice) publish(e *Evidence, policy string, testing bool) {
	if a.Ready = len(a.Blockers) == 0; !a.Ready {
		return
	}
	next := NextRecord(e.Record, e.Domain, policy, testing)
	a.Next = &next
}

// NextRecord is a record with another policy and all else that it had, without what RFC
// 9989 has removed (pct, rf, ri). An empty record becomes one whose reports come to us.
func NextRecord(record, domain, policy string, testing bool) string {
	out := "v=DMARC1; p=" + policy
	have := map[string]bool{}
	for _, t := range strings.Split(record, ";") {
		name, value, _ := strings.Cut(t, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch name {
		case "", "v", "p", "t", "pct", "rf", "ri":
			continue
		case "sp", "np": // never weaker than what is asked for the domain itself by this step
			if rank(value) < rank(policy) {
				value = policy
			}
		}
		if value == "" || have[name] {
			continue
		}
		have[name] = true
		out += "; " + name + "=" + value
	}
	if policy == "reject" && !have["np"] {
		out += "; np=reject"
	}
	if testing {
		out += "; t=y"
	}
	if !have["rua"] {
		out += "; rua=mailto:dmarc-reports@" + domain
	}
	return out
}

func rank(policy string) int {
	switch strings.ToLower(policy) {
	case "reject":
		return 2
	case "quarantine":
		return 1
	}
	return 0
}

// tag is the value of a tag in a record, in lower case.
func tag(record, name string) string {
	for _, t := range strings.Split(record, ";") {
		n, v, _ := strings.Cut(t, "=")
		if strings.EqualFold(strings.TrimSpace(n), name) {
			return strings.ToLower(strings.TrimSpace(v))
		}
	}
	return ""
}

// Gather gives the evidence of a domain, but for what only the caller knows: Parked, Lists,
// Problems, Refused.
func Gather(ctx context.Context, st Store, q Query, record string) (*Evidence, error) {
	q.Days = window
	e := &Evidence{Domain: q.Domain, Now: q.Now, Record: record}
	var err error
	if e.Overview, err = View(ctx, st, q); err != nil {
		return nil, err
	}
	if e.Sources, err = Sources(ctx, st, q); err != nil {
		return nil, err
	}
	if e.Complaints, err = ComplaintsOf(ctx, st, q); err != nil {
		return nil, err
	}
	e.HeldFor, e.FirstDays = held(e.Overview.Policies, q.Now, record)
	return e, nil
}

// held tells for how many days reporters have found the policy of a record, and none
// other; and how long ago the first report was.
func held(seen []Policy, now time.Time, record string) (same, first int) {
	other := window
	for _, p := range seen {
		first = max(first, daysSince(now, p.First))
		if samePolicy(p.Policy, record) {
			same = max(same, daysSince(now, p.First))
		} else {
			other = min(other, daysSince(now, p.Last))
		}
	}
	return min(same, other), first
}

func daysSince(now time.Time, day string) int {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return 0
	}
	return int(now.Sub(at).Hours() / 24)
}

// samePolicy reports whether reporters found what is published, as far as it counts. Older ones do
// not know t: it is not held against them.
func samePolicy(seen, record string) bool {
	return tag(seen, "p") == cmp.Or(tag(record, "p"), "none") && (tag(seen, "t") == "" || tag(seen, "t") == tag(record, "t"))
}
