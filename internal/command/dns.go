package command

import (
	"context"
	"errors"
	"slices"
	"strings"

	"posta/internal/store"
	"posta/internal/zone"
)

// DNS is what commands on the records of our domains ask of the surroundings.
type DNS interface {
	// Facts are what the server knows of itself and of a domain: keys, addresses,
	// doors, certificates.
	Facts(ctx context.Context, v *store.DirectoryView, d *store.Domain) (zone.Facts, error)
	// Look asks the servers that have the zones, and the resolvers ("192.0.2.1:53").
	Look(ctx context.Context, qs []zone.Question, resolvers []string) ([]zone.View, error)
	// Covers tells whether we may write the name; Read and Write are about such names only.
	Covers(name string) bool
	Read(ctx context.Context, qs []zone.Question) (map[zone.Question][]string, error)
	Write(ctx context.Context, steps []zone.Step) error
}

// DNSQuery names a domain of ours and says what its records are for. What is nil or
// "" is as the last dns.apply had it.
type DNSQuery struct {
	Domain string `json:"domain"`
	// Parked are the records of a domain without mail.
	Parked *bool `json:"parked,omitempty"`
	// Logo and LogoCertificate are https URLs for BIMI; "none" is none.
	Logo            string `json:"logo,omitempty"`
	LogoCertificate string `json:"logo_certificate,omitempty"`
	// Resolvers are asked besides, for dns.diff: "192.0.2.1:53".
	Resolvers []string `json:"resolvers,omitempty"`
	// Merge lets dns.apply put our mechanisms into an SPF record of others.
	Merge bool `json:"merge,omitempty"`
}

// DNSUndo is the argument of dns.undo; with Preview nothing is done.
type DNSUndo struct {
	Domain  string `json:"domain"`
	Preview bool   `json:"preview,omitempty"`
}

// DNSRecords are the records of a domain.
type DNSRecords struct {
	Domain  string        `json:"domain"`
	Records []zone.Record `json:"records"`
}

// DNSDiff is what the world shows of them.
type DNSDiff struct {
	Domain  string      `json:"domain"`
	Result  zone.State  `json:"result"` // present, different, pending or unverified
	Items   []zone.Item `json:"items"`
	Servers []string    `json:"servers"` // that were asked
}

// DNSPlan is what dns.apply does, or has done.
type DNSPlan struct {
	Domain string      `json:"domain"`
	Steps  []zone.Step `json:"steps"`
	// ByHand are wanted records that no provider of ours keeps.
	ByHand []zone.Record `json:"by_hand,omitempty"`
	Done   bool          `json:"done"`
}

var dnsCommands = []Command{
	run("dns.show", store.Helpdesk, showDNS),
	run("dns.diff", store.Helpdesk, diffDNS),
	run("dns.plan", store.Helpdesk, func(ctx context.Context, h *House, p Principal, q DNSQuery) (any, error) {
		w, err := h.wantedDNS(ctx, q)
		if err != nil {
			return nil, err
		}
		return h.planDNS(ctx, w, q.Merge)
	}),
	run("dns.apply", store.Owner, applyDNS),
	run("dns.undo", store.Owner, undoDNS),
}

// wantedRecords are those of a domain, and what is remembered of it.
type wantedRecords struct {
	domain  string
	records []zone.Record
	made    dnsMade
}

