package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/store"
	"posta/internal/trace"
)

// oneTrace is a store with one refusal.
type oneTrace struct {
	store.Store
	rec    *trace.Record
	merged *store.TraceRecord // another
}

func (o oneTrace) FlushTraces(context.Context) error { return nil }
func (o oneTrace) ListQueue(context.Context, store.QueueFilter) ([]store.QueueEntry, error) {
	return nil, nil
}
func (o oneTrace) Trace(_ context.Context, id mail.ID) (store.StoredTrace, error) {
	if o.merged != nil && id == o.merged.ID {
		return store.StoredTrace{TraceRecord: *o.merged}, nil
	}
	if id != o.rec.ID {
		return store.StoredTrace{}, store.ErrNotFound
	}
	return store.StoredTrace{TraceRecord: o.rec.Encode()}, nil
}

func handler(t *testing.T, ready error) (*Handler, *trace.Record) {
	t.Helper()
	rec := &trace.Record{
		ID: mail.NewID(time.Unix(1_790_000_000, 0)), At: time.Unix(1_790_000_000, 0), Stage: trace.AtRcpt, Login: "secreto@empresa.test",
		IP: "192.0.2.9", HELO: "<script>x</script>", From: "a@strict.example",
		To: []trace.Recipient{
			{Address: "ana@empresa.test", Action: "reject", Check: "spf.fail", Reply: "550 5.7.23 no [spf.fail]"},
			{Address: "otro@empresa.test", Action: "accept"},
		},
	}
	rec.Findings.Add(finding.Of(finding.SPFFail, finding.Fail, "strict.example", "record", "v=spf1 -all"))
	h, err := New(Config{
		Hostname: "mx.empresa.test", House: &command.House{Store: oneTrace{rec: rec}},
		Ready: func(context.Context) error { return ready }, Metrics: http.NotFoundHandler(),
		Trusted: func(a netip.Addr) bool { return a.IsLoopback() }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, rec
}

func get(h http.Handler, path, language, from string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Accept-Language", language)
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// The page explains in the reader's language, escapes what a stranger said, and
// tells nothing that the refused side may not know.
func TestWhy(t *testing.T) {
	h, rec := handler(t, nil)
	for lang, want := range map[string]string{"en": "The domain&#39;s SPF record forbids this address to send", "es-MX,es;q=0.9": "El registro SPF del dominio prohíbe enviar a esta dirección"} {
		w := get(h, "/why/"+rec.ID.String(), lang, "203.0.113.1:5")
		body := w.Body.String()
		for _, s := range []string{want, "v=spf1 -all", "192.0.2.9", "&lt;script&gt;", "postmaster", rec.ID.String()} {
			if !strings.Contains(body, s) {
				t.Errorf("%s: missing %q in\n%s", lang, s, body)
			}
		}
		for _, s := range []string{"<script>", "secreto@", "otro@"} {
			if strings.Contains(body, s) {
				t.Errorf("%s: must not show %q", lang, s)
			}
		}
		if w.Header().Get("Content-Security-Policy") == "" {
			t.Error("no policy for content")
		}
	}
	if w := get(h, "/why/smtp.bare-newline", "en", "203.0.113.1:5"); w.Code != 200 || !strings.Contains(w.Body.String(), "line ends that are not CRLF") {
		t.Errorf("a check by its id: %d", w.Code)
	}
	for _, id := range []string{mail.NewID(time.Now()).String(), "x", "../../etc"} {
		if w := get(h, "/why/"+id, "en", "203.0.113.1:5"); w.Code == 200 {
			t.Errorf("%s: %d", id, w.Code)
		}
	}
}

// A record that stands for many refusals says so, and whom it concerns.
func TestWhyMerged(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	one := &store.TraceRecord{ID: mail.NewID(at), Merged: &store.Merged{
		Network: netip.MustParsePrefix("192.0.2.0/24"), Check: "spf.fail", Count: 4711, First: at, Last: at.Add(time.Minute),
	}}
	h, rec := handler(t, nil)
	h.cfg.House.Store = oneTrace{rec: rec, merged: one}
	for lang, want := range map[string]string{"en": "4711 times, the last one at Sat, 21 Nov 2026 10:01:00 UTC", "es": "4711 veces"} {
		body := get(h, "/why/"+one.ID.String(), lang, "203.0.113.1:5").Body.String()
		for _, s := range []string{want, "192.0.2.0/24", "spf.fail", "postmaster", one.ID.String()} {
			if !strings.Contains(body, s) {
				t.Errorf("%s: missing %q in\n%s", lang, s, body)
			}
		}
		if strings.Contains(body, "&lt;&gt;") {
			t.Errorf("%s: it speaks of a null reverse-path", lang)
		}
	}
}

// One network may look a bounded number of times in a minute.
func TestWhyIsLimited(t *testing.T) {
	h, rec := handler(t, nil)
	last := 0
	for range perMinute + 1 {
		last = get(h, "/why/"+rec.ID.String(), "en", "203.0.113.1:5").Code
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the last view: %d", last)
	}
	if c := get(h, "/why/"+rec.ID.String(), "en", "203.0.114.1:5").Code; c != 200 {
		t.Errorf("another network: %d", c)
	}
}

func TestHealth(t *testing.T) {
	h, _ := handler(t, errors.New("disk"))
	if c := get(h, "/healthz", "", "203.0.113.1:5").Code; c != 200 {
		t.Error("healthz", c)
	}
	if c := get(h, "/readyz", "", "203.0.113.1:5").Code; c != 503 {
		t.Error("readyz when the store cannot write:", c)
	}
	if c := get(h, "/metrics", "", "203.0.113.1:5").Code; c != 403 {
		t.Error("metrics for a stranger:", c)
	}
}
