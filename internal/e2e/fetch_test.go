package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posta/internal/postatest"
)

// TestFetchmail empties an account into a program, by IMAP and by POP3.
func TestFetchmail(t *testing.T) {
	t.Parallel()
	program := postatest.Peer(t, "fetchmail")
	for _, protocol := range []string{"imap", "pop3"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "")
			h.deliver(t, luis, ana, letter(luis, ana, "uno", thorny))
			h.deliver(t, luis, ana, letter(luis, ana, "dos", "dos\n"))
			h.deliver(t, ana, luis, letter(ana, luis, "para luis", thorny))
			out := h.path("fetched")
			run := func(status int, keep string) {
				t.Helper()
				// STARTTLS, the certificate verified by name; the password has what
				// a parser trips over.
				rc := h.file(t, "fetchmailrc", fmt.Sprintf(`set no bouncemail
poll localhost protocol %s port %s
  user %q there with password '%s'
  sslproto "TLS1.2+" sslcertck sslcertfile %q
  mda "cat >>%s" no rewrite stripcr %s
`, protocol, h.port(t, protocol), luis, strings.ReplaceAll(h.password[luis], `\`, `\\`), h.ca, out, keep))
				if text, got := h.program(t, "", program, "-f", rc, "--nosyslog", "--nodetach", "-v", "--pidfile", h.path("pid")); got != status {
					t.Fatalf("exit status %d, expected %d\n%s", got, status, text)
				}
			}
			run(0, "keep")
			run(1, "keep") // nothing new
			run(0, "fetchall nokeep")
			run(1, "fetchall nokeep")
			text, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(text), "\n\n"+thorny); n != 2 {
				t.Errorf("fetched %d times, expected 2:\n%s", n, text)
			}
			h.expect(t, luis, "\n")
		})
	}
}

// TestGetmail retrieves into an mbox and deletes, by IMAP and by POP3.
func TestGetmail(t *testing.T) {
	t.Parallel()
	program := postatest.Peer(t, "getmail")
	for _, protocol := range []string{"IMAP", "POP3"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "")
			h.deliver(t, luis, ana, letter(luis, ana, "uno", thorny))
			h.deliver(t, luis, ana, letter(luis, ana, "dos", "dos\n"))
			dir := filepath.Join(publicDir(t), "maildir")
			if err := errors.Join(os.MkdirAll(dir+"/cur", 0o700), os.Mkdir(dir+"/new", 0o700), os.Mkdir(dir+"/tmp", 0o700)); err != nil {
				t.Fatal(err)
			}
			as := ""
			if os.Getuid() == 0 { // it refuses to deliver as root
				as = "user = nobody\n"
				giveAway(t, dir, "nobody")
			}
			h.file(t, "getmailrc", fmt.Sprintf(`[retriever]
type = Simple%sSSLRetriever
server = localhost
port = %s
username = %s
password = %s
ca_certs = %s

[destination]
type = Maildir
path = %s/
%s
[options]
delete = true
read_all = false
delivered_to = false
received = false
`, protocol, h.port(t, strings.ToLower(protocol)+"s"), ana, h.password[ana], h.ca, dir, as))
			h.mustProgram(t, "", program, "--getmaildir", h.dir, "--rcfile", "getmailrc")
			files := maildir(t, dir)
			if len(files) != 2 || files["uno"] == "" {
				t.Fatalf("retrieved: %q", files)
			}
			text, err := os.ReadFile(files["uno"])
			if err != nil {
				t.Fatal(err)
			}
			intact(t, &stored{raw: text}, "\n\n"+thorny) // its own field is the last of the header
			h.expect(t, ana, "\n")
		})
	}
}
