package reportout

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/addr"
	"posta/internal/dkim"
	"posta/internal/dmarc"
	"posta/internal/dmarcreport"
	pmail "posta/internal/mail"
	"posta/internal/resolver"
	"posta/internal/spf"
	"posta/internal/store"
	"posta/internal/tlsrpt"
)

// memory is the facts of a store, in memory: TestReportsLeave of app has a real one.
type memory struct {
	now   func() time.Time
	facts map[store.FactKind]map[string]store.Fact
}

func (m *memory) get(kind store.FactKind, key string) store.Fact {
	if f, ok := m.facts[kind][key]; ok && f.Until.After(m.now()) {
		return f
	}
	return store.Fact{Key: key}
}

func (m *memory) FactsOf(_ context.Context, kind store.FactKind, keys ...string) (out []store.Fact, err error) {
	for _, k := range keys {
		out = append(out, m.get(kind, k))
	}
	return out, nil
}

func (m *memory) ChangeFacts(_ context.Context, kind store.FactKind, keys []string, f func(store.Fact) store.Fact) error {
	if m.facts[kind] == nil {
		m.facts[kind] = map[string]store.Fact{}
	}
	for _, k := range keys {
		next := f(m.get(kind, k))
		if len(next.Value) > store.MaxFactValue || len(k) > store.MaxFactKey || len(keys) > 100 {
			return store.ErrInvalid
		}
		m.facts[kind][k] = next
	}
	return nil
}

func (m *memory) ListFacts(_ context.Context, kind store.FactKind, prefix, after string, limit int) (out []store.Fact, err error) {
	for _, k := range slices.Sorted(maps.Keys(m.facts[kind])) {
		if f := m.get(kind, k); !f.Until.IsZero() && strings.HasPrefix(k, prefix) && k > after && len(out) < limit {
			out = append(out, f)
		}
	}
	return out, nil
}

// bench is a Reporter of mail.posta.test with a clock, over a store, and what it sent.
type bench struct {
	*Reporter
	now  time.Time
	zone resolver.Static
	st   *memory
	sent []string // "to: message"
	fail error

	setting string // whom the administrator suppresses
}

func newBench(t *testing.T, zone resolver.Static) *bench {
	b := &bench{now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), zone: zone}
	clock := func() time.Time { return b.now }
	b.st = &memory{now: clock, facts: map[store.FactKind]map[string]store.Fact{}}
	b.Reporter = New(Config{
		Facts: b.st, DNS: zone, Hostname: "mail.posta.test", Suppressed: func() string { return b.setting }, DMARC: true, TLS: true, Now: clock,
		From: func() addr.Address { return address(t, "postmaster@posta.test") }, Local: func(d string) bool { return d == "posta.test" },
		Deposit: func(_ context.Context, to addr.Address, m []byte, tlsOptional bool) error {
			if tlsOptional != strings.Contains(string(m), "TLS-Report-Domain") {
				t.Errorf("to %s though TLS fails: %t", to, tlsOptional)
			}
			if b.fail == nil {
				b.sent = append(b.sent, to.String()+": "+string(m))
			}
			return b.fail
		},
	})
	return b
}

func address(t *testing.T, s string) addr.Address {
	a, err := addr.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// tomorrow makes the reports of today.
func (b *bench) tomorrow(t *testing.T) {
	t.Helper()
	b.now = b.now.Add(24 * time.Hour)
	if err := b.Work(t.Context()); err != nil {
		t.Error(err)
	}
}

// told are the addresses of what was sent, and empties it.
func (b *bench) told() string {
	var out []string
	for _, s := range b.sent {
		to, _, _ := strings.Cut(s, ":")
		out = append(out, to)
	}
	b.sent = nil
	slices.Sort(out)
	return strings.Join(out, " ")
}

// opened is a message and its unpacked file.
func opened(t *testing.T, sent string) (h mail.Header, file []byte, name string) {
	t.Helper()
	_, raw, _ := strings.Cut(sent, ": ")
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	if _, err := r.NextPart(); err != nil {
		t.Fatal(err)
	}
	p, err := r.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, p))
	if err != nil {
		t.Fatal(err)
	}
	if file, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return m.Header, file, p.FileName()
}

