// Package feedback makes sense of what others report of our mail: who sends in a domain's
// name and how that fares, what is known of it, whether the domain may ask for more
// (the ladder from p=none to p=reject), and what a person should be told.
//
// What it says is of the reports of proved authors alone. DMARC passes if one aligned
// identifier passes, DKIM or SPF. Aggregate reports prove authentication and the policy
// that was asked for; they prove neither delivery nor in which folder a message lay, and
// who does not report is not in them.
package feedback

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"posta/internal/store"
)

// Class is what a source is to a domain.
type Class string

// The classes.
const (
	Ours          Class = "ours"          // an address of this house
	Vendor        Class = "vendor"        // passes as the domain, or a sender by trade that fails: known by its name
	Forwarder     Class = "forwarder"     // passes our mail on: our DKIM holds, SPF cannot
	Misconfigured Class = "misconfigured" // a person says that it is ours; it does not pass yet
	Spoof         Class = "spoof"         // passes nothing, and nobody knows it
)

// Decisions that a person may take (store.ReportDecision.Class).
const (
	DecideMine      = "mine"
	DecideVendor    = "vendor"
	DecideForwarder = "forwarder"
	DecideSpoof     = "spoof"
)

// Store is what is asked of the state.
type Store interface {
	store.Reports
	store.Facts
}

// Query selects what is told.
type Query struct {
	Domain string
	Days   int // up to today; 0 means 30
	Now    time.Time
	Own    []netip.Addr // our addresses
}

func (q *Query) from() int32 {
	return int32(q.Now.Unix()/daySeconds) - int32(cmp.Or(q.Days, 30)) + 1
}

// Counts are numbers of messages.
type Counts struct {
	Messages    int64 `json:"messages"`
	Aligned     int64 `json:"aligned"` // by DKIM or SPF
	DKIM        int64 `json:"dkim"`
	SPF         int64 `json:"spf"`
	Forwarded   int64 `json:"forwarded"` // the receiver took it for forwarded
	Quarantined int64 `json:"quarantined"`
	Rejected    int64 `json:"rejected"`
}

func (c *Counts) add(s *store.ReportSum) {
	c.Messages += s.Count
	for _, x := range []struct {
		n    *int64
		when bool
	}{
		{&c.Aligned, s.DKIM || s.SPF}, {&c.DKIM, s.DKIM}, {&c.SPF, s.SPF}, {&c.Forwarded, s.Forwarded},
		{&c.Quarantined, s.Disposition == store.DisposedQuarantine}, {&c.Rejected, s.Disposition == store.DisposedReject},
	} {
		if x.when {
			*x.n += s.Count
		}
	}
}

func (c *Counts) plus(o *Counts) {
	c.Messages += o.Messages
	c.Aligned += o.Aligned
	c.DKIM += o.DKIM
	c.SPF += o.SPF
	c.Forwarded += o.Forwarded
	c.Quarantined += o.Quarantined
	c.Rejected += o.Rejected
}

// Source is addresses that belong together: one organisation, one class.
type Source struct {
	Group   string   `json:"group"` // organisational domain of their names, or an address
	Class   Class    `json:"class"`
	Decided string   `json:"decided,omitempty"` // by whom and why, if a person did
	Sender  string   `json:"sender,omitempty"`  // the trade that it is known by
	IPs     []string `json:"ips"`               // at most 20, those with most messages first
	Names   []string `json:"names,omitempty"`
	First   string   `json:"first"` // day
	Last    string   `json:"last"`
	Counts
}

// maxIPs is how many addresses of a source are listed.
const maxIPs = 20

// maxNamed is how many sources, those with most messages, are asked for their names.
const maxNamed = 2000

// Sources tells who sent in the domain's name, those with most messages first.
func Sources(ctx context.Context, st Store, q Query) ([]Source, error) {
	sums, err := st.SumReportSources(ctx, q.Domain, q.from(), true)
	if err != nil {
		return nil, err
	}
	decisions, err := st.ReportDecisions(ctx, q.Domain)
	if err != nil {
		return nil, err
	}
	list := byAddress(sums)
	var ips []netip.Addr
	for _, a := range list[:min(len(list), maxNamed)] {
		if a.ip.IsValid() {
			ips = append(ips, a.ip)
		}
	}
	names, err := namesOf(ctx, st, ips)
	if err != nil {
		return nil, err
	}
	return group(list, names, decisions, q.Own), nil
}

// sender1 is one address that sent.
type sender1 struct {
	ip          netip.Addr
	first, last int32
	Counts
}

