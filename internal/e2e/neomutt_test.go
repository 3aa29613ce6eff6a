package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"runtime"
	"slices"
	"strings"
	"testing"

	"posta/internal/postatest"
)

// TestNeomutt writes and reads mail without a terminal.
func TestNeomutt(t *testing.T) {
	t.Parallel()
	program := postatest.Peer(t, "neomutt")
	h := newHouse(t, "")
	rc := h.file(t, "neomuttrc", fmt.Sprintf(`set realname = "Luis Ñáñez"
set from = %q
set use_from = yes
set envelope_from_address = %q
set use_envelope_from = yes
set hostname = "pc.empresa.test"
set smtp_url = "smtps://%s@localhost:%s/"
set smtp_pass = %s
set imap_user = %q
set imap_pass = %s
set folder = "imaps://localhost:%s/"
set spoolfile = "+INBOX"
set copy = no
set certificate_file = %q
set ssl_ca_certificates_file = %q
set ssl_verify_host = yes
set send_charset = "utf-8"
set imap_check_subscribed = no
set confirmappend = no
set confirmcreate = no
set move = no
set delete = yes
set quit = yes
set wait_key = no
set sleep_time = 0
`, luis, luis, strings.ReplaceAll(luis, "@", "%40"), h.port(t, "submissions"), quoted(h.password[luis]), luis, quoted(h.password[luis]),
		h.port(t, "imaps"), h.ca, h.ca))
	mutt := func(stdin string, args ...string) {
		t.Helper()
		out := h.mustProgram(t, stdin, program, append([]string{"-n", "-F", rc}, args...)...)
		if strings.Contains(strings.ToLower(out), "error") {
			t.Errorf("neomutt %q:\n%s", args, out)
		}
	}
	attached := h.file(t, "ñandú.txt", "adjunto\n")

	// Writing: to two, one of them hidden, with an attachment.
	mutt(thorny, "-s", "año nuevo", "-b", luis, "-a", attached, "--", ana)
	mutt("dos\n", "-s", "dos", ana)
	h.expect(t, ana, `
INBOX
  =?utf-8?Q?a=C3=B1o?= nuevo () 1281 ed9dd4e8
  dos () 5 04c25c66
`)
	h.expect(t, luis, `
INBOX
  =?utf-8?Q?a=C3=B1o?= nuevo () 1281 ed9dd4e8
`)
	m := h.messages(t, ana)[0]
	if got := m.header("Bcc"); got != "" {
		t.Errorf("Bcc: %s", got)
	}
	if got := m.header("Received"); !strings.Contains(got, "with ESMTPSA") {
		t.Errorf("Received: %s", got)
	}

	parts := partsOf(t, &m)
	if want := []string{crlf(thorny), "adjunto\r\n"}; !slices.Equal(parts, want) {
		t.Errorf("parts %q, expected %q", parts, want)
	}

	// Reading: flags, a copy, a removal, then the folder is left with sync.
	h.deliver(t, ana, luis, letter(ana, luis, "leer", "tres\n"))
	h.deliver(t, ana, luis, letter(ana, luis, "borrar", "cuatro\n"))
	h.deliver(t, ana, luis, letter(ana, luis, "guardar", "cinco\n"))
	// Reading needs a terminal: script(1) makes one.
	if runtime.GOOS != "linux" {
		postatest.Missing(t, "script is not that of util-linux")
	}
	keys := `<tag-pattern>~s borrar<enter><tag-prefix><delete-message>` +
		`<tag-pattern>~s leer<enter><tag-prefix><clear-flag>N<tag-prefix><flag-message><untag-pattern>.<enter>` +
		`<tag-pattern>~s guardar<enter><tag-prefix><save-message>+Archivo<enter>` +
		`<sync-mailbox><quit>`
	command := fmt.Sprintf("%s -n -F %s -f +INBOX -e 'push \"%s\"'", program, rc, keys)
	h.mustProgram(t, "", postatest.Peer(t, "script"), "--quiet", "--return", "--command", command, h.path("typescript"))
	h.expect(t, luis, `
INBOX
  =?utf-8?Q?a=C3=B1o?= nuevo (Old) 1281 ed9dd4e8
  leer (\Flagged \Seen) 6 c7c9d044
Archivo
  guardar () 7 d786da61
`)
}

// partsOf gives the decoded contents of a multipart message.
func partsOf(t *testing.T, m *stored) []string {
	t.Helper()
	_, params, err := mime.ParseMediaType(m.header("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(m.raw, []byte("\r\n\r\n"))
	r := multipart.NewReader(bytes.NewReader(body), params["boundary"]) // decodes quoted-printable by itself
	var out []string
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(text))
	}
}

// quoted is a string of neomutt's configuration.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
