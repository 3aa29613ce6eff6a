package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tickets puts its first message off, takes the second try, and knows no "nadie". What it
// may not read it could not have seen.
const tickets = `#!/bin/sh
case "$EXTENSION" in nadie) echo "no hay tal cola"; exit 67;; esac
if [ ! -e %[1]s/once ]; then : >%[1]s/once; exit 75; fi
{ echo "$SENDER|$RECIPIENT|$USER|$EXTENSION|$DOMAIN"; cat; cat %[2]s 2>&1; } >%[1]s/new; mv %[1]s/new %[1]s/mail
`

// Mail for an address goes to a program of the administrator's, through the real server
// and its sandbox: 75 is tried again, 67 comes back to the sender in the program's words.
func TestProgram(t *testing.T) {
	t.Parallel()
	dir := publicDir(t)
	own := filepath.Join(dir, "in")
	secret := filepath.Join(dir, "secret")
	path := filepath.Join(dir, "tickets")
	for name, text := range map[string]string{path: fmt.Sprintf(tickets, own, secret), secret: "secreto"} {
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		giveAway(t, own, "nobody")
	}
	h := newHouse(t, fmt.Sprintf("[queue]\nretry = [\"10s\"]\n[[program]]\nname = \"tickets\"\npath = %q\nwrite = [%q]\n", path, own))
	h.posta(t, "", "alias", "add", "tickets@empresa.test", "|tickets")
	h.posta(t, "", "alias", "add", "tickets+*@empresa.test", "|tickets")

	if out, status := h.try(t, "", "", "alias", "add", "otra@empresa.test", "|otra"); status != 1 || !strings.Contains(out, `name = "otra"`) {
		t.Errorf("a program that is not named: exit status %d\n%s", status, out)
	}

	h.submit(t, ana, []string{"tickets+alta@empresa.test"}, letter(ana, "tickets+alta@empresa.test", "una avería", thorny))
	h.awaitQueue(t, "asks to try again later")
	var got string
	for start := time.Now(); got == ""; time.Sleep(100 * time.Millisecond) {
		b, _ := os.ReadFile(filepath.Join(own, "mail"))
		if got = string(b); time.Since(start) > 45*time.Second {
			t.Fatal("the program never takes the message")
		}
	}
	if !strings.HasPrefix(got, "ana@empresa.test|tickets+alta@empresa.test|tickets|alta|empresa.test\nReturn-Path: <ana@empresa.test>\n") || strings.Contains(got, "\r") {
		t.Errorf("the program read\n%q", got)
	}
	if strings.Contains(h.server.Log(), "confined to our own folders") && strings.Contains(got, "secreto") {
		t.Errorf("the program read what it may not")
	}

	h.submit(t, ana, []string{"tickets+nadie@empresa.test"}, letter(ana, "tickets+nadie@empresa.test", "perdida", thorny))
	if m := string(h.await(t, ana, 1)[0].raw); !strings.Contains(m, "Status: 5.1.1") || !strings.Contains(m, "no hay tal cola") {
		t.Errorf("the notice is\n%s", m)
	}
	if out := h.posta(t, "", "trace", "tickets+alta@empresa.test"); !strings.Contains(out, "program tickets") || !strings.Contains(out, "250 2.0.0") {
		t.Errorf("the trace is\n%s", out)
	}
}