// byAddress joins the sums of each address, those with most messages first.
func byAddress(sums []store.ReportSum) []sender1 {
	at := map[netip.Addr]int{}
	var list []sender1
	for i := range sums {
		s := &sums[i]
		j, ok := at[s.Source]
		if !ok {
			j, at[s.Source] = len(list), len(list)
			list = append(list, sender1{ip: s.Source, first: s.First, last: s.Last})
		}
		a := &list[j]
		a.first, a.last = min(a.first, s.First), max(a.last, s.Last)
		a.add(s)
	}
	slices.SortStableFunc(list, func(a, b sender1) int { return cmp.Compare(b.Messages, a.Messages) })
	return list
}

// group joins addresses to sources.
func group(list []sender1, names map[netip.Addr]string, decisions []store.ReportDecision, own []netip.Addr) []Source {
	type key struct {
		group string
		class Class
	}
	at := map[key]int{}
	var out []Source
	for i := range list {
		a := &list[i]
		name := names[a.ip]
		class, sender, decided := classify(a, name, decisions, own)
		k := key{groupOf(a.ip, name), class}
		j, ok := at[k]
		if !ok {
			j, at[k] = len(out), len(out)
			out = append(out, Source{Group: k.group, Class: class, Sender: sender, First: dayText(a.first), Last: dayText(a.last)})
		}
		s := &out[j]
		s.First, s.Last = min(s.First, dayText(a.first)), max(s.Last, dayText(a.last))
		s.Decided = cmp.Or(s.Decided, decided)
		s.plus(&a.Counts)
		if len(s.IPs) < maxIPs {
			ip := "?"
			if a.ip.IsValid() {
				ip = a.ip.String()
			}
			s.IPs = append(s.IPs, ip)
			if name != "" && !slices.Contains(s.Names, name) {
				s.Names = append(s.Names, name)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Source) int { return cmp.Compare(b.Messages, a.Messages) })
	return out
}

func dayText(day int32) string {
	return time.Unix(int64(day)*daySeconds, 0).UTC().Format(time.DateOnly)
}

// classify says what an address is to the domain. What a person has said last holds; a
// source that he calls his own is misconfigured as long as much of its mail fails.
func classify(a *sender1, name string, decisions []store.ReportDecision, own []netip.Addr) (c Class, sender, decided string) {
	sender = trade(name)
	if slices.Contains(own, a.ip) {
		return Ours, sender, ""
	}
	for _, d := range slices.Backward(decisions) {
		if !covers(d.Subject, a.ip, name) {
			continue
		}
		decided = d.Actor + ": " + d.Reason
		switch d.Class {
		case DecideVendor:
			return Vendor, sender, decided
		case DecideForwarder:
			return Forwarder, sender, decided
		case DecideSpoof:
			return Spoof, sender, decided
		case DecideMine:
			if a.Aligned*100 >= a.Messages*98 {
				return Ours, sender, decided
			}
			return Misconfigured, sender, decided
		}
	}
	switch {
	case a.Forwarded*2 > a.Messages, a.DKIM*2 > a.Messages && a.SPF*10 < a.Messages && sender == "":
		return Forwarder, sender, ""
	case a.Aligned*2 > a.Messages:
		return Vendor, sender, ""
	case sender != "" && a.Aligned > 0:
		return Vendor, sender, ""
	}
	return Spoof, sender, ""
}

// covers reports whether a decision's subject means a source.
func covers(subject string, ip netip.Addr, name string) bool {
	if p, err := netip.ParsePrefix(subject); err == nil {
		return p.Contains(ip)
	}
	if want, err := netip.ParseAddr(subject); err == nil {
		return want == ip
	}
	return name != "" && (name == subject || strings.HasSuffix(name, "."+subject))
}

// trade is the sender by trade that a name belongs to, "" for none: by the domain that
// the names of its servers end in.
func trade(name string) string {
	for _, v := range trades() {
		for _, domain := range v.domains {
			if name == domain || strings.HasSuffix(name, "."+domain) {
				return v.name
			}
		}
	}
	return ""
}

type vendor struct {
	name    string
	domains []string
}

// trades lists those who send for others, as of 2026.
func trades() []vendor {
	return []vendor{
		{"Google Workspace", []string{"google.com", "googlemail.com"}},
		{"Microsoft 365", []string{"outlook.com", "protection.outlook.com"}},
		{"Amazon SES", []string{"amazonses.com", "smtp-out.amazonses.com"}},
		{"SendGrid", []string{"sendgrid.net"}},
		{"Mailgun", []string{"mailgun.net", "mailgun.org", "mailgun.co"}},
		{"Mailchimp", []string{"rsgsv.net", "mcsv.net", "mcdlv.net", "mandrillapp.com", "mailchimpapp.net"}},
		{"SparkPost", []string{"sparkpostmail.com", "mta.sparkpostmail.com"}},
		{"Postmark", []string{"mtasv.net", "postmarkapp.com"}},
		{"Brevo", []string{"sender-sib.com", "mailin.fr", "brevo.com"}},
		{"Mailjet", []string{"mailjet.com"}},
		{"Zoho", []string{"zoho.com", "zoho.eu", "zohomail.com", "zcsend.net"}},
		{"Salesforce", []string{"salesforce.com", "exacttarget.com"}},
		{"HubSpot", []string{"hubspotemail.net", "hubspot.com"}},
		{"Zendesk", []string{"zendesk.com"}},
		{"Constant Contact", []string{"constantcontact.com", "ccsend.com"}},
		{"Campaign Monitor", []string{"createsend.com", "cmail19.com", "cmail20.com"}},
		{"Klaviyo", []string{"klaviyomail.com"}},
		{"Fastmail", []string{"messagingengine.com"}},
		{"Proton", []string{"protonmail.ch", "proton.ch"}},
	}
}

// Day is what one day brought.
type Day struct {
	Day  string `json:"day"`
	Sent int64  `json:"sent"` // by us, as our queue counted
	Counts
}

// Reporter is who reports.
type Reporter struct {
	Org  string `json:"org"`
	Days int    `json:"days"` // on which he reported something
	Last string `json:"last"`
	Sent int64  `json:"sent"` // by us, to the domains that he answers for; 0: not known
	Counts
}

// Overview is a domain by day, by reporter and by the policy that reporters found.
type Overview struct {
	Domain    string     `json:"domain"`
	Days      []Day      `json:"days"`
	Reporters []Reporter `json:"reporters"`
	Policies  []Policy   `json:"policies"`
	Sent      int64      `json:"sent"`
	Counts
}

// Policy is what reporters found published.
type Policy struct {
	Policy  string   `json:"policy"`
	First   string   `json:"first"`
	Last    string   `json:"last"`
	Reports int      `json:"reports"`
	Orgs    []string `json:"orgs"`
}

// View gives the overview of a domain.
func View(ctx context.Context, st Store, q Query) (*Overview, error) {
	sums, err := st.SumReportDays(ctx, q.Domain, q.from(), true)
	if err != nil {
		return nil, err
	}
	sent, err := SentOf(ctx, st, q.Domain, q.Now, cmp.Or(q.Days, 30))
	if err != nil {
		return nil, err
	}
	o := &Overview{Domain: q.Domain}
	days, orgs := map[int32]*Day{}, map[string]*Reporter{}
	seen := map[string]map[int32]bool{}
	for i := range sums {
		s := &sums[i]
		d := days[s.Day]
		if d == nil {
			d = &Day{Day: dayText(s.Day)}
			days[s.Day] = d
		}
		r := orgs[s.Org]
		if r == nil {
			r, seen[s.Org] = &Reporter{Org: s.Org}, map[int32]bool{}
			orgs[s.Org] = r
		}
		seen[s.Org][s.Day] = true
		r.Last = max(r.Last, dayText(s.Day))
		d.add(s)
		r.add(s)
		o.add(s)
	}
	for _, x := range sent {
		o.Sent += x.Count
		d := days[x.Day]
		if d == nil {
			d = &Day{Day: dayText(x.Day)}
			days[x.Day] = d
		}
		d.Sent += x.Count
		for _, r := range orgs {
			if answersFor(r.Org, x.To) {
				r.Sent += x.Count
			}
		}
	}
	for _, d := range days {
		o.Days = append(o.Days, *d)
	}
	slices.SortFunc(o.Days, func(a, b Day) int { return strings.Compare(a.Day, b.Day) })
	for _, r := range orgs {
		r.Days = len(seen[r.Org])
		o.Reporters = append(o.Reporters, *r)
	}
	slices.SortFunc(o.Reporters, func(a, b Reporter) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), strings.Compare(a.Org, b.Org))
	})
	o.Policies, err = policies(ctx, st, q)
	return o, err
}

// policies tells which policies reporters found, the newest first.
func policies(ctx context.Context, st Store, q Query) ([]Policy, error) {
	since := time.Unix(int64(q.from())*daySeconds, 0)
	list, err := st.ListReports(ctx, store.ReportFilter{Kind: store.DMARCReport, Domain: q.Domain, Since: since, Limit: 5000})
	if err != nil {
		return nil, err
	}
	var out []Policy
	for i := range list { // newest first
		r := &list[i]
		if !r.Proved {
			continue
		}
		day := r.End.Format(time.DateOnly)
		j := slices.IndexFunc(out, func(p Policy) bool { return p.Policy == r.Policy })
		if j < 0 {
			j, out = len(out), append(out, Policy{Policy: r.Policy, First: day, Last: day})
		}
		p := &out[j]
		p.First, p.Last = min(p.First, day), max(p.Last, day)
		p.Reports++
		if len(p.Orgs) < 10 && !slices.Contains(p.Orgs, r.Org) {
			p.Orgs = append(p.Orgs, r.Org)
		}
	}
	return out, nil
}
