// Package standing remembers in which DNS lists our own addresses and domains stand, since
// when, and what changed: what `posta reputation` shows and the daily digest tells (S87).
//
// A sweep asks each list once about each subject. The lists of strangers are asked
// politely: our own subjects only, at most every four hours ([Every]), through the resolver's cache, a list
// that does not work not at all. What could not be verified changes nothing: a list that is down
// has neither listed nor released us.
//
// What is remembered are facts of the store: they may be lost, and are found again by the next sweep.
package standing

import (
	"cmp"
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"posta/internal/dnsbl"
	"posta/internal/finding"
	"posta/internal/store"
)

const (
	// Every is the pause between two sweeps.
	Every = 4 * time.Hour
	// keepState is how long a subject that is asked about no more is still shown.
	keepState = 14 * 24 * time.Hour
	// KeepChanges is how long a change is remembered.
	KeepChanges = 90 * 24 * time.Hour
	// MaxSubjects bounds a sweep: further domains wait for the next.
	MaxSubjects = 500
	// atOnce is how many questions go side by side.
	atOnce = 100
)

// State is how a subject stands in a list.
type State struct {
	Subject  string    `json:"subject"` // an address or a domain
	List     string    `json:"list"`    // without the key of an account
	Listed   bool      `json:"listed"`
	Good     bool      `json:"good,omitempty"`    // the list speaks for the subject
	Since    time.Time `json:"since"`             // it stands so; before the first sweep nobody knows
	Checked  time.Time `json:"checked"`           // last
	Answers  []string  `json:"answers,omitempty"` // 127.0.0.x
	Meanings []string  `json:"meanings,omitempty"`
	Text     string    `json:"text,omitempty"`   // the list's own words, cut to 300 octets
	Delist   string    `json:"delist,omitempty"` // where it is looked up and contested

	first bool // nothing was known of it before
}

// Bad reports whether somebody should act on it.
func (s *State) Bad() bool { return s.Listed && !s.Good }

// Finding is the state as a finding about us.
func (s *State) Finding() finding.Finding {
	check := finding.DNSBLDomain
	if _, err := netip.ParseAddr(s.Subject); err == nil {
		check = finding.DNSBLListed
	}
	facts := []string{"list", s.List, "answer", strings.Join(s.Answers, " "), "since", s.Since.UTC().Format(time.RFC3339)}
	for _, m := range s.Meanings {
		facts = append(facts, "meaning", m)
	}
	if s.Delist != "" {
		facts = append(facts, "contest at", s.Delist)
	}
	return finding.Of(check, finding.Fail, s.Subject, facts...)
}

// Facts is what is asked of the store.
type Facts interface {
	ChangeFacts(ctx context.Context, kind store.FactKind, keys []string, f func(store.Fact) store.Fact) error
	ListFacts(ctx context.Context, kind store.FactKind, prefix, after string, limit int) ([]store.Fact, error)
}

// Asker puts questions to lists: *dnsbl.Checker.
type Asker interface {
	Ask(ctx context.Context, questions []dnsbl.Question) []dnsbl.Result
}

// Questions are what a sweep asks: each public address of all address lists, each domain of all
// domain lists. extra are the zones that the administrator has configured, with the keys of his
// accounts; lists that want an account are asked only so.
func Questions(ips []netip.Addr, domains []string, extra dnsbl.Lists) []dnsbl.Question {
	zones := dnsbl.Lists{IP: slices.Clone(extra.IP), Sender: slices.Clone(extra.Sender)}
	for _, l := range dnsbl.Catalogue() {
		if l.State != dnsbl.Alive || strings.HasPrefix(l.Zone, "*") {
			continue
		}
		switch l.Kind {
		case dnsbl.Addresses:
			zones.IP = append(zones.IP, l.Zone)
		case dnsbl.Domains:
			zones.Sender = append(zones.Sender, l.Zone)
		}
	}
	var out []dnsbl.Question
	ask := func(zones []string, q dnsbl.Question) {
		asked := map[string]bool{}
		for _, z := range zones {
			if public := dnsbl.Public(z); !asked[public] {
				asked[public] = true
				q.Zone = z
				out = append(out, q)
			}
		}
	}
	subjects := 0
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.IsGlobalUnicast() && !ip.IsPrivate() && subjects < MaxSubjects {
			subjects++
			ask(zones.IP, dnsbl.Question{About: dnsbl.Client, IP: ip})
		}
	}
	for _, d := range domains {
		if subjects < MaxSubjects && !reserved(d) {
			subjects++
			ask(zones.Sender, dnsbl.Question{About: dnsbl.Sender, Domain: d})
		}
	}
	return out
}

// reserved reports whether a domain is one that the world does not know (RFC 2606, RFC 6761,
// RFC 9476): no list has it.
func reserved(domain string) bool {
	switch domain[strings.LastIndexByte(domain, '.')+1:] {
	case "test", "example", "invalid", "localhost", "local", "internal", "alt":
		return true
	}
	return false
}

