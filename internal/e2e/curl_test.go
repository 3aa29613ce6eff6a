package e2e

import (
	"os"
	"strings"
	"testing"

	"posta/internal/postatest"
)

// TestCurl sends files whose lines end as Unix likes and reads mailboxes by URL.
func TestCurl(t *testing.T) {
	t.Parallel()
	program := postatest.Peer(t, "curl")
	h := newHouse(t, "")
	curl := func(args ...string) string {
		t.Helper()
		return h.mustProgram(t, "", program, append([]string{"--silent", "--show-error", "--max-time", "30", "--cacert", h.ca}, args...)...)
	}
	lf := func(subject, body string) string {
		return h.file(t, subject+".eml", strings.ReplaceAll(letter(luis, ana, subject, body), "\r\n", "\n"))
	}
	host := func(scheme, door string) string { return scheme + "://127.0.0.1:" + h.port(t, door) }
	login := []string{"--user", luis + ":" + h.password[luis]}
	envelope := []string{"--mail-from", luis, "--mail-rcpt", ana}
	send := func(url string, args ...string) {
		t.Helper()
		curl(append(append(args, envelope...), url+"/pc.fuera.test")...)
	}

	// A file with bare LF from this machine becomes proper mail.
	send(host("smtp", "smtp"), "--upload-file", lf("uno", thorny))
	send(host("smtp", "submission"), append([]string{"--ssl-reqd", "--crlf", "--upload-file", lf("dos", thorny)}, login...)...)
	send(host("smtps", "submissions"), append([]string{"--crlf", "--upload-file", lf("tres", "tres\n")}, login...)...)
	if out, status := h.program(t, "", program, "--silent", "--show-error", "--cacert", h.ca, "--user", luis+":no es esta",
		"--mail-from", luis, "--mail-rcpt", ana, "--upload-file", lf("no", "no\n"), host("smtps", "submissions")); status != 67 {
		t.Errorf("a wrong password: exit status %d\n%s", status, out)
	}
	all := h.messages(t, ana)
	intact(t, find(t, all, "uno"), letter(luis, ana, "uno", thorny)+"\r\n") // curl ends what does not end in CRLF
	intact(t, find(t, all, "dos"), letter(luis, ana, "dos", thorny))

	// IMAP: list, append, search, fetch a message and a part, expunge.
	mine := []string{"--user", ana + ":" + h.password[ana]}
	imap := func(path string, args ...string) string {
		t.Helper()
		return curl(append(append(mine, args...), host("imaps", "imaps")+path)...)
	}
	if out := imap(""); !strings.Contains(out, `* LIST (`) || !strings.Contains(out, "INBOX") {
		t.Errorf("LIST: %s", out)
	}
	imap("", "--request", "CREATE Archivo")
	file := h.file(t, "cuatro.eml", letter(ana, luis, "cuatro", thorny))
	imap("/Archivo", "--upload-file", file)
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if out := imap("/Archivo;UID=1"); out != string(want) {
		t.Errorf("FETCH BODY[]:\n%q\ninstead of\n%q", out, want)
	}
	if out := imap("/Archivo;UID=1;SECTION=HEADER.FIELDS%20(SUBJECT)"); out != "Subject: cuatro\r\n\r\n" {
		t.Errorf("FETCH of a part: %q", out)
	}
	if out := imap("/INBOX?SUBJECT%20tres"); out != "* SEARCH 3\r\n" {
		t.Errorf("SEARCH: %q", out)
	}
	imap("/INBOX", "--request", `STORE 2 +FLAGS (\Deleted)`)
	imap("/INBOX", "--request", "EXPUNGE")
	out := curl(append(mine, "--ssl-reqd", host("imap", "imap")+"/INBOX;UID=3;SECTION=TEXT")...)
	if out != "tres\r\n" {
		t.Errorf("by STARTTLS: %q", out)
	}
	h.expect(t, ana, `
INBOX
  uno () 1030 1e2b8016
  tres (\Seen) 6 c7c9d044
Archivo
  cuatro (\Seen) 1028 4913518d
`)

	// POP3: sizes, a message, its removal.
	pop := func(path string, args ...string) string {
		t.Helper()
		return curl(append(append(mine, args...), host("pop3s", "pop3s")+path)...)
	}
	if out := pop("/"); strings.Count(out, "\r\n") != 2 {
		t.Errorf("LIST: %q", out)
	}
	if out := pop("/2"); !strings.HasSuffix(out, letter(luis, ana, "tres", "tres\n")) {
		t.Errorf("RETR: %q", out)
	}
	pop("/2", "--request", "DELE", "--head")
	h.expect(t, ana, `
INBOX
  uno () 1030 1e2b8016
Archivo
  cuatro (\Seen) 1028 4913518d
`)
}
