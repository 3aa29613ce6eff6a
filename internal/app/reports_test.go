package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posta/internal/addr"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/dmarc"
	"posta/internal/relay"
	"posta/internal/reportout"
	"posta/internal/resolver"
	"posta/internal/smtp"
	"posta/internal/store"
)

// A day's report leaves through the queue from the null reverse-path and is signed; a
// refusal of it, told by the queue, is the last that its address gets for a while.
func TestReportsLeave(t *testing.T) {
	cfg := config.Default()
	cfg.Data, cfg.Hostname, cfg.DNS.Servers = t.TempDir(), "mail.empresa.test", []string{"127.0.0.1:1"}
	st, err := OpenState(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	now := time.Now()
	s := &server{cfg: cfg, state: st, log: slog.New(slog.DiscardHandler), opt: Options{Now: func() time.Time { return now }}, house: st.House()}
	if err := s.joinIntake(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.dns = resolver.Static{"_smtp._tls.example.net": {"TXT v=TLSRPTv1; rua=mailto:tls@example.net"}}
	s.reports = s.newReporter()
	if from := s.reportsFrom(); from != (addr.Address{}) {
		t.Errorf("without keys reports come from %s", from)
	}
	owner := command.Principal{Name: "uid:0", Role: store.Owner}
	for _, c := range []struct{ name, args string }{{"domain.add", `{"name":"empresa.test"}`}, {"dkim.add", `{"domain":"empresa.test"}`}} {
		if _, err := command.Do(t.Context(), s.house, owner, c.name, json.RawMessage(c.args)); err != nil {
			t.Fatal(c.name, err)
		}
	}
	rec, err := dmarc.Parse("v=DMARC1; p=reject; rua=mailto:rua@example.org")
	if err != nil {
		t.Fatal(err)
	}
	count := func() {
		s.reports.Judged(reportout.Judged{At: now, Source: netip.MustParseAddr("192.0.2.7"), DMARC: dmarc.Result{
			Status: dmarc.StatusPass, Author: "example.org", Record: rec, RecordDomain: "example.org", RecordText: "v=DMARC1; p=reject; rua=mailto:rua@example.org",
		}})
		s.session(relay.Session{Domain: "example.net", Host: "mx.example.net", Remote: netip.MustParseAddr("192.0.2.1"), Result: relay.NoSTARTTLS})
		s.reports.Flush(t.Context())
		now = now.Add(24 * time.Hour)
		if err := s.reports.Work(t.Context()); err != nil {
			t.Error(err)
		}
	}
	count()
	entries, err := st.Store.ListQueue(t.Context(), store.QueueFilter{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range entries {
		e := &entries[i]
		got = append(got, e.Address)
		optional := string(e.Prefix) == store.TLSOptional
		if e.ReversePath != "" || !e.Sign || optional != (e.Address == "tls@example.net") {
			t.Errorf("%s: from <%s>, signed: %t, though TLS fails: %t", e.Address, e.ReversePath, e.Sign, optional)
		}
		s.observe(e, &relay.Outcome{Status: relay.Permanent, Reply: smtp.New(550, "5.1.1", "no such user")}, store.Failed)
	}
	if all := strings.Join(got, " "); len(got) != 2 || !strings.Contains(all, "rua@example.org") || !strings.Contains(all, "tls@example.net") {
		t.Fatalf("in the queue: %q", got)
	}
	if from := s.reportsFrom(); from.String() != "postmaster@empresa.test" {
		t.Errorf("reports come from %s", from)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	s.reports.Run(over) // what waits is written down
	count()
	if after, err := st.Store.ListQueue(t.Context(), store.QueueFilter{Limit: 10}); err != nil || len(after) != len(entries) {
		t.Errorf("who refused is told again: %d in the queue, %v", len(after), err)
	}
}
