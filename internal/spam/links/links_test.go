package links

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"posta/internal/message"
	"posta/internal/spam/content"
)

// URLs as browsers read them, not as RFC 3986 would have them.
func TestParse(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"http://www.example.co.uk/x?y#z", "http  www.example.co.uk example.co.uk"},
		{"HTTPS:\\\\Example.ORG.\\x", "https  example.org example.org"},
		{"http:/example.org", "http  example.org example.org"},
		{"http:///example.org", "http  example.org example.org"},
		{"//example.org/x", "http  example.org example.org"},
		{"www.example.org:8080/x", "http  www.example.org example.org"},
		{"example.org:81", "http  example.org example.org"},
		{"ht\ttp://exa\nmple.org", "http  example.org example.org"},
		{"http://www.bank.example@evil.example/", "http www.bank.example evil.example evil.example"},
		{"http://a@b@evil.example", "http a@b evil.example evil.example"},
		{"http://%65vil.example", "http  evil.example evil.example"},
		{"http://b\u00fccher.example", "http  xn--bcher-kva.example xn--bcher-kva.example"},
		{"http://192.0.2.1/", "http  192.0.2.1 192.0.2.1"},
		{"http://3221225985/", "http  3221225985 192.0.2.1"},
		{"http://0xC0.0.0x2.1", "http  0xc0.0.0x2.1 192.0.2.1"},
		{"http://0300.0.0.01", "http  0300.0.0.01 192.0.0.1"},
		{"http://127.1", "http  127.1 127.0.0.1"},
		{"http://[2001:db8::1]:80/", "http  2001:db8::1 2001:db8::1"},
		{"http://1.2.3.4.5", "http  1.2.3.4.5 4.5"},
		{"mailto:a@example.org", "-"}, {"javascript:alert(1)", "-"}, {"tel:123", "-"}, {"cid:1@x", "-"},
		{"/path", "-"}, {"#top", "-"}, {"", "-"}, {"http://", "-"}, {"http://localhost/", "-"}, {"http://[::1%25eth0]/", "-"}, {"data:text/html,x", "-"},
	} {
		u, ok := Parse(c.in)
		got := "-"
		if ok {
			end := u.Domain
			if u.Addr.IsValid() {
				end = u.Addr.String()
			}
			got = strings.Join([]string{u.Scheme, u.UserInfo, u.Host, end}, " ")
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.in, got, c.want)
		}
	}
}

func read(t testing.TB, html string) *content.Content {
	t.Helper()
	raw := []byte("Content-Type: text/html; charset=utf-8\r\n\r\n" + html)
	c, err := content.Read(bytes.NewReader(raw), message.ParseBytes(raw, message.Budget{}), content.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestInspect(t *testing.T) {
	for _, c := range []struct{ name, html, want string }{
		{"nothing", `<a href="https://www.example.org/x">Example</a>`, ""},
		{"address", `<a href="http://192.0.2.1/login">x</a>`, "address 1 http://192.0.2.1/login"},
		{"decimal address", `<a href="http://3221225985">x</a>`, "address 1 http://3221225985"},
		{"pretended host", `<a href="http://www.bank.example@192.0.2.1/">x</a>`, "address 1 http://www.bank.example@192.0.2.1/; userinfo 1 http://www.bank.example@192.0.2.1/"},
		{"a password is no host", `<a href="http://user:secret@example.org/">x</a>`, ""},
		{"Cyrillic a", "<a href=\"http://p\u0430ypal.example/\">x</a>", "script 1 xn--pypal-4ve.example"},
		{"all Cyrillic", "<a href=\"http://\u043f\u0440\u0438\u043c\u0435\u0440.example/\">x</a>", ""},
		{"shorteners", `<a href="https://bit.ly/1">x</a><a href=http://bit.ly/2>y</a>`, "shortener 2 bit.ly"},
		{"other domain on it", `<a href="http://evil.example/">https://www.bank.example/login</a>`, "mismatch 1 https://www.bank.example/login → evil.example"},
		{"bare name", `<a href="http://evil.org/">bank.net</a>`, "mismatch 1 bank.net → evil.org"},
		{"same domain", `<a href="http://click.example.org/?1">www.example.org</a>`, ""},
		{"a file's name", `<a href="http://example.org/">readme.md</a>`, ""},
		{"a sentence", `<a href="http://example.org/">Read more. Now</a>`, ""},
		{"an address of mail", `<a href="http://example.org/">me@other.example</a>`, ""},
		{"no such top-level domain", `<a href="http://example.org/">version.notld</a>`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, h := range Inspect(read(t, c.html)).Hits {
				got = append(got, fmt.Sprint(h.Rule, " ", h.Count, " ", strings.Join(h.Seen, ",")))
			}
			if s := strings.Join(got, "; "); s != c.want {
				t.Errorf("got  %s\nwant %s", s, c.want)
			}
		})
	}
}

// Hosts for blocklists are whole names, each once: some lists have single hosts.
func TestHosts(t *testing.T) {
	r := Inspect(read(t, `<a href=http://A.b.example.co.uk>x</a><img src=//cdn.example.co.uk/x><a href=http://[2001:db8::1]>x</a> see http://other.example/ and http://a.b.example.co.uk/y`))
	if !slices.Equal(r.Hosts, []string{"a.b.example.co.uk", "cdn.example.co.uk", "other.example"}) || len(r.IPs) != 1 || r.Over {
		t.Errorf("%+v", r)
	}
}

// A domain with a host for each link leaves room for the one behind it.
func TestHostsOfOneDomain(t *testing.T) {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, "<a href=http://x%d.example.org/>x</a>", i)
	}
	b.WriteString("<a href=http://bad.example.net/>x</a>")
	r := Inspect(read(t, b.String()))
	if len(r.Hosts) != ofDomain+1 || r.Hosts[ofDomain] != "bad.example.net" || !r.Over {
		t.Errorf("%v, over %v", r.Hosts, r.Over)
	}
}

// Ten thousand links are one finding and a bounded report.
func TestFlood(t *testing.T) {
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, "<a href=http://x%d.example/>x</a>", i)
	}
	r := Inspect(read(t, b.String()))
	if len(r.Hosts) > maxHosts || !r.Over {
		t.Errorf("%d hosts, over %v", len(r.Hosts), r.Over)
	}
	if len(r.Hits) != 1 || r.Hits[0].Rule != Flood || r.Hits[0].Count < flood {
		t.Errorf("%+v", r.Hits)
	}
}

// What Parse takes has a host, and reading that host again gives the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"http://a@b.example:80/x", "//0x7f.1", "http://[::1]/", "b\u00fc.example", "http://%41.example", "xn--a.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, ok := Parse(s)
		if !ok {
			return
		}
		if u.Host == "" || u.Addr.IsValid() == (u.Domain != "") {
			t.Fatalf("%q: %+v", s, u)
		}
		if u.Addr.Is6() || strings.ContainsAny(u.Host, "/?#@:%[\\ ") {
			return
		}
		v, ok := Parse("http://" + u.Host + "/")
		if !ok || v.Host != u.Host || v.Addr != u.Addr || v.Domain != u.Domain {
			t.Errorf("%q: %+v, again %+v", s, u, v)
		}
	})
}
