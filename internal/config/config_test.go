package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
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
		"hostname = \"a.b\"\n[trace]\nkeep = \"1h\"\n":           ":3: trace.keep: 1h is out of range: from 24h to 87840h",
		"hostname = \"a.b\"\n[trace]\nsize = \"1 MiB\"\n":        ":3: trace.size: 1048576 octets are too few: at least \"16 MiB\"",
		"hostname = \"a.b\"\n[dkim]\nrotate = \"24h\"\n":         ":3: dkim.rotate: 24h is out of range: \"0s\" (never), or from 720h to 87600h",
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

// [queue] is held to what makes sense, and what is left out has its default.
func TestQueue(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	password, empty := filepath.Join(t.TempDir(), "password"), filepath.Join(t.TempDir(), "empty")
	for name, text := range map[string]string{ca: "no certificate", password: "secret word \r\nrest", empty: "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing", ``, ""},
		{"all of it", `retry = ["10s", "24h"]` + "\nhost_down = \"1h\"\nlifetime = \"720h\"\ndelay_warning = \"720h\"\nper_host = 1\n", ""},
		{"pauses", `retry = ["5m", "5s"]`, `3: queue.retry: 5s is out of range: from 10s to 24h`},
		{"no pauses", `retry = []`, `3: queue.retry: at least one pause is needed`},
		{"no time", `retry = ["5 minutes"]`, `3: queue.retry: "5 minutes" is no length of time`},
		{"too many pauses", `retry = [` + strings.Repeat(`"1m", `, 51) + `]`, `3: queue.retry: 51 pauses; at most 50`},
		{"host down", `host_down = "2h"`, `3: queue.host_down: 2h is out of range: from 1s to 1h`},
		{"lifetime", `lifetime = "10m"`, `3: queue.lifetime: 10m is out of range: from 1h to 720h`},
		{"warning", `delay_warning = "1s"`, `3: queue.delay_warning: 1s is out of range: from 1m to 720h`},
		{"at once", `per_domain = 0`, `3: queue.per_domain: must be from 1 to 10000`},
		{"a misspelt key", `smarthost_tls = "none"`, `3: queue.smarthost_tls: there is no such key; did you mean queue.smart_host_tls?`},
		{"a level without host", `smart_host_tls = "none"`, `3: queue.smart_host_tls: is about the smart host, and queue.smart_host names none`},
		{"a misspelt level", "smart_host = \"relay.test\"\nsmart_host_tls = \"require\"", `4: queue.smart_host_tls: "require" is not one of none, opportunistic, required, verified; did you mean required?`},
		{"none and implicit", "smart_host = \"relay.test:465\"\nsmart_host_tls = \"none\"", `4: queue.smart_host_tls: "none" contradicts TLS from the first octet`},
		{"a login in clear", "smart_host = \"relay.test\"\nsmart_host_tls = \"opportunistic\"\nlogin = \"ana\"\npassword_file = \"" + password + "\"", `4: queue.smart_host_tls: "opportunistic" could give the password away`},
		{"a login in clear on this machine", "smart_host = \"[127.0.0.1]:2525\"\nsmart_host_tls = \"none\"\nlogin = \"ana\"\npassword_file = \"" + password + "\"", ""},
		{"a login", "smart_host = \"relay.test:587\"\nlogin = \"ana\"\npassword_file = \"" + password + "\"", ""},
		{"no password", "smart_host = \"relay.test\"\nlogin = \"ana\"", `4: queue.login: login and password_file go together`},
		{"no password file", "smart_host = \"relay.test\"\nlogin = \"ana\"\npassword_file = \"/nonexistent\"", `5: queue.password_file: open /nonexistent: no such file`},
		{"an empty password", "smart_host = \"relay.test\"\nlogin = \"ana\"\npassword_file = \"" + empty + "\"", `is empty`},
		{"no authority", "smart_host = \"relay.test\"\nsmart_host_tls = \"verified\"\nsmart_host_ca = \"" + ca + "\"", `no certificate in PEM form`},
		{"authorities that nobody asks", "smart_host = \"relay.test\"\nsmart_host_ca = \"" + ca + "\"", `4: queue.smart_host_ca: authorities are asked at the level "verified" only`},
		{"a next hop that is none", `smart_host = "[relay.test"`, `3: queue.smart_host: "[relay.test" is no next hop`},
	} {
		got, err := Parse("posta.toml", []byte("hostname = \"mail.example.org\"\n[queue]\n"+c.text))
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			} else if text, err := got.Text(); err != nil {
				t.Errorf("%s: %v", c.name, err)
			} else if again, err := Parse("shown", []byte(text)); err != nil || !reflect.DeepEqual(again.Queue, got.Queue) {
				t.Errorf("%s: what is shown is not what is read: %v\n%s", c.name, err, text)
			}
			continue
		}
		if ps, ok := errors.AsType[Problems](err); !ok || len(ps) != 1 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	q := Queue{PasswordFile: password}
	if got, err := q.Password(); got != "secret word " || err != nil {
		t.Errorf("Password = %q, %v", got, err)
	}
	for q, want := range map[*Queue]string{{}: "opportunistic", {Login: "ana"}: "verified", {Login: "ana", SmartHostTLS: "required"}: "required"} {
		if got := q.SmartHostLevel(); got != want {
			t.Errorf("level of %+v is %s, want %s", q, got, want)
		}
	}
}
