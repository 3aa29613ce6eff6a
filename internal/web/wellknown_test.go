package web

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"posta/internal/autoconf"
	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

// withDomains is the door of a server with two domains.
func withDomains(t *testing.T) (*Handler, func(name, args string)) {
	t.Helper()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	dir, err := directory.Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	house := &command.House{Store: st, Directory: dir}
	h, err := New(Config{
		Hostname: "mx.empresa.test", House: house, Metrics: http.NotFoundHandler(),
		Trusted: func(a netip.Addr) bool { return false }, Log: slog.New(slog.DiscardHandler),
		Doors: []autoconf.Door{{Protocol: autoconf.IMAP, Port: 993, Implicit: true}, {Protocol: autoconf.SMTP, Port: 465, Implicit: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	do := func(name, args string) {
		t.Helper()
		if _, err := command.Do(t.Context(), house, command.Principal{Name: "uid:0", Role: store.Owner}, name, json.RawMessage(args)); err != nil {
			t.Fatal(err)
		}
	}
	do("domain.add", `{"name":"empresa.test"}`)
	do("domain.add", `{"name":"otra.test"}`)
	return h, do
}

// ask asks a URL, as the server reads it.
func ask(h http.Handler, method, url, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// The policy of a domain, by its mode: what RFC 8461 §3.2 wants, and an id that changes
// with it.
func TestSTSPolicy(t *testing.T) {
	h, do := withDomains(t)
	const url = "https://mta-sts.empresa.test/.well-known/mta-sts.txt"
	var last string
	for _, c := range []struct{ set, want string }{
		{"", "version: STSv1\r\nmode: testing\r\nmx: mx.empresa.test\r\nmax_age: 86400\r\n"},
		{`{"name":"empresa.test","mta_sts":"enforce"}`, "version: STSv1\r\nmode: enforce\r\nmx: mx.empresa.test\r\nmax_age: 2419200\r\n"},
		{`{"name":"empresa.test","mx":["MX2.example.net","*.backup.example"]}`, "version: STSv1\r\nmode: enforce\r\nmx: mx.empresa.test\r\nmx: mx2.example.net\r\nmx: *.backup.example\r\nmax_age: 2419200\r\n"},
		{`{"name":"empresa.test","mta_sts":"none"}`, "version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n"},
	} {
		if c.set != "" {
			do("domain.set", c.set)
		}
		w := ask(h, "GET", url, "")
		if w.Code != 200 || w.Body.String() != c.want || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %q", c.set, w.Code, w.Body)
		}
		p, err := command.STSOf(h.cfg.House.Directory.View().Setting(command.STSSetting("empresa.test")))
		if err != nil || p.ID("mx.empresa.test") == last || len(p.ID("mx.empresa.test")) != 32 {
			t.Errorf("%s: id %q, %v", c.set, p.ID("mx.empresa.test"), err)
		}
		last = p.ID("mx.empresa.test")
	}
	if w := ask(h, "GET", "https://mta-sts.otra.test/.well-known/mta-sts.txt", ""); !strings.Contains(w.Body.String(), "mode: testing") {
		t.Errorf("another domain: %q", w.Body)
	}
	for _, url := range []string{
		"https://empresa.test/.well-known/mta-sts.txt", "https://mta-sts.strange.example/.well-known/mta-sts.txt",
		"https://mta-sts./.well-known/mta-sts.txt", "https://mta-sts.sub.empresa.test/.well-known/mta-sts.txt",
	} {
		if w := ask(h, "GET", url, ""); w.Code != 404 {
			t.Errorf("%s: %d", url, w.Code)
		}
	}
}

// Where programs look, and who is answered: only our domains, and nobody learns whether
// an address exists.
func TestPrograms(t *testing.T) {
	h, _ := withDomains(t)
	const question = "<Autodiscover><Request><EMailAddress>ana@empresa.test</EMailAddress></Request></Autodiscover>"
	for _, c := range []struct {
		method, url, body string
		code              int
		want              string
	}{
		{"GET", "https://autoconfig.empresa.test/mail/config-v1.1.xml", "", 200, "<username>%EMAILADDRESS%</username>"},
		{"GET", "https://AUTOCONFIG.empresa.test:443/mail/config-v1.1.xml?emailaddress=ana@empresa.test", "", 200, "<username>ana@empresa.test</username>"},
		{"GET", "https://empresa.test/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=nobody@empresa.test", "", 200, "<username>nobody@empresa.test</username>"},
		{"GET", "https://mx.empresa.test/mail/config-v1.1.xml?emailaddress=ana@otra.test", "", 200, `<emailProvider id="otra.test">`},
		{"GET", "https://autoconfig.empresa.test/mail/config-v1.1.xml?emailaddress=x@strange.example", "", 404, ""},
		{"GET", "https://autoconfig.strange.example/mail/config-v1.1.xml", "", 404, ""},
		{"GET", "https://mx.empresa.test/mail/config-v1.1.xml", "", 404, ""},
		{"GET", "https://autoconfig.empresa.test/mail/config-v1.1.xml?emailaddress=" + strings.Repeat("a", 300) + "@empresa.test", "", 404, ""},
		{"POST", "https://autodiscover.empresa.test/autodiscover/autodiscover.xml", question, 200, "<LoginName>ana@empresa.test</LoginName>"},
		{"POST", "https://empresa.test/Autodiscover/Autodiscover.xml", question, 200, "<Type>SMTP</Type>"},
		{"POST", "https://empresa.test/Autodiscover/Autodiscover.xml", "<html>", 400, ""},
		{"GET", "https://ua-auto-config.empresa.test/.well-known/user-agent-configuration.json", "", 200, `"imap":{"host":"mx.empresa.test"}`},
		{"GET", "https://ua-auto-config.strange.example/.well-known/user-agent-configuration.json", "", 404, ""},
	} {
		w := ask(h, c.method, c.url, c.body)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.url, w.Code, w.Body)
		}
	}
}
