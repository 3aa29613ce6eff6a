package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/store"
	"posta/internal/zone"
)

// primary is a zone of ours where it is kept, and what the world shows of it.
type primary struct {
	facts zone.Facts
	zone  string // names below it can be written
	rows  map[zone.Question][]string
	fail  error // of the next Write, which writes half of it
}

func (p *primary) Facts(_ context.Context, v *store.DirectoryView, d *store.Domain) (zone.Facts, error) {
	f := p.facts
	f.Domain, f.Host = d.Name, "mail."+d.Name
	var err error
	f.Keys, err = PublishedKeys(v, d)
	return f, err
}

func (p *primary) Covers(name string) bool { return zone.Within(name, p.zone) }

func (p *primary) Read(_ context.Context, qs []zone.Question) (map[zone.Question][]string, error) {
	out := map[zone.Question][]string{}
	for _, q := range qs {
		if !p.Covers(q.Name) {
			return nil, fmt.Errorf("%s was asked for", q.Name)
		}
		out[q] = slices.Clone(p.rows[q])
	}
	return out, nil
}

func (p *primary) Look(ctx context.Context, qs []zone.Question, _ []string) ([]zone.View, error) {
	v := zone.View{Server: "ns1", Authoritative: true, Answers: map[zone.Question]zone.Answer{}}
	for _, q := range qs {
		v.Answers[q] = zone.Answer{Values: p.rows[q], TTL: time.Hour}
	}
	return []zone.View{v}, nil
}

func (p *primary) Write(_ context.Context, steps []zone.Step) error {
	err := p.fail
	p.fail = nil
	for i, s := range steps {
		if err != nil && i >= len(steps)/2 {
			return err
		}
		q, old := s.Question(), s.Old
		if s.Action == zone.Remove {
			old = s.Value
		}
		p.rows[q] = slices.DeleteFunc(p.rows[q], func(v string) bool { return old != "" && v == old })
		if s.Action != zone.Remove {
			p.rows[q] = append(p.rows[q], s.Value)
		}
	}
	return err
}

