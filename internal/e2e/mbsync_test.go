package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"posta/internal/postatest"
)

// TestMbsync keeps a local Maildir and the account the same, in both directions.
func TestMbsync(t *testing.T) {
	t.Parallel()
	program := postatest.Peer(t, "mbsync")
	h := newHouse(t, "")
	rc := h.file(t, "mbsyncrc", fmt.Sprintf(`IMAPStore posta
Host localhost
Port %s
SSLType IMAPS
CertificateFile %s
User %s
PassCmd "cat %s"

MaildirStore local
Path %s/
Inbox %s
SubFolders Verbatim

Channel todo
Far :posta:
Near :local:
Patterns *
Create Both
Expunge Both
SyncState *
`, h.port(t, "imaps"), h.ca, ana, h.file(t, "password", h.password[ana]+"\n"), h.path("maildir"), h.path("maildir/INBOX")))
	if err := os.Mkdir(h.path("maildir"), 0o700); err != nil {
		t.Fatal(err)
	}
	sync := func() { t.Helper(); h.mustProgram(t, "", program, "--config", rc, "--all") }

	// Down: what came in.
	for _, subject := range []string{"uno", "dos", "tres"} {
		h.deliver(t, luis, ana, letter(luis, ana, subject, thorny))
	}
	sync()
	inbox := h.path("maildir/INBOX")
	files := maildir(t, inbox)
	if len(files) != 3 {
		t.Fatalf("in the Maildir: %q", files)
	}

	// Up: one flagged and read, one removed, one written here, a folder made here.
	err := errors.Join(
		os.Rename(files["uno"], filepath.Join(inbox, "cur", strings.Split(filepath.Base(files["uno"]), ":")[0]+":2,FS")),
		os.Remove(files["dos"]),
		os.MkdirAll(h.path("maildir/Archivo/cur"), 0o700), os.Mkdir(h.path("maildir/Archivo/new"), 0o700), os.Mkdir(h.path("maildir/Archivo/tmp"), 0o700),
		os.WriteFile(h.path("maildir/Archivo/cur/1.local:2,RS"), []byte(strings.ReplaceAll(letter(ana, luis, "de casa", thorny), "\r\n", "\n")), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	sync()
	h.expect(t, ana, `
INBOX
  uno (\Flagged \Seen) 1028 4913518d
  tres () 1028 4913518d
Archivo
  de casa (\Answered \Seen) 1028 4913518d
`)
	if got := find(t, h.messages(t, ana), "de casa"); got.folder != "Archivo" {
		t.Errorf("%q is in %s", "de casa", got.folder)
	}

	// Both at once, and then rest: a third run changes nothing.
	c := h.imap(t, ana)
	mark(t, c, "INBOX", "tres", `\Answered`)
	mark(t, c, "INBOX", "uno", `\Deleted`)
	if _, err := c.Expunge().Collect(); err != nil {
		t.Fatal(err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
	h.deliver(t, luis, ana, letter(luis, ana, "cuatro", "cuatro\n"))
	sync()
	before := h.contents(t, ana)
	sync()
	h.expect(t, ana, before)
	h.expect(t, ana, `
INBOX
  tres (\Answered) 1028 4913518d
  cuatro () 8 b4483c77
Archivo
  de casa (\Answered \Seen) 1028 4913518d
`)
	files = maildir(t, inbox)
	var subjects []string
	for s, path := range files {
		subjects = append(subjects, s+" "+path[strings.LastIndex(path, ",")+1:])
	}
	slices.Sort(subjects)
	if want := []string{"cuatro ", "tres R"}; !slices.Equal(subjects, want) {
		t.Errorf("in the Maildir: %q, expected %q", subjects, want)
	}
}

// maildir lists the messages of a Maildir: subject → path.
func maildir(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, sub := range []string{"cur", "new"} {
		paths, err := filepath.Glob(filepath.Join(dir, sub, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			raw, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			m := stored{raw: []byte(strings.ReplaceAll(string(raw), "\n", "\r\n"))}
			out[m.header("Subject")] = p
		}
	}
	return out
}
