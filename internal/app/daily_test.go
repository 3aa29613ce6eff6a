package app

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/daily"
	"posta/internal/dmarc"
	"posta/internal/drift"
	"posta/internal/feedback"
	"posta/internal/reportout"
	"posta/internal/resolver"
	"posta/internal/store"
	"posta/internal/words"
)

// What the daily letter says of reports, of our domains, of rotations and of reports that
// went to nobody.
func TestDailyTellsOfTheHouse(t *testing.T) {
	cfg := config.Default()
	cfg.Data, cfg.Hostname, cfg.DNS.Servers = t.TempDir(), "mail.empresa.test", []string{"127.0.0.1:1"}
	st, err := OpenState(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	now := time.Now().UTC() // what is remembered of reports lives by the store's clock
	day := now.Format("20060102")
	s := &server{cfg: cfg, state: st, log: slog.New(slog.DiscardHandler), opt: Options{Now: func() time.Time { return now }}, house: st.House()}
	s.house.Now = s.opt.Now
	if err := s.joinIntake(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.dns = resolver.Static{"bank.example": {"A 192.0.2.80"}}
	s.reports = s.newReporter()
	give := func(name, args string) {
		t.Helper()
		if _, err := command.Do(t.Context(), s.house, command.Principal{Name: "uid:0", Role: store.Owner}, name, []byte(args)); err != nil {
			t.Fatal(name, err)
		}
	}
	tell := func(what string, source daily.Source, waiting, changed, good string) {
		t.Helper()
		p, err := source(t.Context(), words.Lang("en"), now.Add(-24*time.Hour))
		if err != nil {
			t.Fatal(what, err)
		}
		for _, c := range []struct {
			kind string
			got  []string
			want string
		}{{"waiting", p.Waiting, waiting}, {"changed", p.Changed, changed}, {"good", p.Good, good}} {
			if got := strings.Join(c.got, "\n"); !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
				t.Errorf("%s, %s: %q, want %q", what, c.kind, got, c.want)
			}
		}
	}
	tell("an empty house", s.tellUnsent, "", "", "")
	give("domain.add", `{"name":"empresa.test"}`)
	tell("no keys", s.tellUnsent, "No reports are sent to other domains", "", "")
	give("dkim.add", `{"domain":"empresa.test"}`)
	tell("keys", s.tellUnsent, "", "", "")
	tell("no rotation", s.tellRotations, "", "", "")

	// A domain that asks for reports at an address that nobody vouches for.
	rec, err := dmarc.Parse("v=DMARC1; p=none; rua=mailto:rua@elsewhere.example")
	if err != nil {
		t.Fatal(err)
	}
	s.reports.Judged(reportout.Judged{At: now, Source: netip.MustParseAddr("192.0.2.7"), DMARC: dmarc.Result{
		Status: dmarc.StatusPass, Author: "bank.example", Record: rec, RecordDomain: "bank.example", RecordText: "v=DMARC1; p=none; rua=mailto:rua@elsewhere.example",
	}})
	now = now.Add(24 * time.Hour)
	if err := s.reports.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	tell("nobody was told", s.tellUnsent, "", "", "No report was sent to bank.example (dmarc, "+day+"): ")

	// Incidents: a new one, one that goes on, one that the policy deals with, one that is over.
	old := now.Add(-5 * 24 * time.Hour)
	alert := func(kind string, first, resolved time.Time) store.ReportAlert {
		return store.ReportAlert{ID: kind + "/empresa.test/x", Domain: "empresa.test", Kind: kind, Subject: "192.0.2.9", Seen: "12 messages", First: first, Last: now, Resolved: resolved}
	}
	if err := st.Store.PutReportAlerts(t.Context(), []store.ReportAlert{
		alert(feedback.AlertOwn, now.Add(-time.Hour), time.Time{}), alert(feedback.AlertUnaligned, old, time.Time{}),
		alert(feedback.AlertSpoof, old, time.Time{}), alert(feedback.AlertSilent, old, now.Add(-2*time.Hour)),
	}); err != nil {
		t.Fatal(err)
	}
	tell("incidents", s.tellReports, "Reports about empresa.test: still a known source stopped passing DMARC: 192.0.2.9 (12 messages)",
		"Reports about empresa.test: ", "Reports about empresa.test: still a burst of spoofed mail")
	p, err := s.tellReports(t.Context(), "es", now.Add(-24*time.Hour))
	if err != nil || len(p.Waiting) != 1 || len(p.Changed) != 2 || len(p.Good) != 1 || !strings.Contains(strings.Join(p.Changed, "\n"), "ya no") {
		t.Errorf("%+v, %v", p, err)
	}

	// The look at our domains.
	today := now.Add(-time.Hour).Format(time.RFC3339)
	if err := st.Store.AddJob(t.Context(), store.Job{Key: drift.Kind + "/empresa.test", Kind: drift.Kind, Data: []byte("empresa.test"), Due: now.Add(time.Hour), Cursor: []byte(
		`{"at":"` + today + `","failed":[{"check":"zone.missing","subject":"MX empresa.test","since":"` + today + `"},` +
			`{"check":"spf.missing","subject":"empresa.test","since":"2026-02-01T10:00:00Z"}],"mended":[{"check":"mx.cname","subject":"mail.empresa.test"}]}`)}); err != nil {
		t.Fatal(err)
	}
	tell("drift", s.tellDrift, "", "empresa.test: a record is missing in DNS [zone.missing] MX empresa.test. posta audit empresa.test and posta dns diff empresa.test tell more\nempresa.test: mended: ", "")

	// A rotation that waits for somebody to publish its records.
	give("dkim.rotate", `{"domain":"empresa.test"}`)
	tell("begun, and not looked at", s.tellRotations, "", "", "")
	v, err := st.Store.LoadDirectory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at, _, err := command.RotationOf(v.Settings, "empresa.test")
	if err != nil {
		t.Fatal(err)
	}
	next := at
	next.Looked, next.Lacks = true, []command.Lack{{Server: "ns1", Name: "a._domainkey.empresa.test", What: "missing"}, {Server: "ns2", Name: "a._domainkey.empresa.test", What: "missing"}}
	if _, err := s.house.MoveRotation(context.Background(), command.Principal{Name: "system", Role: store.Owner}, at, next); err != nil {
		t.Fatal(err)
	}
	tell("it waits", s.tellRotations, "The rotation of the DKIM keys of empresa.test waits: ns1 does not show a._domainkey.empresa.test; 1 more. posta dkim ls empresa.test", "", "")
}