// shown is the whole zone, a record a line.
func (p *primary) shown() string {
	var out []string
	for q, vs := range p.rows {
		for _, v := range vs {
			out = append(out, q.Type+" "+q.Name+" "+v)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func newDNSHouse(t *testing.T) (*House, *primary) {
	t.Helper()
	h := newHouse(t)
	p := &primary{
		zone:  "empresa.test",
		facts: zone.Facts{IPs: []netip.Addr{netip.MustParseAddr("192.0.2.10")}},
		rows: map[zone.Question][]string{
			{Name: "empresa.test", Type: "TXT"}:     {"sitio-verificado=1", "v=spf1 include:_spf.crm.test ~all"},
			{Name: "www.empresa.test", Type: "A"}:   {"192.0.2.80"},
			{Name: "mail.empresa.test", Type: "MX"}: {"10 mail.empresa.test"},
		},
	}
	h.DNS = p
	give(t, h, "domain.add", Name{"empresa.test"})
	return h, p
}

var boss = Principal{Name: "uid:0", Role: store.Owner}

func give(t *testing.T, h *House, name string, args any) any {
	t.Helper()
	out, err := attempt(h, name, args)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

func attempt(h *House, name string, args any) (any, error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	return Do(context.Background(), h, boss, name, raw)
}

func plan(t *testing.T, h *House, name string, args any) string {
	t.Helper()
	return planned(give(t, h, name, args).(*DNSPlan))
}

func planned(p *DNSPlan) string {
	var out []string
	for _, s := range p.Steps {
		if s.Action != zone.Nothing {
			out = append(out, fmt.Sprintf("%s %s %s", s.Action, s.Type, s.Name))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// A domain's records are previewed, written, taken back and written again; what was not
// ours is the same at the end of it all.
func TestDNSApplyAndUndo(t *testing.T) {
	h, p := newDNSHouse(t)
	before := p.shown()
	q := DNSQuery{Domain: "Empresa.test."}
	want := "add A mail.empresa.test, add MX empresa.test, add TXT _dmarc.empresa.test, add TXT mail.empresa.test, leave TXT empresa.test"
	if got := plan(t, h, "dns.plan", q); got != want || p.shown() != before {
		t.Errorf("preview: %s\n%s", got, p.shown())
	}
	done := give(t, h, "dns.apply", q).(*DNSPlan)
	if !done.Done || len(done.ByHand) != 1 || done.ByHand[0].Type != "PTR" {
		t.Errorf("apply: %+v", done)
	}
	if got := plan(t, h, "dns.plan", q); got != "leave TXT empresa.test" {
		t.Errorf("after the apply: %s", got)
	}
	merge := q
	merge.Merge = true
	if got := plan(t, h, "dns.apply", merge); got != "merge TXT empresa.test" {
		t.Errorf("the merge: %s", got)
	}
	if got := plan(t, h, "dns.plan", q); got != "" {
		t.Errorf("after the merge: %s", got)
	}
	d := give(t, h, "dns.diff", q).(*DNSDiff)
	if d.Result != zone.Different { // PTR is not ours to write
		t.Errorf("diff: %+v", d)
	}
	if got := plan(t, h, "dns.undo", DNSUndo{Domain: "empresa.test", Preview: true}); got != "merge TXT empresa.test" {
		t.Errorf("preview of the undo: %s", got)
	}
	give(t, h, "dns.undo", DNSUndo{Domain: "empresa.test"})
	p.rows[zone.Question{Name: "empresa.test", Type: "MX"}] = []string{"5 otro.test"} // somebody changes what we wrote
	if got := plan(t, h, "dns.undo", DNSUndo{Domain: "empresa.test"}); got != "leave MX empresa.test, remove A mail.empresa.test, remove TXT _dmarc.empresa.test, remove TXT mail.empresa.test" {
		t.Errorf("undo: %s", got)
	}
	if got := strings.Replace(p.shown(), "MX empresa.test 5 otro.test\n", "", 1); got != before {
		t.Errorf("after the undo:\n%s\nwant\n%s", got, before)
	}
	if _, err := attempt(h, "dns.undo", DNSUndo{Domain: "empresa.test"}); err == nil || !errors.Is(err, ErrMissing) {
		t.Errorf("nothing to take back: %v", err)
	}
	log, err := h.Store.AuditLog(t.Context(), 4)
	if err != nil || len(log) < 2 || log[0].Command != "dns.undo" || !strings.Contains(log[0].After, "192.0.2.10") {
		t.Errorf("the audit log: %+v, %v", log, err)
	}
}

// What was half written when the provider failed is known for ours, and the next apply
// goes on with it; so does the removal of a key that is gone.
func TestDNSApplyIsBrokenOff(t *testing.T) {
	h, p := newDNSHouse(t)
	q := DNSQuery{Domain: "empresa.test"}
	p.fail = errors.New("the line broke")
	if _, err := attempt(h, "dns.apply", q); !errors.Is(err, ErrLater) || !strings.Contains(err.Error(), "the line broke") {
		t.Fatalf("a broken apply: %v", err)
	}
	p.facts.IPs = []netip.Addr{netip.MustParseAddr("192.0.2.11")} // another address meanwhile
	if got := plan(t, h, "dns.apply", q); got != "add A mail.empresa.test, add TXT _dmarc.empresa.test, add TXT mail.empresa.test, leave TXT empresa.test, remove A mail.empresa.test" {
		t.Errorf("the next one: %s", got)
	}
	if v := p.rows[zone.Question{Name: "mail.empresa.test", Type: "A"}]; !slices.Equal(v, []string{"192.0.2.11"}) {
		t.Errorf("addresses: %v", v)
	}
}

// A job publishes the keys that it has changed, where somebody keeps the zone, and
// nothing else.
func TestPublishKeys(t *testing.T) {
	h, p := newDNSHouse(t)
	before := p.shown()
	give(t, h, "dkim.add", NewKeys{Domain: "empresa.test", Prefix: "p9"})
	if ok, err := PublishKeys(t.Context(), h, "empresa.test"); !ok || err != nil || !strings.Contains(p.shown(), "TXT p9-e._domainkey.empresa.test v=DKIM1; k=ed25519; p=") {
		t.Errorf("%v, %v\n%s", ok, err, p.shown())
	}
	if n := strings.Count(p.shown(), "\n") - strings.Count(before, "\n"); n != 2 {
		t.Errorf("%d records are written:\n%s", n, p.shown())
	}
	// Nothing to do is nothing to write down, and the last apply of a person stays the one
	// that is taken back.
	audited := func() int {
		list, err := h.Store.AuditLog(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	n := audited()
	if ok, err := PublishKeys(t.Context(), h, "empresa.test"); !ok || err != nil || audited() != n {
		t.Errorf("again: %v, %v, %d records of it", ok, err, audited()-n)
	}
	if _, err := Do(t.Context(), h, boss, "dns.undo", []byte(`{"domain":"empresa.test","preview":true}`)); !errors.Is(err, ErrMissing) {
		t.Errorf("keys in use could be taken back: %v", err)
	}
	if ok, err := PublishKeys(t.Context(), h, "otra.test"); ok || err != nil {
		t.Errorf("a zone of nobody: %v, %v", ok, err)
	}
}

// What could not be found out now is no reason to take away what was published.
func TestDNSUncertain(t *testing.T) {
	h, p := newDNSHouse(t)
	p.facts.Certificates = [][32]byte{{1}}
	q := DNSQuery{Domain: "empresa.test"}
	give(t, h, "dns.apply", q)
	p.facts.Certificates, p.facts.IPs, p.facts.Uncertain = nil, nil, []string{"A", "AAAA", "TLSA"}
	if got := plan(t, h, "dns.plan", q); got != "leave TXT empresa.test" {
		t.Errorf("while it is not known: %s", got)
	}
	p.facts.Uncertain = nil
	if got := plan(t, h, "dns.plan", q); got != "leave TXT empresa.test, remove A mail.empresa.test, remove TLSA _25._tcp.mail.empresa.test" {
		t.Errorf("when it is known: %s", got)
	}
}

// One apply at a time, at whatever node.
func TestDNSLock(t *testing.T) {
	h, _ := newDNSHouse(t)
	unlock, err := h.lockDNS(t.Context(), boss)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attempt(h, "dns.apply", DNSQuery{Domain: "empresa.test"}); !errors.Is(err, ErrLater) {
		t.Errorf("the second apply: %v", err)
	}
	unlock()
	give(t, h, "dns.apply", DNSQuery{Domain: "empresa.test"})
}

// A domain with mail is not parked; one without takes the records of S34, and gets its
// own again when it is parked no more. The choice is remembered.
func TestDNSParked(t *testing.T) {
	h, p := newDNSHouse(t)
	yes, no := true, false
	give(t, h, "account.add", NewAccount{Address: "ana@empresa.test", Password: "una-larga"})
	if _, err := attempt(h, "dns.plan", DNSQuery{Domain: "empresa.test", Parked: &yes}); err == nil || err.Error() != "empresa.test has 1 accounts and 0 aliases, so it takes mail; only a domain without mail can be parked" {
		t.Errorf("parked with mail: %v", err)
	}
	p.zone = "vieja.test"
	give(t, h, "domain.add", Name{"vieja.test"})
	give(t, h, "dns.apply", DNSQuery{Domain: "vieja.test", Parked: &yes})
	if got := p.shown(); !strings.Contains(got, "MX vieja.test 0 .\n") || !strings.Contains(got, "TXT *._domainkey.vieja.test v=DKIM1; p=") {
		t.Errorf("parked:\n%s", got)
	}
	if got := plan(t, h, "dns.plan", DNSQuery{Domain: "vieja.test"}); got != "" {
		t.Errorf("it is remembered: %s", got)
	}
	if got := plan(t, h, "dns.apply", DNSQuery{Domain: "vieja.test", Parked: &no}); !strings.Contains(got, "replace MX vieja.test") || !strings.Contains(got, "remove TXT *._domainkey.vieja.test") {
		t.Errorf("parked no more: %s", got)
	}
}

// What the commands refuse, and the sentence for it.
func TestDNSRefusals(t *testing.T) {
	h, p := newDNSHouse(t)
	p.zone = "otra.test"
	for _, c := range []struct {
		name string
		args any
		want string
	}{
		{"dns.show", DNSQuery{Domain: "nadie.test"}, "there is no domain nadie.test; posta domain ls lists them"},
		{"dns.show", DNSQuery{Domain: "empresa.test", Logo: "http://empresa.test/l.svg"}, `"http://empresa.test/l.svg" is no https URL; the logo and its certificate are fetched over https`},
		{"dns.apply", DNSQuery{Domain: "empresa.test"}, "no [[dns.provider]] of posta.toml keeps a zone of empresa.test; name one, or publish what posta dns show prints by hand"},
	} {
		if _, err := attempt(h, c.name, c.args); err == nil || err.Error() != c.want {
			t.Errorf("%s %+v: %v", c.name, c.args, err)
		}
	}
	h.DNS = nil
	if _, err := attempt(h, "dns.show", DNSQuery{Domain: "empresa.test"}); err == nil {
		t.Error("shown without anything that knows")
	}
}

// A finding is accepted by name, with a reason, until a day, and no longer.
func TestAccept(t *testing.T) {
	h := newHouse(t)
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	h.Now = func() time.Time { return now }
	for _, c := range []struct {
		a    Accept
		want string
	}{
		{Accept{"no.such", "x", "because", "2026-12-31"}, "there is no check no.such; posta check ls lists them"},
		{Accept{"zone.missing", "PTR 10.2.0.192.in-addr.arpa", " ", "2026-12-31"}, `a subject (* for all) and a reason are needed: --reason "…"`},
		{Accept{"zone.missing", "PTR 10.2.0.192.in-addr.arpa", "asked for", "2026-11-30"}, `"2026-11-30" is no day that is to come within two years; write it as --until 2026-12-31`},
		{Accept{"zone.missing", "PTR 10.2.0.192.in-addr.arpa", "asked for", "2030-01-01"}, `"2030-01-01" is no day that is to come within two years; write it as --until 2026-12-31`},
	} {
		if _, err := attempt(h, "audit.accept", c.a); err == nil || err.Error() != c.want {
			t.Errorf("%+v: %v", c.a, err)
		}
	}
	give(t, h, "audit.accept", Accept{"zone.missing", "PTR 10.2.0.192.in-addr.arpa", "asked for", "2026-12-01"})
	give(t, h, "audit.accept", Accept{"zone.missing", "ptr 10.2.0.192.IN-ADDR.ARPA", "asked for twice", "2026-12-05"})
	list := give(t, h, "audit.accepted", struct{}{}).([]Accepted)
	if len(list) != 1 || list[0].Reason != "asked for twice" || list[0].By != "uid:0" {
		t.Fatalf("accepted: %+v", list)
	}
	a := list[0]
	for _, c := range []struct {
		check, subject string
		at             time.Time
		want           bool
	}{
		{"zone.missing", "PTR 10.2.0.192.in-addr.arpa", now, true},
		{"zone.missing", "MX empresa.test", now, false},
		{"zone.extra", "PTR 10.2.0.192.in-addr.arpa", now, false},
		{"zone.missing", "PTR 10.2.0.192.in-addr.arpa", time.Date(2026, 12, 5, 23, 59, 0, 0, time.UTC), true},
		{"zone.missing", "PTR 10.2.0.192.in-addr.arpa", time.Date(2026, 12, 6, 0, 0, 0, 0, time.UTC), false},
	} {
		if got := a.Holds(c.check, c.subject, c.at); got != c.want {
			t.Errorf("%s %s at %v: %v", c.check, c.subject, c.at, got)
		}
	}
	give(t, h, "audit.unaccept", Accept{Check: "zone.missing", Subject: "PTR 10.2.0.192.in-addr.arpa"})
	if _, err := attempt(h, "audit.unaccept", Accept{Check: "zone.missing", Subject: "PTR 10.2.0.192.in-addr.arpa"}); !errors.Is(err, ErrMissing) {
		t.Errorf("taken back twice: %v", err)
	}
}
