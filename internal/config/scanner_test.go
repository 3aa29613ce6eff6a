package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/mail"
	"posta/internal/scan"
)

const scanners = `hostname = "mail.example.org"
[[scanner]]
name = "opendkim"
type = "milter"
address = "inet:8891@localhost"
classes = ["authenticated", "strangers"]
timeout = "10s"

[[scanner]] # the second
name = "spam"
type = "rspamd"
address = "http://127.0.0.1:11333"
password_file = "PASSWORD"
max_size = "5 MiB"
on_failure = "defer"
[[scanner]]
name = "virus"
type = "clamav"
address = "unix:/run/clamav/clamd.ctl"
on_failure = "pass"
on_too_large = "defer"
`

// Scanners are asked in the order of their tables, and say for themselves what they
// do not leave to their kind.
func TestScanners(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Parse("posta.toml", []byte(strings.ReplaceAll(scanners, "PASSWORD", password)))
	if err != nil {
		t.Fatal(err)
	}
	var ms []scan.Member
	for i := range c.Scanners {
		m, err := c.Scanners[i].Member()
		if err != nil {
			t.Fatal(err)
		}
		ms = append(ms, m)
	}
	if len(ms) != 3 || ms[0].Name != "opendkim" || ms[0].Timeout != 10*time.Second || ms[0].OnFailure != scan.ByKind ||
		!slices.Equal(ms[0].Classes, []mail.Class{mail.Authenticated, mail.OwnServer}) ||
		ms[1].OnFailure != scan.Defer || ms[1].Timeout != 0 || ms[2].OnFailure != scan.Pass || ms[2].OnTooLarge != scan.Defer {
		t.Errorf("%+v", ms)
	}
	var kinds []string
	for _, m := range ms {
		kinds = append(kinds, m.Scanner.Defaults().Kind)
	}
	if got := strings.Join(kinds, " "); got != "milter rspamd clamav" {
		t.Error(got)
	}
	text, err := c.Text()
	if err != nil || !strings.Contains(text, "[[scanner]]\nname = 'opendkim'") || strings.Contains(text, "secret") {
		t.Errorf("%v\n%s", err, text)
	}
}

// What is wrong is named with its table, its line and the mend.
func TestScannerProblems(t *testing.T) {
	_, err := Parse("posta.toml", []byte(`hostname = "mail.example.org"
[[scanner]]
name = "Open DKIM"
type = "miltr"
adress = "inet:8891@localhost"
[[scanner]]
name = "spam"
type = "rspamd"
address = "127.0.0.1:11333"
on_failure = "deffer"
timeout = "2m"
[[scanner]]
name = "spam"
type = "milter"
address = "/run/milter.sock"
password_file = "/nowhere"
max_size = "1 MiB"
classes = ["users"]
[[scanner]]
type = "clamav"
`))
	ps, ok := errors.AsType[Problems](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		`posta.toml:3: scanner[1].name: "Open DKIM" is no name for it: up to 32 lower-case letters, digits and hyphens, e.g. "opendkim"`,
		`posta.toml:4: scanner[1].type: "miltr" is not one of milter, rspamd, clamav; did you mean "milter"?`,
		`posta.toml:5: scanner.adress: there is no such key; did you mean scanner.address?`,
		`posta.toml:9: scanner[2].address: rspamd address "127.0.0.1:11333": want http://host:port, https://host:port or unix:/path`,
		`posta.toml:10: scanner[2].on_failure: "deffer" is not one of defer, pass; did you mean "defer"?`,
		`posta.toml:11: scanner[2].timeout: 2m is out of range: from 1s to 50s`,
		`posta.toml:13: scanner[3].name: scanner[2] is called "spam" already; give each a name of its own`,
		`posta.toml:16: scanner[3].password_file: only rspamd is told a password`,
		`posta.toml:17: scanner[3].max_size: a milter hears every message`,
		`posta.toml:18: scanner[3].classes: "users" is not one of strangers, local-network, authenticated`,
		`posta.toml:19: scanner[4]: it needs a name, a type and an address`,
	} {
		if !strings.Contains(ps.Error(), want) {
			t.Errorf("missing %q", want)
		}
	}
	if len(ps) != 12 {
		t.Errorf("%d problems", len(ps))
	}
	if t.Failed() {
		t.Log(ps.Error())
	}
}
