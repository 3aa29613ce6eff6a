package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/addr"
	"posta/internal/authority"
	"posta/internal/resolver"
)

// farEnd is a dialer whose other side greets, and says in its reply to EHLO which
// address it sees.
func farEnd(t *testing.T, sees string) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		done := make(chan struct{})
		t.Cleanup(func() { there.Close(); <-done })
		go func() {
			defer close(done)
			r := bufio.NewReader(there)
			there.Write([]byte("220 mx.far.example ESMTP\r\n"))
			if line, _ := r.ReadString('\n'); line != "EHLO mail.ours.test\r\n" {
				t.Errorf("%q", line)
			}
			there.Write([]byte("250-mx.far.example at your service, [" + sees + "]\r\n250 SIZE 1000\r\n"))
			r.ReadString('\n') // QUIT
		}()
		return here, nil
	}
}

// CH-ID-07: is port 25 open, and do others see the address that we declare?
func TestWayOut(t *testing.T) {
	dns := resolver.Static{"gmail-smtp-in.l.google.com": {"A 192.0.2.25"}, "mx-aol.mail.gm0.yahoodns.net": {"A 192.0.2.26"}}
	away := func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	for _, tc := range []struct {
		what string
		dns  resolver.Resolver
		dial func(context.Context, string, string) (net.Conn, error)
		want []string
	}{
		{"open", dns, farEnd(t, "203.0.113.25"), nil},
		{"behind NAT", dns, farEnd(t, "198.51.100.7"), []string{"outbound.source 198.51.100.7"}},
		{"blocked", dns, away, []string{"outbound.blocked mail.ours.test"}},
		{"one alone is away", resolver.Static{"gmail-smtp-in.l.google.com": {"A 192.0.2.25"}, "mx-aol.mail.gm0.yahoodns.net": {"FAIL timeout"}}, away, []string{"outbound.blocked mail.ours.test ?"}},
	} {
		a := &audit{cfg: Config{Resolver: tc.dns, Dial: tc.dial}, Target: Target{Domain: "ours.test", Self: &Self{Hostname: "mail.ours.test", IPs: addrs("203.0.113.25")}}}
		r := Report{Findings: wayOut(t.Context(), a)}
		if got := outcomes(&r, "outbound"); !slices.Equal(got, tc.want) || len(r.Findings) == 0 {
			t.Errorf("%s: %v, want %v", tc.what, r.Findings, tc.want)
		}
	}
	if fs := wayOut(t.Context(), &audit{}); fs != nil {
		t.Errorf("of a stranger: %v", fs)
	}
}

// CH-DNS-05: what a registry says of a domain.
func TestRegistration(t *testing.T) {
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for body, want := range map[string]string{
		`{"events":[{"eventAction":"registration","eventDate":"2001-01-01T00:00:00Z"},{"eventAction":"expiration","eventDate":"2028-01-01T00:00:00Z"}],"status":["client transfer prohibited"]}`: "",
		`{"events":[{"eventAction":"registration","eventDate":"2026-11-11T00:00:00Z"},{"eventAction":"expiration","eventDate":"2026-12-11T00:00:00Z"}],"status":["active"]}`:                     "domain.expiring d.test domain.unlocked d.test domain.young d.test",
	} {
		var r registered
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(err)
		}
		rep := Report{Findings: r.findings("d.test", now)}
		if got := strings.Join(outcomes(&rep, "domain"), " "); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

// Who answers for a domain is in IANA's list, read once; the registry's answer may lie
// behind a redirect. The example is that of RFC 9224 §4, with a list of services that
// cannot be used.
func TestRegistries(t *testing.T) {
	const list = `{"version":"1.0","services":[[["net","com"],["http://old.example/","https://registry.example.com/myrdap"]],[["org","mytld"],["https://example.org/"]],
		[["xn--zckzah"],["https://example.net/rdap/xn--zckzah/"]],[["co.org"],["https://co.example/"]],[["plain"],["http://plain.example/"]],[["odd"]]]}`
	const answer = `{"events":[{"eventAction":"expiration","eventDate":"2026-12-11T00:00:00Z"}],"status":["client transfer prohibited"]}`
	for domain, tc := range map[string]struct{ list, asked, want string }{
		"a.com":    {list, "https://data.iana.org/rdap/dns.json https://registry.example.com/myrdap/domain/a.com", "domain.expiring a.com"},
		"a.org":    {list, "https://data.iana.org/rdap/dns.json https://example.org/domain/a.org https://registrar.example/a.org", "domain.expiring a.org"},
		"a.co.org": {list, "https://data.iana.org/rdap/dns.json https://co.example/domain/co.org", "domain.expiring co.org"},
		"a.plain":  {list, "https://data.iana.org/rdap/dns.json", ""}, // only in clear: as if there were none
		"a.none":   {list, "https://data.iana.org/rdap/dns.json", ""},
		"b.com":    {"<html>", "https://data.iana.org/rdap/dns.json", "domain.expiring b.com ?\ndomain.unlocked b.com ?\ndomain.young b.com ?"},
		"c.com":    {strings.Repeat(" ", registryBytes+1), "https://data.iana.org/rdap/dns.json", "domain.expiring c.com ?\ndomain.unlocked c.com ?\ndomain.young c.com ?"},
		"gone.com": {list, "https://data.iana.org/rdap/dns.json https://registry.example.com/myrdap/domain/gone.com", "domain.expiring gone.com ?\ndomain.unlocked gone.com ?\ndomain.young gone.com ?"},
	} {
		web := &recorded{pages: map[string]string{
			registryList: tc.list, "https://registry.example.com/myrdap/domain/a.com": answer, "https://example.org/domain/a.org": "to https://registrar.example/a.org",
			"https://registrar.example/a.org": answer, "https://co.example/domain/co.org": answer,
		}}
		cfg := Config{HTTP: &http.Client{Transport: web}, Now: func() time.Time { return time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) }, Resolver: resolver.Static{domain: {"MX 10 mx.d.test"}}, Registries: new(Registries)}
		for range 2 { // the second time the list is known
			a := &audit{Target: Target{Domain: domain, RDAP: true}, cfg: cfg}
			a.facts = a.gather(t.Context())
			rep := Report{Findings: registration(t.Context(), a)}
			if got := strings.Join(outcomes(&rep, "domain"), "\n"); got != tc.want {
				t.Errorf("%s: %q, want %q", domain, got, tc.want)
			}
			if tc.list != list {
				break
			}
		}
		if got := strings.Join(web.asked, " "); tc.list == list && strings.Count(got, registryList) != 1 || !strings.HasPrefix(got, tc.asked) {
			t.Errorf("%s: asked %s", domain, got)
		}
	}
}

