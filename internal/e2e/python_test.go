package e2e

import (
	"path/filepath"
	"testing"

	"posta/internal/postatest"
)

// TestPython runs the scripts of testdata, which use nothing but the standard
// library of Python: what many small programs do with mail.
func TestPython(t *testing.T) {
	t.Parallel()
	program := postatest.Peer(t, "python3")
	h := newHouse(t, "")
	script := func(name string, args ...string) {
		t.Helper()
		path, err := filepath.Abs(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if out := h.mustProgram(t, "", program, append([]string{path, h.ca}, args...)...); out != "" {
			t.Errorf("%s:\n%s", name, out)
		}
	}
	script("smtplib_session.py", h.port(t, "smtp"), h.port(t, "submission"), h.port(t, "submissions"), h.port(t, "lmtp"), ana, luis, h.password[luis])
	for _, m := range h.messages(t, ana) { // what an agent hands over by LMTP is left alone
		if m.header("Subject") == "por LMTP" {
			continue
		}
		if m.header("Date") == "" || m.header("Message-ID") == "" || m.header("From") == "" {
			t.Errorf("a field was not supplied:\n%s", m.raw)
		}
	}
	h.expect(t, ana, `
INBOX
  aviso () 19 1d9f2ce9
   () 20 9a1bdf3f
  por STARTTLS () 7 65f9e38f
  otra vez () 20 0d02e729
  =?utf-8?q?a=C3=B1o?= nuevo () 15 e94aa02f
  por LMTP () 6 3dc9aae3
`)
	script("imaplib_session.py", h.port(t, "imap"), h.port(t, "imaps"), ana, h.password[ana])
	h.expect(t, ana, `
INBOX
  aviso () 19 1d9f2ce9
   () 20 9a1bdf3f
  por STARTTLS () 7 65f9e38f
  otra vez () 20 0d02e729
  =?utf-8?q?a=C3=B1o?= nuevo () 15 e94aa02f
  por LMTP () 6 3dc9aae3
Proyectos
  archivo 2 (\Seen) 10 50af677c
  archivo 3 ($Trabajo \Flagged) 10 8c71748b
Proyectos/2026
  archivo 2 (\Seen) 10 50af677c
  ocho () 4 ce6111ef
Renombrada
  archivo 3 ($Trabajo \Flagged) 10 8c71748b
  llega () 14 d1e95e69
`)
	script("poplib_session.py", h.port(t, "pop3"), h.port(t, "pop3s"), ana, h.password[ana])
	h.expect(t, ana, `
INBOX
  aviso (\Seen) 19 1d9f2ce9
  por STARTTLS (\Seen) 7 65f9e38f
  otra vez (\Seen) 20 0d02e729
  =?utf-8?q?a=C3=B1o?= nuevo (\Seen) 15 e94aa02f
  por LMTP (\Seen) 6 3dc9aae3
Proyectos
  archivo 2 (\Seen) 10 50af677c
  archivo 3 ($Trabajo \Flagged) 10 8c71748b
Proyectos/2026
  archivo 2 (\Seen) 10 50af677c
  ocho () 4 ce6111ef
Renombrada
  archivo 3 ($Trabajo \Flagged) 10 8c71748b
  llega () 14 d1e95e69
`)
}
