// Package destination remembers how other domains take our mail: for each of them and
// each day, how many recipients were delivered, put off and refused, in which words,
// what those words mean (package refusal), and whether the mail went over TLS. It is what
// `posta destination` shows, and what tells that a provider has turned against us.
//
// A [Recorder] gathers outcomes in memory and adds them to the facts of the store every few
// seconds: the queue waits for nothing of it, and a crash loses the last moment's counts.
// Nobody's letter depends on them. They are kept for [Keep].
//
// Of the words of a domain one sample of each meaning is kept for a day, the newest, cut to
// 300 octets; so a domain costs at most some eighty rows a day, whatever it answers.
package destination

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"posta/internal/finding"
	"posta/internal/refusal"
	"posta/internal/store"
)

// Keep is how long a day is remembered.
const Keep = 45 * 24 * time.Hour

// Outcome is what became of a recipient in one attempt.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered"
	Deferred  Outcome = "deferred" // put off: it will be tried again
	Refused   Outcome = "refused"  // for good, or given up after days
)

// Attempt is one attempt for one recipient.
type Attempt struct {
	At      time.Time
	Domain  string // of the recipient, A-labels, lower-case
	Host    string // that answered, "" if none was reached
	Remote  string // the same with address and port, for people
	Outcome Outcome
	Reply   string // the host's, or our own words
	Ours    bool   // Reply is our own: nobody was reached
	TLS     string // version, cipher, trust; "" is cleartext
}

// Count is how often something happened at a domain on one day, with the newest sample.
type Count struct {
	Outcome Outcome         `json:"outcome"`
	N       int64           `json:"n"`
	Clear   int64           `json:"clear,omitempty"` // without TLS
	Reading refusal.Reading `json:"reading,omitzero"`
	Ours    bool            `json:"ours,omitempty"` // nobody was reached, or the reply was lost
	Reply   string          `json:"reply,omitempty"`
	Remote  string          `json:"remote,omitempty"`
	TLS     string          `json:"tls,omitempty"`
	At      time.Time       `json:"at"` // of the sample
}

const (
	maxReply  = 300
	maxRemote = 120
	day       = "2006-01-02"
)

// key is the name of the fact: its parts sort by day and domain, and what a stranger
// answers is in it only as one of the meanings that we know.
func (a *Attempt) key(c *Count) string {
	return strings.Join([]string{a.At.UTC().Format(day), a.Domain, string(c.Outcome), cmp.Or(c.Reading.Advice, "-"), string(c.Reading.Check)}, "|")
}

// countOf is an attempt as the first of its kind.
func countOf(a *Attempt) Count {
	c := Count{Outcome: a.Outcome, N: 1, Ours: a.Ours, Reply: cut(a.Reply, maxReply), Remote: cut(a.Remote, maxRemote), TLS: cut(a.TLS, maxRemote), At: a.At.UTC()}
	if a.Outcome != Delivered && !a.Ours {
		c.Reading = refusal.Read(a.Host, a.Reply)
	}
	if a.TLS == "" && a.Host != "" {
		c.Clear = 1
	}
	return c
}

func cut(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// add puts two counts of one key together; the newer sample stays.
func (c Count) add(o Count) Count {
	if o.At.Before(c.At) {
		c, o = o, c
	}
	o.N += c.N
	o.Clear += c.Clear
	return o
}

// encode makes a value that fits into a fact, with less of the sample if need be.
func (c Count) encode() []byte {
	for {
		b, err := json.Marshal(c)
		if err == nil && len(b) <= store.MaxFactValue {
			return b
		}
		if c.Reply == "" { // links, lists and remotes fill it
			c.Reading.Link, c.Reading.List, c.Remote, c.TLS = "", "", "", ""
			b, _ = json.Marshal(c)
			return b
		}
		c.Reply = cut(c.Reply, len(c.Reply)/2)
	}
}

// decode reads a fact; one that is not there, or cannot be read, is none.
func decode(f store.Fact) (c Count, ok bool) {
	if f.Until.IsZero() || json.Unmarshal(f.Value, &c) != nil {
		return Count{}, false
	}
	return c, true
}

// Facts is what is asked of the store.
type Facts interface {
	ListFacts(ctx context.Context, kind store.FactKind, prefix, after string, limit int) ([]store.Fact, error)
}

// Domain is how a domain took our mail over some days.
type Domain struct {
	Domain    string  `json:"domain"`
	Provider  string  `json:"provider,omitempty"` // "Gmail"…, where one answered
	Delivered int64   `json:"delivered"`
	Deferred  int64   `json:"deferred"` // attempts that were put off
	Refused   int64   `json:"refused"`
	Clear     int64   `json:"clear"` // attempts that reached a host without TLS
	Troubles  []Count `json:"troubles,omitempty"`
}

// Checks are the checks of ours that the domain spoke of, most frequent first.
func (d *Domain) Checks() []finding.ID {
	var out []finding.ID
	for _, t := range d.Troubles {
		if id := t.Reading.Check; id != "" && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// maxRows bounds how many rows one List reads.
const maxRows = 200_000

// List tells of the last days (today is one of them; at most 45), of one domain or with "" of
// all, those with most trouble first. more says that there were too many rows to read them all.
func List(ctx context.Context, facts Facts, now time.Time, days int, domain string) (out []Domain, more bool, err error) {
	found := map[string]*folded{}
	read := 0
	for i := range min(max(days, 1), 45) {
		prefix := now.UTC().AddDate(0, 0, -i).Format(day) + "|"
		if domain != "" {
			prefix += domain + "|"
		}
		after := ""
		for {
			rows, err := facts.ListFacts(ctx, store.Destination, prefix, after, 1000)
			if err != nil {
				return nil, false, err
			}
			for _, f := range rows {
				fold(found, f)
			}
			if read += len(rows); read >= maxRows {
				return summaries(found), true, nil
			}
			if len(rows) < 1000 {
				break
			}
			after = rows[len(rows)-1].Key
		}
	}
	return summaries(found), false, nil
}

// folded gathers a domain's counts, its troubles by the part of the key that names them.
type folded struct {
	Domain
	troubles map[string]Count
}

func fold(found map[string]*folded, f store.Fact) {
	parts := strings.SplitN(f.Key, "|", 3)
	c, ok := decode(f)
	if len(parts) < 3 || !ok {
		return // of a later version: it will be forgotten in time
	}
	d := found[parts[1]]
	if d == nil {
		d = &folded{Domain: Domain{Domain: parts[1]}, troubles: map[string]Count{}}
		found[parts[1]] = d
	}
	d.Clear += c.Clear
	d.Provider = cmp.Or(d.Provider, c.Reading.Provider)
	switch c.Outcome {
	case Delivered:
		d.Delivered += c.N
		return
	case Deferred:
		d.Deferred += c.N
	case Refused:
		d.Refused += c.N
	}
	d.troubles[parts[2]] = d.troubles[parts[2]].add(c)
}

func summaries(found map[string]*folded) []Domain {
	out := make([]Domain, 0, len(found))
	for _, d := range found {
		d.Troubles = slices.SortedFunc(maps.Values(d.troubles), func(a, b Count) int {
			return cmp.Or(cmp.Compare(b.N, a.N), b.At.Compare(a.At), strings.Compare(string(a.Outcome), string(b.Outcome)))
		})
		out = append(out, d.Domain)
	}
	slices.SortFunc(out, func(a, b Domain) int {
		return cmp.Or(cmp.Compare(b.Refused+b.Deferred, a.Refused+a.Deferred), cmp.Compare(b.Delivered, a.Delivered), strings.Compare(a.Domain, b.Domain))
	})
	return out
}