// judged is a message that DMARC judged under a record of example.org.
func judged(t *testing.T, at time.Time, record string, pass bool, done pmail.Action) Judged {
	rec, err := dmarc.Parse(record)
	if err != nil {
		t.Fatal(err)
	}
	j := Judged{
		At: at, Source: netip.MustParseAddr("192.0.2.7"), EnvelopeFrom: "example.org", EnvelopeTo: "posta.test", Done: done,
		DMARC: dmarc.Result{Status: dmarc.StatusPass, Author: "example.org", Record: rec, RecordDomain: "example.org", RecordText: record, Policy: rec.P, DKIMAligned: pass},
		SPF:   spf.Result{Status: spf.SoftFail, Domain: "example.org"},
		DKIM:  []dkim.Result{{Status: dkim.Pass, SDID: "example.org", Selector: "s1"}},
	}
	if !pass {
		j.DMARC.Status, j.DMARC.Disposition, j.DKIM[0].Status = dmarc.StatusFail, rec.P, dkim.Fail
	}
	return j
}

const record = "v=DMARC1; p=reject; rua=mailto:rua@example.org"

// A day's mail in the name of a domain becomes one report, once.
func TestDMARC(t *testing.T) {
	b := newBench(t, resolver.Static{})
	for range 3 {
		b.Judged(judged(t, b.now, record, true, pmail.Accept))
		b.Flush(t.Context())
	}
	b.Judged(judged(t, b.now, record, false, pmail.Reject))
	b.Judged(judged(t, b.now, record, false, pmail.Junk))
	report := judged(t, b.now, record, true, pmail.Accept)
	report.Report = true
	b.Judged(report)
	b.Judged(judged(t, b.now, "v=DMARC1; p=none", true, pmail.Accept)) // asks for none
	if err := b.Work(t.Context()); err != nil || len(b.sent) > 0 {
		t.Fatalf("the day is not over: %v, %q", err, b.sent)
	}
	b.tomorrow(t)
	if err := b.Work(t.Context()); err != nil || len(b.sent) != 1 {
		t.Fatalf("%v; sent %d, want one report once", err, len(b.sent))
	}
	h, file, name := opened(t, b.sent[0])
	rep, err := dmarcreport.Parse(bytes.NewReader(file), dmarcreport.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(h.Get("Subject"), "Report Domain: example.org Submitter: posta.test Report-ID: <") || name != "posta.test!example.org!1772409600!1772495999.xml.gz" {
		t.Errorf("subject %q, file %q", h.Get("Subject"), name)
	}
	if h.Get("From") != "<postmaster@posta.test>" || h.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("header %v", h)
	}
	if p := rep.Published; p.Domain != "example.org" || p.Policy != "reject" || p.Discovery != "treewalk" || rep.Metadata.End.Sub(rep.Metadata.Begin) != 24*time.Hour-time.Second {
		t.Errorf("%+v %+v", p, rep.Metadata)
	}
	var got []string
	for _, r := range rep.Records {
		why := ""
		for _, x := range r.Reasons {
			why += " " + x.Type
		}
		got = append(got, fmt.Sprintf("%s %d %s dkim=%s spf=%s%s", r.Source, r.Count, r.Disposition, r.DKIM, r.SPF, why))
	}
	slices.Sort(got)
	want := []string{
		"192.0.2.7 1 quarantine dkim=fail spf=fail local_policy",
		"192.0.2.7 1 reject dkim=fail spf=fail",
		"192.0.2.7 3 pass dkim=pass spf=fail",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Whom a record names is told, or not.
func TestTargets(t *testing.T) {
	zone := resolver.Static{
		"_dmarc.example.org":                        {"TXT v=DMARC1; p=none"},
		"example.org._report._dmarc.agrees.example": {"TXT v=DMARC1"},
		"example.org._report._dmarc.slow.example":   {"FAIL timeout"},
	}
	for _, c := range []struct{ what, rua, told, why string }{
		{"its own address", "mailto:a@example.org", "a@example.org", ""},
		{"below it", "mailto:a@mail.example.org", "a@mail.example.org", ""},
		{"another that agrees (RFC 9990 §4)", "mailto:a@agrees.example", "a@agrees.example", ""},
		{"another that does not", "mailto:a@victim.example", "", "does not say"},
		{"two at most", "mailto:a@example.org,mailto:b@example.org,mailto:c@example.org", "a@example.org b@example.org", ""},
		{"too large for one", "mailto:a@example.org!1k,mailto:b@example.org!1m", "b@example.org", "takes 1024 octets"},
		{"by HTTPS", "https://example.org/rua", "", "by mail"},
		{"what is no address, beside one", "mailto:@x@,mailto:a@example.org", "a@example.org", ""},
	} {
		b := newBench(t, zone)
		b.Judged(judged(t, b.now, "v=DMARC1; p=none; rua="+c.rua, true, pmail.Accept))
		b.tomorrow(t)
		if got := b.told(); got != c.told {
			t.Errorf("%s: told %q", c.what, got)
		}
		sent, err := ListSent(t.Context(), b.st)
		if err != nil || len(sent) != 1 || !strings.Contains(sent[0].Why, c.why) {
			t.Errorf("%s: %v %+v", c.what, err, sent)
		}
	}
	// A DNS that is silent now is asked again, and others are told meanwhile.
	b := newBench(t, zone)
	b.Judged(judged(t, b.now, "v=DMARC1; p=none; rua=mailto:a@slow.example", true, pmail.Accept))
	b.now = b.now.Add(24 * time.Hour)
	if err := b.Work(t.Context()); err == nil || len(b.sent) > 0 {
		t.Errorf("%v %q", err, b.sent)
	}
	zone["example.org._report._dmarc.slow.example"] = []string{"TXT v=DMARC1"}
	if err := b.Work(t.Context()); err != nil || b.told() != "a@slow.example" {
		t.Errorf("the next time: %v", err)
	}
}

// Who refuses is left alone for thirty days; whom the administrator suppresses, always.
func TestSuppress(t *testing.T) {
	b := newBench(t, resolver.Static{})
	ctx := t.Context()
	day := func() string {
		b.Judged(judged(t, b.now, record, true, pmail.Accept))
		b.tomorrow(t)
		return b.told()
	}
	if got := day(); got != "rua@example.org" {
		t.Errorf("told %q", got)
	}
	if err := b.refused(ctx, refusal{"someone@example.org", "550 no"}); err != nil {
		t.Error(err)
	}
	if got := day(); got != "rua@example.org" {
		t.Errorf("another address was refused: told %q", got)
	}
	if err := b.refused(ctx, refusal{"rua@example.org", "550 5.1.1 no such user"}); err != nil {
		t.Error(err)
	}
	list, err := Pausing(ctx, b.st)
	if err != nil || len(list) != 1 || list[0].Target != "rua@example.org" || !strings.Contains(list[0].Reason, "5.1.1") {
		t.Errorf("%v %+v", err, list)
	}
	if got := day(); got != "" {
		t.Errorf("refused: told %q", got)
	}
	b.now = b.now.Add(31 * 24 * time.Hour)
	if got := day(); got != "rua@example.org" {
		t.Errorf("after a month: told %q", got)
	}
	var err2 error
	for _, target := range []string{"EXAMPLE.org", "other.example", "example.org"} {
		if b.setting, err2 = Suppress(b.setting, Suppressed{Target: target, Reason: "they asked", By: "ana", At: b.now}); err2 != nil {
			t.Error(err2)
		}
	}
	if got := day(); got != "" || len(Suppressions(b.setting)) != 2 {
		t.Errorf("suppressed: told %q, %s", got, b.setting)
	}
	var was bool
	if b.setting, was, err2 = Unsuppress(b.setting, "example.org"); !was || err2 != nil {
		t.Error(was, err2)
	}
	if got := day(); got != "rua@example.org" {
		t.Errorf("unsuppressed: told %q", got)
	}
	if _, err := Suppress("", Suppressed{Target: "no address"}); err == nil {
		t.Error("a target that is none")
	}
	if err := b.refused(ctx, refusal{"rua@example.org", "550 no"}); err != nil {
		t.Error(err)
	}
	if was, err := Resume(ctx, b.st, "rua@example.org"); !was || err != nil {
		t.Error(was, err)
	}
}

// Sessions become a TLS report, by mail and by POST (RFC 8460 §5).
func TestTLS(t *testing.T) {
	var posted []byte
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != "application/tlsrpt+gzip" || r.Method != http.MethodPost {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		posted, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
	}))
	defer srv.Close()
	b := newBench(t, resolver.Static{
		"_smtp._tls.example.net": {"TXT v=TLSRPTv1; rua=mailto:tls@example.net," + srv.URL + "/v1"},
		"_smtp._tls.broken.test": {"FAIL timeout"},
	})
	b.cfg.HTTP = srv.Client()
	s := Session{
		At: b.now, Domain: "example.net", Type: "sts", Policy: "example.net", Text: []string{"version: STSv1", "mode: enforce"},
		MX: []string{"*.example.net"}, Host: "mx.example.net", Remote: netip.MustParseAddr("192.0.2.1"), Local: netip.MustParseAddr("203.0.113.5"),
	}
	for range 5 {
		b.Session(s)
	}
	s.Result, s.Reason = "certificate-expired", "x509: certificate has expired"
	b.Session(s)
	b.Flush(t.Context())
	b.Session(s)
	b.Session(Session{At: b.now, Domain: "example.net", Type: "tlsa", Policy: "mx2.example.net", Host: "mx2.example.net"})
	b.Session(Session{At: b.now, Domain: "silent.example", Host: "mx.silent.example"})
	b.Session(Session{At: b.now, Domain: "posta.test", Host: "mx.posta.test"})
	b.tomorrow(t)
	if len(b.sent) != 1 {
		t.Fatalf("%d sent", len(b.sent))
	}
	h, file, name := opened(t, b.sent[0])
	if h.Get("TLS-Report-Domain") != "example.net" || h.Get("TLS-Report-Submitter") != "posta.test" ||
		!strings.HasPrefix(h.Get("Content-Type"), `multipart/report; report-type="tlsrpt"`) || !strings.HasPrefix(name, "posta.test!example.net!1772409600!1772495999") {
		t.Errorf("%v, file %q", h, name)
	}
	z, err := gzip.NewReader(bytes.NewReader(posted))
	if err != nil {
		t.Fatal(err)
	}
	if other, err := io.ReadAll(z); err != nil || !bytes.Equal(other, file) {
		t.Errorf("posted %q, %v", other, err)
	}
	rep, err := tlsrpt.Parse(bytes.NewReader(file))
	if err != nil || len(rep.Policies) != 2 {
		t.Fatalf("%v %+v", err, rep)
	}
	p := rep.Policies[0]
	if p.Policy.Type != "sts" || p.Succeeded != 5 || p.Failed != 2 || len(p.Details) != 1 || strings.Join(p.Policy.Text, "|") != "version: STSv1|mode: enforce" {
		t.Errorf("%+v", p)
	}
	if d := p.Details[0]; d.Type != "certificate-expired" || d.Failed != 2 || d.MXHostname != "mx.example.net" || d.ReceivingIP != "192.0.2.1" || d.SendingIP != "203.0.113.5" {
		t.Errorf("%+v", d)
	}
	if q := rep.Policies[1]; q.Policy.Type != "tlsa" || q.Policy.Domain != "mx2.example.net" || q.Succeeded != 1 {
		t.Errorf("%+v", q)
	}
}