// Sweep asks all questions, writes down how things stand, and gives what has changed. It
// blocks until all lists have answered or are given up.
func Sweep(ctx context.Context, facts Facts, lists Asker, now time.Time, questions []dnsbl.Question) ([]State, error) {
	var changed []State
	for chunk := range slices.Chunk(questions, atOnce) {
		found := map[string]State{}
		for _, r := range lists.Ask(ctx, chunk) {
			if r.Status != dnsbl.Unverified && (r.List == nil || r.List.State != dnsbl.ShowOnly) {
				s := stateOf(&r, now)
				found[s.key()] = s
			}
		}
		if len(found) == 0 {
			continue
		}
		more, err := write(ctx, facts, found)
		if err != nil {
			return changed, err
		}
		changed = append(changed, more...)
	}
	return changed, ctx.Err()
}

func stateOf(r *dnsbl.Result, now time.Time) State {
	s := State{Subject: r.Subject, List: r.Name, Listed: r.Status == dnsbl.Listed, Good: r.Good, Since: now, Checked: now}
	if !s.Listed {
		return s
	}
	for _, c := range r.Codes[:min(len(r.Codes), 8)] {
		s.Answers = append(s.Answers, c.String())
	}
	s.Meanings, s.Delist = r.Meanings[:min(len(r.Meanings), 4)], r.Delist
	if len(r.Texts) > 0 {
		s.Text = strings.ToValidUTF8(r.Texts[0][:min(len(r.Texts[0]), 300)], "")
	}
	return s
}

func (s *State) key() string { return s.Subject + "|" + s.List }

// write keeps states, and as changes those that stand otherwise than before. A subject that is
// asked about for the first time and stands nowhere is no change.
func write(ctx context.Context, facts Facts, found map[string]State) (changed []State, err error) {
	keys := make([]string, 0, len(found))
	for k := range found {
		keys = append(keys, k)
	}
	err = facts.ChangeFacts(ctx, store.ListState, keys, func(f store.Fact) store.Fact {
		s := found[f.Key]
		old, known := decode(f)
		if s.first = !known; known && old.Listed == s.Listed && old.Good == s.Good {
			s.Since = old.Since
		} else {
			s.Since = s.Checked // f may be called again
		}
		found[f.Key] = s
		return s.fact(f.Key, s.Checked.Add(keepState))
	})
	if err != nil {
		return nil, err
	}
	var events []string
	byEvent := map[string]State{}
	for _, s := range found {
		if s.Since.Equal(s.Checked) && (s.Listed || !s.first) {
			changed = append(changed, s)
			k := s.Since.UTC().Format(time.RFC3339) + "|" + s.key()
			events = append(events, k)
			byEvent[k] = s
		}
	}
	if len(events) == 0 {
		return nil, nil
	}
	slices.SortFunc(changed, compare)
	return changed, facts.ChangeFacts(ctx, store.ListChange, events, func(f store.Fact) store.Fact {
		s := byEvent[f.Key]
		return s.fact(f.Key, s.Since.Add(KeepChanges))
	})
}

// fact makes what is kept, with less of strangers' words if it does not fit.
func (s State) fact(key string, until time.Time) store.Fact {
	for {
		b, err := json.Marshal(s)
		if err == nil && len(b) <= store.MaxFactValue {
			return store.Fact{Key: key, Value: b, Until: until}
		}
		s.Text, s.Meanings, s.Answers = "", s.Meanings[:len(s.Meanings)/2], s.Answers[:len(s.Answers)/2]
		if len(s.Meanings)+len(s.Answers) == 0 {
			s.Delist = ""
		}
	}
}

func decode(f store.Fact) (s State, ok bool) {
	if f.Until.IsZero() || json.Unmarshal(f.Value, &s) != nil {
		return State{}, false
	}
	return s, true
}

// compare puts what one must act on first.
func compare(a, b State) int {
	order := func(s *State) int {
		switch {
		case s.Bad():
			return 0
		case s.Listed:
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(order(&a), order(&b)), strings.Compare(a.Subject, b.Subject), strings.Compare(a.List, b.List))
}

// States lists how our subjects stand, what one must act on first.
func States(ctx context.Context, facts Facts) ([]State, error) {
	return read(ctx, facts, store.ListState, "")
}

// Changes lists what has changed since a moment.
func Changes(ctx context.Context, facts Facts, since time.Time) ([]State, error) {
	return read(ctx, facts, store.ListChange, since.UTC().Format(time.RFC3339))
}

// maxRead bounds what is read at once.
const maxRead = 100_000

func read(ctx context.Context, facts Facts, kind store.FactKind, after string) ([]State, error) {
	out := []State{}
	for len(out) < maxRead {
		rows, err := facts.ListFacts(ctx, kind, "", after, 1000)
		if err != nil {
			return nil, err
		}
		for _, f := range rows {
			if s, ok := decode(f); ok {
				out = append(out, s)
			}
		}
		if len(rows) < 1000 {
			break
		}
		after = rows[len(rows)-1].Key
	}
	slices.SortStableFunc(out, compare)
	return out, nil
}
