package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posta/internal/finding"
	"posta/internal/lab"
	"posta/internal/words"
)

// audit runs the command over the DNS of a lab, as from a bare binary.
func runAudit(t *testing.T, l *lab.Lab, c *cli, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	c.dial = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed } // no test knocks at a door of the real world
	c.out, c.configFile = &out, filepath.Join(t.TempDir(), "none.toml")
	cmd := c.auditCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append(args, "--dns", l.Info().DNS))
	err := cmd.ExecuteContext(t.Context())
	if f, ok := err.(found); ok {
		return out.String(), f.status
	}
	if err != nil {
		return out.String() + err.Error(), status(err)
	}
	return out.String(), 0
}

// The command in its forms, on domains of the lab that are kept well and badly.
func TestAudit(t *testing.T) {
	l, err := lab.Start(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := filepath.Join(t.TempDir(), "letter.eml")
	letter := "Return-Path: <ines@bien.test>\nFrom: ines@bien.test\nTo: ana@empresa.test\nSubject: Hola\nDate: " + time.Now().Format(time.RFC1123Z) + "\n\nHola\n"
	if err := os.WriteFile(file, []byte(letter), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		what   string
		lang   string
		args   []string
		status int
		want   []string
	}{
		{"a well-kept domain", "en", []string{"bien.test", "--fail-on", "critical"}, 0, []string{"bien.test: takes mail", "  identity         good"}},
		{"in Spanish", "es", []string{"bien.test", "--fail-on", "critical"}, 0, []string{"bien.test: recibe correo", "  identidad        bien"}},
		{"no such domain", "en", []string{"nobody.test"}, 1, []string{"CRITICAL nobody.test: The sender's domain does not exist [sender.domain]", "mend: Send with a domain that exists in DNS."}},
		{"another sender is refused by SPF", "en", []string{"bien.test", "--ip", "192.0.2.99"}, 1, []string{"[spf.fail]", "[ptr.missing]"}},
		{"a message without its id", "en", []string{"bien.test", "--ip", "192.0.2.10", "--helo", "mail.bien.test", "--message", file}, 1, []string{"[dkim.missing]", "the message: ", "[header.message-id]"}},
		{"a message from nowhere", "en", []string{"bien.test", "--message", file}, 2, []string{"--message needs --ip"}},
		{"the letter", "en", []string{"nobody.test", "--letter"}, 1, []string{"postmaster@nobody.test (RFC 2142; its domain takes no mail)", "Subject: nobody.test:", "1. nobody.test: The sender's domain does not exist (critical)"}},
		{"la carta", "es", []string{"nobody.test", "--letter"}, 1, []string{"Asunto: nobody.test:", "1. nobody.test: El dominio del remitente no existe (crítica)"}},
		{"one page", "en", []string{"nobody.test", "--html"}, 1, []string{"<!DOCTYPE html>", "<code>sender.domain</code>", "</html>"}},
		{"no domain", "en", []string{"a b"}, 2, []string{`"a b" is no domain`}},
		{"no severity", "en", []string{"bien.test", "--fail-on", "grave"}, 2, []string{`"grave" is no severity`}},
		{"no argument", "en", nil, 2, nil},
	} {
		t.Run(tc.what, func(t *testing.T) {
			got, status := runAudit(t, l, &cli{lang: words.Lang(tc.lang)}, tc.args...)
			if status != tc.status {
				t.Errorf("status %d", status)
			}
			for _, w := range tc.want {
				if !strings.Contains(got, w) {
					t.Errorf("no %q in\n%s", w, got)
				}
			}
			if strings.Contains(got, "\x1b") || strings.Contains(got, "<script") {
				t.Error("colours outside a terminal, or a script")
			}
		})
	}
}

// What programs read: ids and words that are the same in both languages.
func TestAuditJSON(t *testing.T) {
	l, err := lab.Start(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ids := func(lang string) (out []string) {
		text, status := runAudit(t, l, &cli{lang: words.Lang(lang), json: true}, "nobody.test")
		var x audited
		if err := json.Unmarshal([]byte(text), &x); err != nil || status != 1 {
			t.Fatal(err, status, text)
		}
		if x.Domain != "nobody.test" || x.Setup != "absent" || x.Worst != "critical" || len(x.Grades) != 6 {
			t.Errorf("%+v", x)
		}
		for _, f := range x.Findings {
			if _, ok := finding.Lookup(f.Check); !ok || f.Title == "" || f.Standard == "" {
				t.Errorf("%+v", f)
			}
			out = append(out, string(f.Check)+" "+f.Outcome+" "+f.Severity+" "+f.Subject)
		}
		return out
	}
	if en, es := strings.Join(ids("en"), "\n"), strings.Join(ids("es"), "\n"); en != es {
		t.Errorf("%s\n\n%s", en, es)
	}
}
