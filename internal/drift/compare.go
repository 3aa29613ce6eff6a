package drift

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"posta/internal/command"
	"posta/internal/finding"
)

// maxKept bounds what is kept of one look: findings, and octets of one's evidence.
const (
	maxKept     = 1000
	maxEvidence = 400
)

// seen is what one look at a domain saw: what failed.
type seen struct {
	At     time.Time `json:"at,omitzero"`
	Failed []failure `json:"failed,omitempty"`
	Mended []failure `json:"mended,omitempty"` // since the look before, at most maxKept
}

// failure is a finding that failed.
type failure struct {
	Check    finding.ID `json:"check"`
	Subject  string     `json:"subject"`
	Evidence string     `json:"evidence,omitempty"`
	Since    time.Time  `json:"since"`
	Accepted bool       `json:"accepted,omitempty"`
}

func (f *failure) is(check finding.ID, subject string) bool {
	return f.Check == check && strings.EqualFold(f.Subject, subject)
}

// news is what a look found changed.
type news struct {
	fresh  []failure // failed now, and not before
	mended []failure // failed before, and were seen in order now
	over   []failure // were accepted, and are not any more
}

func (n news) empty() bool { return len(n.fresh)+len(n.mended)+len(n.over) == 0 }

func read(cursor []byte) (s seen, err error) {
	if len(cursor) > 0 {
		err = json.Unmarshal(cursor, &s)
	}
	return s, err
}

// compare makes of the last look and of what was found now what is kept, and what is
// told. A check that could not be verified now stays as it was.
func compare(before seen, found []finding.Finding, accepted []command.Accepted, now time.Time) (seen, news) {
	after := seen{At: now}
	var n news
	for _, f := range found {
		if f.Outcome != finding.Fail || after.find(f.Check, f.Subject) != nil {
			continue
		}
		x := failure{Check: f.Check, Subject: f.Subject, Evidence: evidence(f), Since: now, Accepted: isAccepted(accepted, f.Check, f.Subject, now)}
		old := before.find(f.Check, f.Subject)
		if old != nil {
			x.Since = old.Since
		}
		switch {
		case x.Accepted:
		case old == nil:
			n.fresh = append(n.fresh, x)
		case old.Accepted:
			n.over = append(n.over, x)
		}
		after.Failed = append(after.Failed, x)
	}
	for _, old := range before.Failed {
		switch {
		case after.find(old.Check, old.Subject) != nil:
		case unverified(found, old):
			after.Failed = append(after.Failed, old)
		case !old.Accepted:
			n.mended = append(n.mended, old)
		}
	}
	order(after.Failed)
	after.Failed = after.Failed[:min(len(after.Failed), maxKept)]
	order(n.fresh)
	order(n.mended)
	after.Mended = n.mended[:min(len(n.mended), maxKept)]
	order(n.over)
	return after, n
}

func (s *seen) find(check finding.ID, subject string) *failure {
	i := slices.IndexFunc(s.Failed, func(f failure) bool { return f.is(check, subject) })
	if i < 0 {
		return nil
	}
	return &s.Failed[i]
}

// unverified tells whether a look could not say if a failure is mended.
func unverified(found []finding.Finding, old failure) bool {
	return slices.ContainsFunc(found, func(f finding.Finding) bool {
		return f.Outcome == finding.Unverified && old.is(f.Check, f.Subject)
	})
}

func isAccepted(list []command.Accepted, check finding.ID, subject string, now time.Time) bool {
	return slices.ContainsFunc(list, func(a command.Accepted) bool { return a.Holds(string(check), subject, now) })
}

// order puts the worst first.
func order(fs []failure) {
	slices.SortStableFunc(fs, func(a, b failure) int {
		return cmp.Or(cmp.Compare(severity(b.Check), severity(a.Check)), cmp.Compare(a.Check, b.Check), cmp.Compare(a.Subject, b.Subject))
	})
}

// severity is that of the catalogue; differences of DNS records, which are not in it,
// are as bad as what others hold against them.
func severity(id finding.ID) finding.Severity {
	if c, ok := finding.Lookup(id); ok {
		return c.Severity
	}
	return finding.Medium
}

// evidence is what was seen, in one line.
func evidence(f finding.Finding) string {
	var parts []string
	for _, e := range f.Evidence {
		parts = append(parts, e.What+": "+e.Seen)
	}
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.Join(parts, "; "), "?"))
	if len(s) > maxEvidence {
		s = strings.ToValidUTF8(s[:maxEvidence], "") + "…"
	}
	return s
}
