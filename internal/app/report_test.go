package app

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/feedback"
	"posta/internal/mailbox"
	"posta/internal/relay"
	"posta/internal/resolver"
	"posta/internal/store"
)

// watched is a server that is looked at once a day, with the clock in the test's hand.
type watched struct {
	*server
	t   *testing.T
	now time.Time
}

func newWatched(t *testing.T, language string) *watched {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Hostname, cfg.DNS.Servers, cfg.Language = t.TempDir(), "mail.empresa.test", []string{"127.0.0.1:1"}, language
	cfg.Network.Public = []string{"192.0.2.25"}
	st, err := OpenState(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	w := &watched{t: t, now: time.Now().UTC().Truncate(24 * time.Hour).Add(6 * time.Hour)}
	w.server = &server{cfg: cfg, state: st, log: slog.New(slog.DiscardHandler), opt: Options{Now: func() time.Time { return w.now }}, house: st.House()}
	if err := w.joinIntake(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.dns = resolver.Static{"_dmarc.empresa.test": {"TXT v=spf1 -all", "TXT v=DMARC1; p=none; rua=mailto:x@empresa.test"}}
	owner := command.Principal{Name: "uid:0", Role: store.Owner}
	for _, c := range []struct{ name, args string }{
		{"domain.add", `{"name":"empresa.test"}`}, {"account.add", `{"address":"ana@empresa.test","password":"correct horse"}`}, {"alias.add", `{"address":"postmaster@empresa.test","targets":["ana@empresa.test"]}`},
	} {
		if _, err := command.Do(t.Context(), w.house, owner, c.name, json.RawMessage(c.args)); err != nil {
			t.Fatal(c.name, err)
		}
	}
	return w
}

// day brings a report of the day before, in which our own server passes or not, and looks.
func (w *watched) day(passes bool) {
	w.t.Helper()
	w.now = w.now.AddDate(0, 0, 1)
	begin := w.now.Truncate(24*time.Hour).AddDate(0, 0, -1)
	r := &store.Report{
		Kind: store.DMARCReport, Domain: "empresa.test", Org: "big.example", Name: begin.Format(time.DateOnly), Begin: begin, End: begin.Add(24*time.Hour - time.Second),
		Received: w.now, Proved: true, Policy: "p=none",
	}
	r.ID = store.NewReportID(r.Kind, r.Domain, r.Org, r.Name, r.Org)
	rows := []store.ReportRow{{Day: int32(begin.Unix() / 86400), Source: netip.MustParseAddr("192.0.2.25"), Count: 60, DKIM: passes, SPF: passes}}
	if err := w.state.Store.AddReport(w.t.Context(), r, rows); err != nil {
		w.t.Fatal(err)
	}
	w.look()
}

func (w *watched) look() {
	w.t.Helper()
	if err := w.newReportWatch().Do(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// letters are those in ana's mailboxes: what they are about and what they say.
func (w *watched) letters() (out []string) {
	w.t.Helper()
	ctx, st := w.t.Context(), w.state.Store
	for a := range w.state.Directory.View().Accounts() {
		boxes, err := st.ListMailboxes(ctx, a.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, b := range boxes {
			out = append(out, w.texts(a.ID, b.ID)...)
		}
	}
	return out
}

func (w *watched) texts(a mailbox.AccountID, box mailbox.ID) (out []string) {
	w.t.Helper()
	ctx := w.t.Context()
	mails, err := w.state.Store.Fetch(ctx, a, box, store.FetchQuery{Want: store.WantBytes})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range mails {
		r, err := w.state.Blobs.Open(ctx, m.Blob.ID, m.Blob.At)
		if err != nil {
			w.t.Fatal(err)
		}
		text, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
		if err := r.Close(); err != nil {
			w.t.Fatal(err)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, string(text))
	}
	return out
}

// When mail of our own server stops passing, its postmaster has one letter, in his language;
// one more when it is over; and however often it is looked, no other.
func TestReportWatch(t *testing.T) {
	for language, want := range map[string][]string{
		"en": {"Subject: mail from our own servers fails DMARC: empresa.test", "Source: 192.0.2.25", "Seen: 300 of 360 messages pass", "posta report sources empresa.test", "Subject: Over: mail from our own servers fails DMARC: empresa.test"},
		"es": {"Subject: el correo de nuestros propios servidores no pasa DMARC: empresa.test", "Origen: 192.0.2.25", "Visto: pasan 300 de 360 mensajes", "posta report sources empresa.test", "Subject: Terminado: el correo de nuestros propios servidores no pasa DMARC:\r\n empresa.test"},
	} {
		w := newWatched(t, language)
		for range 10 {
			w.day(true)
		}
		if got := w.letters(); len(got) != 0 {
			t.Fatalf("%s: all is well: %q", language, got)
		}
		for range 4 {
			w.day(false)
			w.look()
		}
		got := w.letters()
		if len(got) != 1 {
			t.Fatalf("%s: %d letters: %q", language, len(got), got)
		}
		for _, part := range want[:4] {
			if !strings.Contains(got[0], part) {
				t.Errorf("%s: no %q in\n%s", language, part, got[0])
			}
		}
		for range 12 {
			w.day(true)
			w.look()
		}
		got = w.letters()
		if len(got) != 2 || !strings.Contains(got[1], want[4]) {
			t.Errorf("%s: at the end %d letters: %q", language, len(got), got)
		}
	}
}

// A program that dies when an incident is written, and its letter not yet, writes it at the
// next look; what is old is not told anew.
func TestReportWatchDies(t *testing.T) {
	w := newWatched(t, "en")
	put := func(subject string, first, resolved time.Time) {
		a := store.ReportAlert{ID: "own/empresa.test/" + subject, Domain: "empresa.test", Kind: "own", Subject: subject, Page: true, Seen: "1|60", First: first, Last: first, Resolved: resolved}
		if err := w.state.Store.PutReportAlerts(t.Context(), []store.ReportAlert{a}); err != nil {
			t.Fatal(err)
		}
	}
	put("192.0.2.1", w.now.Add(-72*time.Hour), w.now.Add(-time.Hour)) // over, and nobody was told
	put("192.0.2.2", w.now.Add(-96*time.Hour), w.now.Add(-72*time.Hour))
	for range 2 {
		w.look()
	}
	if got := w.letters(); len(got) != 1 || !strings.Contains(got[0], "Subject: Over: ") || !strings.Contains(got[0], "192.0.2.1") {
		t.Errorf("%d letters: %q", len(got), got)
	}
	if left, err := w.state.Store.ReportAlerts(t.Context(), "empresa.test", time.Time{}); err != nil || len(left) != 2 {
		t.Errorf("%+v, %v", left, err)
	}
}

// Reports and incidents are forgotten after 400 days.
func TestReportsForgotten(t *testing.T) {
	w := newWatched(t, "en")
	w.day(true)
	w.now = w.now.Add(keepReports - 24*time.Hour)
	w.look()
	count := func() int {
		list, err := w.state.Store.ListReports(t.Context(), store.ReportFilter{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if n := count(); n != 1 {
		t.Errorf("%d reports on the last day", n)
	}
	w.now = w.now.Add(72 * time.Hour)
	w.look()
	if n := count(); n != 0 {
		t.Errorf("%d reports after it", n)
	}
}

// The record is the one that is DMARC's; where it cannot be seen nothing is said of it.
func TestPublishedDMARC(t *testing.T) {
	w := newWatched(t, "en")
	for domain, want := range map[string]string{"empresa.test": "v=DMARC1; p=none; rua=mailto:x@empresa.test", "other.test": ""} {
		if got, err := w.publishedDMARC(t.Context(), domain); err != nil || got != want {
			t.Errorf("%s: %q, %v", domain, got, err)
		}
	}
	w.dns = nil
	if _, err := w.publishedDMARC(t.Context(), "empresa.test"); err == nil {
		t.Error("without a resolver")
	}
}

// What leaves is counted for the domain that it leaves from: signed mail of a domain of
// ours, by the destination's domain.
func TestNoteSent(t *testing.T) {
	w := newWatched(t, "en")
	w.sent = feedback.NewSentLog(w.state.Store, w.log)
	for _, e := range []struct {
		from string
		sign bool
	}{{"ana@empresa.test", true}, {"ana@empresa.test", true}, {"ana@other.test", true}, {"ana@empresa.test", false}, {"", true}} {
		w.noteSent(&store.QueueEntry{QueueTo: store.QueueTo{Domain: "gmail.com"}, Enqueue: store.Enqueue{ReversePath: e.from, Sign: e.sign}}, &relay.Outcome{Ended: w.now})
	}
	w.sent.Flush(t.Context())
	facts, err := w.state.Store.ListFacts(t.Context(), store.SentMail, "", "", 10)
	got := ""
	for _, f := range facts {
		got += fmt.Sprintf("%s %s\n", f.Key, f.Value)
	}
	if want := "empresa.test|" + w.now.Format(time.DateOnly) + "|gmail.com 2\n"; err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
}