// Rows stay within a fact, whatever others publish.
func TestBounds(t *testing.T) {
	b := newBench(t, resolver.Static{})
	long := strings.Repeat("x", 5000)
	b.Session(Session{At: b.now, Domain: "example.net", Type: "sts", Text: []string{long, long}, MX: []string{long}, Host: long, Result: long, Reason: long + "\r\n"})
	j := judged(t, b.now, record, true, pmail.Accept)
	j.EnvelopeFrom, j.SPF.Domain = long, long
	for range 20 {
		j.DKIM = append(j.DKIM, dkim.Result{SDID: long, Selector: long})
	}
	b.Judged(j)
	b.tomorrow(t)
	if got := b.told(); got != "rua@example.org" {
		t.Errorf("told %q", got)
	}
}

// The daily moment is after midnight, differs between hosts, and is always ahead.
func TestDue(t *testing.T) {
	b := newBench(t, resolver.Static{})
	times := map[time.Duration]bool{}
	for i := range 20 {
		b.cfg.Hostname = fmt.Sprintf("mx%d.posta.test", i)
		at := b.Due(b.now)
		late := at.Sub(at.Truncate(24 * time.Hour))
		times[late] = true
		if !at.After(b.now) || at.Sub(b.now) > 24*time.Hour || late < 10*time.Minute || late > 5*time.Hour {
			t.Errorf("%v", at)
		}
		if next := b.Due(at); next.Sub(at) != 24*time.Hour {
			t.Errorf("then %v", next)
		}
	}
	if len(times) < 15 {
		t.Errorf("%d moments", len(times))
	}
}

func TestSize(t *testing.T) {
	for s, want := range map[string]int64{"1": 1, "10m": 10 << 20, "2K": 2048, "1g": 1 << 30, "3t": 3 << 40, "": 0, "m": 0, "-1": 0, "0": 0, "9223372036854775807t": 0} {
		if n, err := parseSize(s); n != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", s, n, err)
		}
	}
}

// A target that was read is an address or an https URL, and its limit is none or positive.
func FuzzParseTarget(f *testing.F) {
	f.Add("mailto:a@example.org!10m")
	f.Add("https://example.org/x")
	f.Fuzz(func(t *testing.T, s string) {
		g, err := parseTarget(s)
		if err == nil && (g.https == "") == g.mail.IsZero() || g.max < 0 {
			t.Errorf("%q: %+v", s, g)
		}
	})
}
