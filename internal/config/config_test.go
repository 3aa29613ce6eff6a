package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Lists that cannot be sound are refused before they are asked (S91).
func TestBlocklists(t *testing.T) {
	for zone, want := range map[string]string{
		"zen.spamhaus.org":  "",
		"zen.spamhouse.org": `policy.blocklists: "zen.spamhouse.org" is not known; did you mean "zen.spamhaus.org"?`,
		"dnsbl.sorbs.net":   "policy.blocklists: the list dnsbl.sorbs.net is dead",
		"multi.surbl.org":   "policy.blocklists: multi.surbl.org lists domains",
		"a..b":              `policy.blocklists: "a..b" is no zone of a DNS list`,
	} {
		_, err := Parse("posta.toml", []byte("hostname = \"mx.example.org\"\n[policy]\nblocklists = [\""+zone+"\"]\n"))
		if got := fmt.Sprint(err); want == "" && strings.Contains(got, "blocklists") || !strings.Contains(got, want) {
			t.Errorf("%s: %s", zone, got)
		}
	}
}

// Everything that is wrong is said at once, with key and line.
func TestProblems(t *testing.T) {
	_, err := Parse("posta.toml", []byte(`hostname = "PC-SECRETARIA"
[listen]
smpt = ":25"
imap = "143"
[policy]
level = "severe"
blocklist = ["zen.spamhaus.org"]
[limits]
recipients = 5
[network]
trusted = ["10.0.0.0/33"]
`))
	ps, ok := errors.AsType[Problems](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	got := ps.Error()
	for _, want := range []string{
		`posta.toml:1: hostname: "PC-SECRETARIA" is not fully qualified`,
		`posta.toml:3: listen.smpt: there is no such key; did you mean listen.smtp?`,
		`posta.toml:4: listen.imap: "143" is no place to listen`,
		`posta.toml:6: policy.level: "severe" is not one of`,
		`posta.toml:7: policy.blocklist: there is no such key; did you mean policy.blocklists?`,
		`posta.toml:9: limits.recipients: RFC 5321 asks for at least 100`,
		`posta.toml:11: network.trusted: "10.0.0.0/33" is no network`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in\n%s", want, got)
		}
	}
	if len(ps) != 7 {
		t.Errorf("%d problems, want 7:\n%s", len(ps), got)
	}
}

func TestGood(t *testing.T) {
	c, err := Parse("posta.toml", []byte("hostname = \"mail.example.org\"\n[limits]\nmessage_size = \"20 MiB\"\n[queue]\nlifetime = \"48h\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Limits.MessageSize != 20<<20 || c.Listen.SMTP != ":25" || c.Policy.Level != "strict" {
		t.Errorf("%+v", c)
	}
}

// A value of the wrong type names its line too.
func TestWrongType(t *testing.T) {
	for text, want := range map[string]string{
		"hostname = 5\n": ":1",
		"hostname = \"a.b\"\n[limits]\nmessage_size = \"big\"\n": ":3",
		"hostname = \"a.b\"\n[limits\n":                          ":2",
	} {
		_, err := Parse("f", []byte(text))
		if err == nil || !strings.Contains(err.Error(), "f"+want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What is shown has no secret in it.
func TestRedacted(t *testing.T) {
	c := Default()
	c.Store.PostgreSQL, c.Blobs.S3 = "postgres://posta:se%2Fcreto@db/posta?sslmode=verify-full", &S3{SecretKey: "se/creto"}
	text, err := c.Text()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "creto") || !strings.Contains(text, "postgres://posta:hidden@db/posta?sslmode=verify-full") {
		t.Errorf("it shows\n%s", text)
	}
	if c.Blobs.S3.SecretKey != "se/creto" || !strings.Contains(c.Store.PostgreSQL, "creto") {
		t.Error("the configuration in force was changed")
	}
}
