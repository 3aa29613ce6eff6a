package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSendmail calls the binary by the name that local programs know.
func TestSendmail(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	dir := t.TempDir()
	for _, name := range []string{"sendmail", "mailq", "newaliases"} {
		if err := os.Symlink(h.bin, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	call := func(want int, stdin, name string, args ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), filepath.Join(dir, name), args...)
		c.Env = append(os.Environ(), "POSTA_CONFIG="+h.config, "LANG=C")
		c.Stdin = strings.NewReader(stdin)
		out, err := c.CombinedOutput()
		if got := c.ProcessState.ExitCode(); got != want {
			t.Fatalf("%s %q: exit status %d, expected %d (%v)\n%s", name, args, got, want, err, out)
		}
		return string(out)
	}

	// Recipients from the header, among them one that others must not see.
	call(0, "To: Ana <"+ana+">\nBcc: "+luis+"\nSubject: de la cabecera\n\n.no es el fin\n"+thorny[4:], "sendmail", "-t", "-i")
	// Recipients as arguments, and a lone dot that ends the message, as cron does.
	call(0, "From: root (Cron Daemon)\nTo: root\nSubject: cron\n\nuno\n.\nno\n", "sendmail", "-FCronDaemon", "-odi", "-oem", "-f", luis, ana)
	// A sender of its own: none, for a program that answers by itself.
	call(0, "Subject: nadie\n\ndos\n", "sendmail", "-f", "<>", ana)
	// Without a header at all.
	call(0, "solo texto\n", "sendmail", ana)
	call(67, "Subject: no\n\nno\n", "sendmail", "nadie@empresa.test")
	call(64, "Subject: no\n\nno\n", "sendmail")
	call(0, crlf("EHLO pc\nMAIL FROM:<"+luis+">\nRCPT TO:<"+ana+">\nDATA\nSubject: dialogo\n\ntres\n.\nQUIT\n"), "sendmail", "-bs")
	call(0, "", "mailq")
	call(0, "", "newaliases")

	all := h.messages(t, ana)
	m := find(t, all, "de la cabecera")
	if m.header("Bcc") != "" {
		t.Errorf("a Bcc was delivered:\n%s", m.raw)
	}
	for _, name := range []string{"Date", "From", "Message-ID"} {
		if m.header(name) == "" {
			t.Errorf("%s was not supplied:\n%s", name, m.raw)
		}
	}
	if got := find(t, all, "nadie").header("Return-Path"); got != "<>" {
		t.Errorf("Return-Path %q", got)
	}
	const want = `
INBOX
  de la cabecera () 1038 1ff7a795
  cron () 5 3e01ce33
  nadie () 5 04c25c66
   () 12 86a76a88
  dialogo () 6 c7c9d044
`
	h.expect(t, ana, want)
	h.expect(t, luis, `
INBOX
  de la cabecera () 1038 1ff7a795
`)
	h.stop(t)
	call(75, "Subject: parado\n\nno\n", "sendmail", ana)
	h.start(t)
	h.expect(t, ana, want) // all of it, and nothing of what was put off
}