// wantedDNS says what a domain of ours wants.
func (h *House) wantedDNS(ctx context.Context, q DNSQuery) (wantedRecords, error) {
	w := wantedRecords{domain: strings.ToLower(strings.TrimSuffix(q.Domain, "."))}
	if h.DNS == nil {
		return w, fail(ErrUsage, "error.dns.none")
	}
	v, err := h.Store.LoadDirectory(ctx)
	if err != nil {
		return w, err
	}
	d := findDomain(v, w.domain)
	if d == nil {
		return w, fail(ErrMissing, "error.domain.missing", w.domain)
	}
	if w.made, err = readMade(v, w.domain); err != nil {
		return w, err
	}
	if err := w.made.choose(q); err != nil {
		return w, err
	}
	if w.made.Parked {
		if n := countDomain(v, d, h.rulesByDomain()); n.Accounts+n.Aliases > 0 {
			return w, fail(ErrUsage, "error.dns.parked", w.domain, n.Accounts, n.Aliases)
		}
		w.records = zone.Parked(w.domain)
		return w, nil
	}
	f, err := h.DNS.Facts(ctx, v, d)
	if err != nil {
		return w, err
	}
	if w.made.Logo != "" {
		f.BIMI = &zone.BIMI{Logo: w.made.Logo, Certificate: w.made.LogoCertificate}
	}
	w.records = zone.Wanted(f)
	for _, r := range w.made.Records {
		if slices.Contains(f.Uncertain, r.Type) && !slices.ContainsFunc(w.records, func(o zone.Record) bool { return same(o, r) }) {
			w.records = append(w.records, r)
		}
	}
	return w, nil
}

func showDNS(ctx context.Context, h *House, _ Principal, q DNSQuery) (any, error) {
	w, err := h.wantedDNS(ctx, q)
	return DNSRecords{w.domain, w.records}, err
}

func diffDNS(ctx context.Context, h *House, _ Principal, q DNSQuery) (any, error) {
	w, err := h.wantedDNS(ctx, q)
	if err != nil {
		return nil, err
	}
	return CompareDNS(ctx, h.DNS.Look, w.domain, w.records, w.made.Records, q.Resolvers)
}

// CompareDNS looks at records in the world; look is DNS.Look.
func CompareDNS(ctx context.Context, look func(context.Context, []zone.Question, []string) ([]zone.View, error),
	domain string, wanted, made []zone.Record, resolvers []string) (*DNSDiff, error) {
	views, err := look(ctx, zone.Questions(wanted, made), resolvers)
	if err != nil {
		return nil, err
	}
	out := &DNSDiff{Domain: domain, Items: zone.Compare(wanted, made, views)}
	out.Result = zone.Worst(out.Items)
	for _, v := range views {
		out.Servers = append(out.Servers, v.Server)
	}
	return out, nil
}

// planDNS reads the sources and says what is to be done there.
func (h *House) planDNS(ctx context.Context, w wantedRecords, merge bool) (*DNSPlan, error) {
	out := &DNSPlan{Domain: w.domain, Steps: []zone.Step{}}
	var wanted []zone.Record
	for _, r := range w.records {
		if r.ByProvider || !h.DNS.Covers(r.Name) {
			out.ByHand = append(out.ByHand, r)
		} else {
			wanted = append(wanted, r)
		}
	}
	made := slices.DeleteFunc(slices.Clone(w.made.Records), func(r zone.Record) bool { return !h.DNS.Covers(r.Name) })
	if len(wanted)+len(made) == 0 {
		return nil, fail(ErrUsage, "error.dns.provider", w.domain)
	}
	current, err := h.DNS.Read(ctx, covered(h.DNS, zone.Sources(wanted, made)))
	if err != nil {
		return nil, fail(ErrLater, "error.dns.read", err)
	}
	out.Steps = zone.Plan(wanted, made, current, merge)
	return out, nil
}

func covered(d DNS, qs []zone.Question) []zone.Question {
	return slices.DeleteFunc(qs, func(q zone.Question) bool { return !d.Covers(q.Name) })
}

// applyDNS plans, remembers what it is about to write, writes, and remembers what came
// of it.
func applyDNS(ctx context.Context, h *House, p Principal, q DNSQuery) (any, error) {
	unlock, err := h.lockDNS(ctx, p)
	if err != nil {
		return nil, err
	}
	defer unlock()
	w, err := h.wantedDNS(ctx, q)
	if err != nil {
		return nil, err
	}
	plan, err := h.planDNS(ctx, w, q.Merge)
	if err != nil {
		return nil, err
	}
	err = h.writeDNS(ctx, p, "dns.apply", w.domain, plan.Steps, func(m *dnsMade) {
		m.Parked, m.Logo, m.LogoCertificate = w.made.Parked, w.made.Logo, w.made.LogoCertificate
		if c := changing(plan.Steps); len(c) > 0 {
			m.push(dnsBatch{At: h.now(), By: p.Name, Steps: c})
		}
	})
	plan.Done = err == nil
	return plan, err
}

