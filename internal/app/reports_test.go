package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"
	"github.com/jhillyerd/enmime/v2"

	"posta/internal/addr"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/dmarc"
	"posta/internal/dmarcreport"
	"posta/internal/relay"
	"posta/internal/reportout"
	"posta/internal/resolver"
	"posta/internal/smtp"
	"posta/internal/store"
	"posta/internal/unpack"
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

// A day of mail in the name of a domain that asks for reports becomes a report that another
// server gets by SMTP: signed by us, as an independent verifier finds, with what was counted
// in it, as an independent reader of MIME finds.
func TestReportIsDelivered(t *testing.T) {
	h := &relayHost{}
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("posta.toml", fmt.Appendf(nil, "hostname = \"mail.empresa.test\"\ndata = %q\n[dns]\nservers = [\"127.0.0.1:9\"]\n"+
		"[queue]\nsmart_host = \"[127.0.0.1]:%s\"\nsmart_host_tls = \"none\"\nlogin = \"ana\"\npassword_file = %q\n", filepath.Join(dir, "data"), h.listen(t, nil, false), secret))
	if err != nil {
		t.Fatal(err)
	}
	st, err := OpenState(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	day := time.Now().Add(-24 * time.Hour)
	now := day
	s := &server{cfg: cfg, state: st, log: slog.New(slog.DiscardHandler), opt: Options{Now: func() time.Time { return now }}, house: st.House()}
	if err := s.joinIntake(t.Context()); err != nil {
		t.Fatal(err)
	}
	var keys []command.Key
	for _, c := range []struct{ name, args string }{{"domain.add", `{"name":"empresa.test"}`}, {"dkim.add", `{"domain":"empresa.test"}`}} {
		out, err := command.Do(t.Context(), s.house, command.Principal{Name: "uid:0", Role: store.Owner}, c.name, json.RawMessage(c.args))
		if err != nil {
			t.Fatal(c.name, err)
		}
		keys, _ = out.([]command.Key)
	}
	rec, err := dmarc.Parse("v=DMARC1; p=reject; rua=mailto:rua@example.org")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.reports.Judged(reportout.Judged{At: now, Source: netip.MustParseAddr("192.0.2.7"), DMARC: dmarc.Result{
			Status: dmarc.StatusPass, Author: "example.org", Record: rec, RecordDomain: "example.org", RecordText: "v=DMARC1; p=reject; rua=mailto:rua@example.org",
		}})
	}
	now = time.Now()
	if err := s.reports.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.joinPublished(); err != nil {
		t.Fatal(err)
	}
	s.queue = s.newQueue()
	defer s.relay.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.queue.Run(ctx) }()
	for end := time.Now().Add(time.Minute); h.message() == nil && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	message := h.message()
	found, err := msgauth.VerifyWithOptions(bytes.NewReader(message), &msgauth.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		for _, k := range keys {
			if k.Name == name {
				return []string{k.Record}, nil
			}
		}
		return nil, fmt.Errorf("nothing at %s", name)
	}})
	if err != nil || len(found) != 2 || found[0].Err != nil || found[1].Err != nil || found[0].Domain != "empresa.test" {
		t.Fatalf("signatures: %v, %v\n%.2000s", found, err, message)
	}
	mime, err := enmime.ReadEnvelope(bytes.NewReader(message))
	if err != nil || len(mime.Attachments) != 1 || !strings.HasPrefix(mime.GetHeader("Subject"), "Report Domain: example.org Submitter: empresa.test") {
		t.Fatalf("%v\n%.2000s", err, message)
	}
	var got *dmarcreport.Report
	err = unpack.Each(mime.Attachments[0].Content, unpack.Limits{}, func(r io.Reader) (err error) {
		got, err = dmarcreport.Parse(r, dmarcreport.Limits{})
		return err
	})
	if err != nil || got.Published.Domain != "example.org" || len(got.Records) != 1 || got.Records[0].Count != 3 || got.Records[0].Source.String() != "192.0.2.7" {
		t.Errorf("the report: %+v, %v", got, err)
	}
	if begin := day.UTC().Truncate(24 * time.Hour); got != nil && !got.Metadata.Begin.Equal(begin) {
		t.Errorf("it begins at %v, not %v", got.Metadata.Begin, begin)
	}
}

// message is the last one that came; nil before.
func (h *relayHost) message() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}
