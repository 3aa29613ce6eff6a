package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/dnsapply"
	"posta/internal/resolver"
	"posta/internal/rotate"
	"posta/internal/store"
	"posta/internal/zone"
)

// A certificate is asked for only for names all of whose addresses are ours.
func TestLeading(t *testing.T) {
	dns := resolver.Static{
		"mta-sts.a.test":      {"CNAME mx.a.test"},
		"mx.a.test":           {"A 192.0.2.1", "AAAA 2001:db8::1"},
		"autoconfig.a.test":   {"A 192.0.2.1", "A 198.51.100.7"}, // half of it is somebody else's
		"autodiscover.a.test": {"A 198.51.100.7"},
		"mta-sts.b.test":      {"A FAIL timeout"},
	}
	ours := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	names := []string{"mta-sts.a.test", "autoconfig.a.test", "autodiscover.a.test", "ua-auto-config.a.test", "mta-sts.b.test"}
	got, err := leading(t.Context(), dns, names, ours)
	if strings.Join(got, " ") != "mta-sts.a.test" || err == nil || !strings.Contains(err.Error(), "mta-sts.b.test") {
		t.Errorf("%q, %v", got, err)
	}
}

// memoryZone is a zone at a provider, which the world sees at once.
type memoryZone struct {
	rows   map[zone.Question][]string
	writes int
}

func (z *memoryZone) Read(_ context.Context, _ string, qs []zone.Question) (map[zone.Question][]string, error) {
	out := map[zone.Question][]string{}
	for _, q := range qs {
		out[q] = slices.Clone(z.rows[q])
	}
	return out, nil
}

func (z *memoryZone) Write(_ context.Context, _ string, steps []zone.Step) error {
	z.writes++
	for _, s := range steps {
		q := s.Question()
		switch s.Action {
		case zone.Add:
			z.rows[q] = append(z.rows[q], s.Value)
		case zone.Replace:
			z.rows[q] = []string{s.Value}
		case zone.Remove:
			delete(z.rows, q)
		}
	}
	return nil
}

// Text implements rotate.Servers.
func (z *memoryZone) Text(_ context.Context, names []string) (map[string][]rotate.Sight, error) {
	out := map[string][]rotate.Sight{}
	for _, n := range names {
		out[n] = []rotate.Sight{{Server: "ns1", Records: z.rows[zone.Question{Name: n, Type: "TXT"}], TTL: time.Hour}}
	}
	return out, nil
}

// records are the names of the zone.
func (z *memoryZone) records() (out []string) {
	for q, v := range z.rows {
		if len(v) == 1 && strings.HasSuffix(v[0], "p=") {
			q.Name += " revoked"
		}
		out = append(out, q.Name)
	}
	slices.Sort(out)
	return out
}

// Where a provider keeps the zone, keys that are nine months old are replaced without
// anybody's help: the records of the new ones come, those of the old ones are revoked and
// go, and nothing else of the zone is touched. A domain of others waits for a person.
func TestRotationByItself(t *testing.T) {
	cfg := config.Default()
	cfg.Data, cfg.Hostname, cfg.Network.Public, cfg.Listen.HTTPS = t.TempDir(), "mail.empresa.test", []string{"192.0.2.10"}, ""
	st, err := OpenState(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	house := st.House()
	house.Now = clock
	give := func(name, args string) {
		t.Helper()
		if _, err := command.Do(t.Context(), house, command.Principal{Name: "uid:0", Role: store.Owner}, name, []byte(args)); err != nil {
			t.Fatal(name, err)
		}
	}
	const www = "www.empresa.test"
	z := &memoryZone{rows: map[zone.Question][]string{{Name: www, Type: "TXT"}: {"of somebody else"}}}
	r, err := newRecords(cfg, resolver.Static{}, func() (*x509.Certificate, error) { return nil, errors.New("none") })
	if err != nil {
		t.Fatal(err)
	}
	r.providers, house.DNS = dnsapply.Providers{{Name: "memory", Zones: []string{"empresa.test"}, Source: z}}, r
	for _, d := range []string{"empresa.test", "otra.test"} {
		give("domain.add", `{"name":"`+d+`"}`)
		give("dkim.add", `{"domain":"`+d+`"}`)
	}
	otherApply(t, st, func() {
		if err := (keyPublisher{house}).Publish(t.Context(), "empresa.test"); err != nil || z.writes != 0 {
			t.Errorf("while another apply runs: %v, %d writes", err, z.writes)
		}
	})
	if err := (keyPublisher{house}).Publish(t.Context(), "empresa.test"); err != nil {
		t.Fatal(err)
	}
	rotator := rotate.New(rotate.Config{
		House: house, Jobs: st.Store, Servers: z, Publisher: keyPublisher{house}, Lifetime: 5 * day, Every: time.Duration(cfg.DKIM.Rotate), Now: clock,
	})
	var story []string
	for range 300 {
		now = now.Add(day)
		if err := rotator.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		if at := strings.Join(z.records(), ", "); len(story) == 0 || story[len(story)-1] != at {
			story = append(story, at)
		}
	}
	const before, after = "p202603-%s._domainkey.empresa.test", "p20261126t0900-%s._domainkey.empresa.test"
	names := func(ends string, list ...string) (out []string) {
		for _, l := range list {
			out = append(out, fmt.Sprintf(l, "e")+ends, fmt.Sprintf(l, "r")+ends)
		}
		return out
	}
	want := [][]string{
		append(names("", before), www), append(names("", before, after), www),
		slices.Concat(names(" revoked", before), names("", after), []string{www}), append(names("", after), www),
	}
	for i := range want {
		if i >= len(story) || story[i] != strings.Join(want[i], ", ") {
			t.Fatalf("the zone went through\n%s", strings.Join(story, "\n"))
		}
	}
	if len(story) != len(want) || z.writes != 4 { // one at the beginning, three of the rotation
		t.Errorf("%d writes; the zone went through\n%s", z.writes, strings.Join(story, "\n"))
	}
	v, err := st.Store.LoadDirectory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if left, err := command.Rotations(v); err != nil || len(left) != 0 {
		t.Errorf("under way: %v, %v", left, err)
	}
}

// otherApply does something while another node writes to DNS.
func otherApply(t *testing.T, st *State, do func()) {
	t.Helper()
	if err := st.Store.AddJob(t.Context(), store.Job{Key: "dns.apply", Kind: "dns.apply"}); err != nil {
		t.Fatal(err)
	}
	j, err := st.Store.ClaimJob(t.Context(), "another node", []string{"dns.apply"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	do()
	if err := st.Store.EndJob(t.Context(), j.ID, j.Fence, time.Time{}, ""); err != nil {
		t.Fatal(err)
	}
}