// undoDNS takes back the last apply that is not taken back yet, as far as nobody has
// changed its records since.
func undoDNS(ctx context.Context, h *House, p Principal, a DNSUndo) (any, error) {
	domain := strings.ToLower(strings.TrimSuffix(a.Domain, "."))
	if h.DNS == nil {
		return nil, fail(ErrUsage, "error.dns.none")
	}
	unlock, err := h.lockDNS(ctx, p)
	if err != nil {
		return nil, err
	}
	defer unlock()
	v, err := h.Store.LoadDirectory(ctx)
	if err != nil {
		return nil, err
	}
	made, err := readMade(v, domain)
	if err != nil {
		return nil, err
	}
	if len(made.Done) == 0 {
		return nil, fail(ErrMissing, "error.dns.undo", domain)
	}
	last := made.Done[len(made.Done)-1]
	back := &DNSPlan{Domain: domain}
	qs := []zone.Question{}
	for _, s := range last.Steps {
		qs = append(qs, s.Question())
	}
	current, err := h.DNS.Read(ctx, covered(h.DNS, qs))
	if err != nil {
		return nil, fail(ErrLater, "error.dns.read", err)
	}
	back.Steps = zone.Undo(last.Steps, current)
	if a.Preview {
		return back, nil
	}
	err = h.writeDNS(ctx, p, "dns.undo", domain, back.Steps, func(m *dnsMade) { m.Done = m.Done[:max(len(m.Done)-1, 0)] })
	back.Done = err == nil
	return back, err
}

// PublishedKeys are the DKIM records of a domain: those of every key that it has.
func PublishedKeys(v *store.DirectoryView, d *store.Domain) ([]zone.Key, error) {
	var out []zone.Key
	for _, k := range v.Keys {
		if k.Domain != d.ID {
			continue
		}
		shown, err := showKey(d.Name, k)
		if err != nil {
			return nil, err
		}
		out = append(out, zone.Key{Selector: k.Selector, Record: shown.Record})
	}
	return out, nil
}

// KeepsKeys tells whether the DKIM records of a domain can be written here: a provider of
// ours keeps the zone in which they lie, and the one to which they are delegated, if so.
func KeepsKeys(h *House, domain string) bool {
	return h.DNS != nil && h.DNS.Covers("_domainkey."+strings.ToLower(domain))
}

// PublishKeys writes the DKIM records that a domain wants now, in the name of the house,
// and takes away those that we wrote and that it does not want any more; nothing else is
// touched. It is for the job that changes keys: nothing is written down where nothing is
// to be done, and dns.undo does not take it back, since the keys are in use. False: no
// provider keeps its zone, and somebody has to do it by hand. It blocks as an apply does,
// for minutes at most; while another apply runs the error is DNSLocked.
func PublishKeys(ctx context.Context, h *House, domain string) (written bool, err error) {
	if !KeepsKeys(h, domain) {
		return false, nil
	}
	err = h.publishKeys(ctx, Principal{Name: "system", Role: store.Owner}, domain)
	return err == nil, translate(err)
}

func (h *House) publishKeys(ctx context.Context, p Principal, domain string) error {
	unlock, err := h.lockDNS(ctx, p)
	if err != nil {
		return err
	}
	defer unlock()
	w, err := h.wantedDNS(ctx, DNSQuery{Domain: domain})
	if err != nil {
		return err
	}
	plan, err := h.planDNS(ctx, w, false)
	if err != nil {
		return err
	}
	steps := slices.DeleteFunc(changing(plan.Steps), func(s zone.Step) bool { return !strings.Contains(s.Name, "._domainkey.") })
	if len(steps) == 0 {
		return nil
	}
	return h.writeDNS(ctx, p, "dns.keys", w.domain, steps, func(*dnsMade) {})
}

// DNSLocked tells whether an error only says that another apply runs just now.
func DNSLocked(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Key == "error.dns.locked"
}