// recorded is a web of few pages; "to URL" leads on.
type recorded struct {
	pages map[string]string
	asked []string
}

func (w *recorded) RoundTrip(r *http.Request) (*http.Response, error) {
	w.asked = append(w.asked, r.URL.String())
	body, ok := w.pages[r.URL.String()]
	res := &http.Response{StatusCode: 200, Status: "200 OK", Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
	if to, leads := strings.CutPrefix(body, "to "); leads {
		res.StatusCode, res.Status = 302, "302 Found"
		res.Header.Set("Location", to)
	} else if !ok {
		res.StatusCode, res.Status = 404, "404 Not Found"
	}
	return res, nil
}

// FuzzRegistries: what is read of a list leads to HTTPS alone, by names in lower case.
func FuzzRegistries(f *testing.F) {
	f.Add([]byte(`{"services":[[["net"],["https://a.example"]]]}`))
	f.Add([]byte(`{"services":[[[".NET."],["http://a.example/","https://u@a/","https://a/?q"]]]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parseRegistries(b)
		if (err == nil) != (len(all) > 0) {
			t.Fatal(err, all)
		}
		for name, base := range all {
			if name == "" || name != strings.ToLower(name) || !strings.HasPrefix(base, "https://") || !strings.HasSuffix(base, "/") || strings.ContainsAny(base, "?#") {
				t.Errorf("%q: %q", name, base)
			}
		}
	})
}

// slow is a resolver with one slow answer: the addresses or the text of a name come a
// while after they were first asked for, whoever asks, as from a cache that joins
// equal questions.
type slow struct {
	resolver.Resolver
	name  string
	text  bool // TXT; else A
	wait  time.Duration
	first func() time.Time
}

func newSlow(r resolver.Resolver, name string, text bool, wait time.Duration) slow {
	return slow{r, name, text, wait, future(time.Now)}
}

func (s slow) delay(ctx context.Context, name string, text bool) {
	if name != s.name || text != s.text {
		return
	}
	select {
	case <-time.After(time.Until(s.first().Add(s.wait))):
	case <-ctx.Done():
	}
}

func (s slow) LookupA(ctx context.Context, name string) (resolver.Result[netip.Addr], error) {
	s.delay(ctx, name, false)
	return s.Resolver.LookupA(ctx, name)
}

func (s slow) LookupTXT(ctx context.Context, name string) (resolver.Result[string], error) {
	s.delay(ctx, name, true)
	return s.Resolver.LookupTXT(ctx, name)
}

// An audit takes about as long as its slowest answer: no evaluator waits for what it
// does not need, and nobody asks the same twice in a row. And it ends with its time.
func TestTime(t *testing.T) {
	zone := resolver.Static{
		"good.test":    {"MX 10 mx.good.test", "TXT v=spf1 mx include:slow.example -all", "A 203.0.113.80"},
		"mx.good.test": {"A 203.0.113.25", "AAAA 2001:db8::25", "TXT v=spf1 a -all"}, "203.0.113.25": {"PTR mx.good.test"}, "2001:db8::25": {"PTR mx.good.test"},
		"slow.example": {"TXT v=spf1 -all"},
	}
	for _, tc := range []struct {
		name        string
		text        bool
		wait, limit time.Duration
	}{
		{"mx.good.test", false, 10 * time.Second, 11 * time.Second},
		{"slow.example", true, 10 * time.Second, 11 * time.Second},
		{"mx.good.test", false, time.Hour, time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			dns := newSlow(zone, tc.name, tc.text, tc.wait)
			away := func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
			began := time.Now()
			r := Run(t.Context(), Config{Resolver: dns, Authority: authority.New(dns, authority.Config{Dial: away}), Dial: away}, Target{Domain: "good.test"})
			if took := time.Since(began); took > tc.limit || len(r.Findings) == 0 {
				t.Errorf("%s waits %v: took %v", tc.name, tc.wait, took)
			}
		})
	}
}

// FuzzMailbox: what is read of an RNAME is an address, with the domain that stands
// after the first dot that is not escaped.
func FuzzMailbox(f *testing.F) {
	for _, s := range []string{"hostmaster.example.org.", `a\.b.example.org.`, `a\046b.example.org.`, `\`, `\9`, ".", "a@b.c."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, rname string) {
		got, err := mailbox(rname)
		if err != nil {
			return
		}
		a, err := addr.ParseAddress(got)
		if err != nil || a.String() != got {
			t.Errorf("%q → %q: %v", rname, got, err)
		}
	})
}
