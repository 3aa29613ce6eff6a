package keytable

import (
	"fmt"
	"strings"
	"testing"
)

func show(es []Entry) string {
	var out []string
	for _, e := range es {
		at := e.Path
		if e.PEM != "" {
			at = strings.ReplaceAll(strings.TrimSpace(e.PEM), "\n", "|")
		}
		out = append(out, fmt.Sprintf("%s._domainkey.%s %s", e.Selector, e.Domain, at))
	}
	return strings.Join(out, "\n")
}

// The tables of a legacy machine, as opendkim.conf(5) has them.
func TestOpenDKIM(t *testing.T) {
	keys, err := ParseKeyTable(`# name                    domain:selector:file
mail._domainkey.example.org Example.org:Mail:/etc/opendkim/keys/example.org/mail.private
second	example.net:s2026:./keys/net.private   # beside the table
any     %:default:/etc/opendkim/keys/%/default.private
inline  inline.example:s1:MIICXQIBAAKBgQC
ed25519 inline.example:s2:MC4CAQAwBQYDK2VwBCIEIA
unused  unused.example:x:/x
`)
	if err != nil {
		t.Fatal(err)
	}
	const all = `mail._domainkey.example.org /etc/opendkim/keys/example.org/mail.private
s2026._domainkey.example.net ./keys/net.private
s1._domainkey.inline.example -----BEGIN RSA PRIVATE KEY-----|MIICXQIBAAKBgQC|-----END RSA PRIVATE KEY-----
s2._domainkey.inline.example -----BEGIN PRIVATE KEY-----|MC4CAQAwBQYDK2VwBCIEIA|-----END PRIVATE KEY-----
x._domainkey.unused.example /x`
	if got := show(Resolve(keys, nil)); got != all {
		t.Errorf("without a signing table:\n%s", got)
	}
	uses, err := ParseSigningTable(`*@example.org mail._domainkey.example.org
*@*.example.org mail._domainkey.example.org:bounce@example.org
ana@example.net   second
*@third.example   any
example.com any
*@nobody.example  no-such-key
`)
	if err != nil {
		t.Fatal(err)
	}
	const used = `mail._domainkey.example.org /etc/opendkim/keys/example.org/mail.private
s2026._domainkey.example.net ./keys/net.private
default._domainkey.third.example /etc/opendkim/keys/third.example/default.private
default._domainkey.example.com /etc/opendkim/keys/example.com/default.private`
	if got := show(Resolve(keys, uses)); got != used {
		t.Errorf("with one:\n%s", got)
	}
}

// What is no table is told by its line.
func TestWrongTables(t *testing.T) {
	for in, want := range map[string]string{
		"name example.org:mail\n":         "line 1: want NAME DOMAIN:SELECTOR:PATH",
		"\n# x\njustone\n":                "line 3: want two words",
		"-----BEGIN RSA PRIVATE KEY-----": "line 1: want NAME DOMAIN:SELECTOR:PATH",
		strings.Repeat("x", MaxOctets+1):  "the table is larger than 4194304 octets",
	} {
		if _, err := ParseKeyTable(in); err == nil || err.Error() != want {
			t.Errorf("%.40q: %v, want %s", in, err, want)
		}
	}
	if _, err := ParseSigningTable("*@example.org :x\n"); err == nil || err.Error() != "line 1: want PATTERN NAME" {
		t.Error(err)
	}
}

// Files of rspamd, as its manual shows them.
func TestRspamd(t *testing.T) {
	for in, want := range map[string]string{
		"": "",
		`# local.d/dkim_signing.conf
allow_username_mismatch = true;
path = "/srv/dkim/$domain/$selector.key";
selector = "mail2026";
sign_networks = [ "127.2.4.7", { x = 1 } ];
domain {
  example.org { path = "/srv/special.key"; selector = "Special"; }
  "example.net" { /* the path above */ selector = s1 }
  example.com {
    selectors [
      { path: "/a.key"; selector: "a" },
      { path: "/b.key", selector: "b" },
    ]
  }
  example.edu { }
}
`: `special._domainkey.example.org /srv/special.key
s1._domainkey.example.net /srv/dkim/example.net/s1.key
a._domainkey.example.com /a.key
b._domainkey.example.com /b.key
mail2026._domainkey.example.edu /srv/dkim/example.edu/mail2026.key`,
	} {
		got, err := ParseRspamd(in)
		if err != nil || show(got.Domains) != want {
			t.Errorf("%.20q: %v\n%s", in, err, show(got.Domains))
		}
	}
	for in, want := range map[string]error{
		"a { b = 1": errOpen, "}": errClose, strings.Repeat("a {", 40): errDepth, strings.Repeat(" ", MaxOctets+1): errOctets,
	} {
		if _, err := ParseRspamd(in); err != want {
			t.Errorf("%.10q: %v, want %v", in, err, want)
		}
	}
}

// Whatever a table holds, its entries are whole, and printed as a table they are read
// the same.
func FuzzTables(f *testing.F) {
	f.Add("a example.org:mail:/k\nb %:s:MIIC\n", "*@example.org a\nx.y b:z\n")
	f.Add("a=example.org:mail:./k # x", "* a")
	f.Fuzz(func(t *testing.T, keyText, signText string) {
		keys, err := ParseKeyTable(keyText)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, e := range keys {
			if e.Name == "" || e.Domain == "" || e.Selector == "" || (e.Path == "") == (e.PEM == "") {
				t.Fatalf("%+v", e)
			}
			if e.Path != "" {
				fmt.Fprintf(&again, "%s %s:%s:%s\n", e.Name, e.Domain, e.Selector, e.Path)
			}
		}
		second, err := ParseKeyTable(again.String())
		if err != nil {
			t.Fatalf("%v in\n%s", err, again.String())
		}
		i := 0
		for _, e := range keys {
			if e.Path != "" {
				if i >= len(second) || second[i] != e {
					t.Fatalf("%+v, was %+v", second, e)
				}
				i++
			}
		}
		uses, err := ParseSigningTable(signText)
		if err != nil {
			return
		}
		for _, e := range Resolve(keys, uses) {
			if e.Domain == "%" || e.Domain == "" {
				t.Fatalf("a key of nobody: %+v", e)
			}
		}
	})
}

// Whatever a file holds, reading it ends, and every key has a place.
func FuzzRspamd(f *testing.F) {
	f.Add(`path = "/x/$domain"; domain { a.b { selector = "s" } }`)
	f.Add("domain{a{selectors[{path:x;selector:y},{path:z}]}}#\n/*")
	f.Add("a = '{'; \"\" = \"")
	f.Fuzz(func(t *testing.T, in string) {
		out, err := ParseRspamd(in)
		if err != nil {
			return
		}
		for _, e := range out.Domains {
			if e.Domain == "" || e.Name != "" {
				t.Fatalf("%+v", e)
			}
		}
		if len(out.Domains) > len(in) {
			t.Fatal("more domains than octets")
		}
	})
}
