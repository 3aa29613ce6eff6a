package e2e

import (
	"strings"
	"testing"

	"posta/internal/postatest"
)

// TestSwaks is the tool that postmasters try a server with.
func TestSwaks(t *testing.T) {
	t.Parallel()
	program := postatest.Peer(t, "swaks")
	h := newHouse(t, "")
	swaks := func(want int, door string, args ...string) string {
		t.Helper()
		args = append([]string{"--server", "127.0.0.1", "--port", h.port(t, door), "--helo", "pc.fuera.test", "--timeout", "20"}, args...)
		out, status := h.program(t, "", program, args...)
		if status != want {
			t.Fatalf("swaks %q: exit status %d, expected %d\n%s", args, status, want, out)
		}
		return out
	}
	verified := []string{"--tls-verify", "--tls-ca-path", h.ca}
	data := func(subject, body string) []string {
		return []string{"--data", "@" + h.file(t, strings.ReplaceAll(subject, " ", "-")+".eml", letter("bea@fuera.test", ana, subject, body))}
	}
	from, to := "bea@fuera.test", ana

	// Between servers: in clear, under TLS, and to whom it may not write.
	swaks(0, "smtp", append([]string{"--from", from, "--to", to}, data("en claro", thorny)...)...)
	out := swaks(0, "smtp", append(append([]string{"--from", from, "--to", to, "-tls"}, verified...), data("con TLS", "dos\n")...)...)
	if !strings.Contains(out, "=== TLS started with cipher TLSv1.3") {
		t.Errorf("no TLS:\n%s", out)
	}
	out = swaks(24, "smtp", "--from", from, "--to", "test@example.com")
	if !strings.Contains(out, "554 5.7.1 <test@example.com>: Relay access denied") {
		t.Errorf("a stranger's mail to a stranger:\n%s", out)
	}
	out = swaks(24, "smtp", "--from", from, "--to", "nadie@empresa.test")
	if !strings.Contains(out, "550 5.1.1 <nadie@empresa.test>") {
		t.Errorf("an address that does not exist:\n%s", out)
	}
	swaks(0, "smtp", append([]string{"--from", "", "--to", to, "--pipeline"}, data("sin remitente", "tres\n")...)...)

	// Submission: both doors, both mechanisms, a wrong password, none.
	login := func(user, password, mechanism string) []string {
		return []string{"--from", luis, "--to", ana, "--auth", mechanism, "--auth-user", user, "--auth-password", password}
	}
	swaks(0, "submission", append(append(append(login(luis, h.password[luis], "PLAIN"), "-tls"), verified...), data("por 587", "cuatro\n")...)...)
	swaks(0, "submissions", append(append(append(login(luis, h.password[luis], "LOGIN"), "-tlsc"), verified...), data("por 465", "cinco\n")...)...)
	out = swaks(28, "submissions", append(login(luis, "no es esta", "PLAIN"), "-tlsc")...)
	if !strings.Contains(out, "535 5.7.8") {
		t.Errorf("a wrong password:\n%s", out)
	}
	swaks(28, "submission", login(luis, h.password[luis], "PLAIN")...)   // no AUTH before TLS
	out = swaks(23, "submissions", "--from", luis, "--to", ana, "-tlsc") // to our own, from this machine
	if !strings.Contains(out, "530 5.7.0 Log in first [auth.required] https://mail.empresa.test/why/") {
		t.Errorf("no login:\n%s", out)
	}

	// From an agent beside us: each recipient has its own reply.
	out = swaks(0, "lmtp", append([]string{"--protocol", "LMTP", "--from", from, "--to", ana + "," + luis + ",nadie@empresa.test"}, data("por LMTP", "seis\n")...)...)
	if n := strings.Count(out, "<-  250 2.1.5") + strings.Count(out, "<-  250 2.0.0"); n < 2 || !strings.Contains(out, "550 5.1.1") {
		t.Errorf("LMTP:\n%s", out)
	}

	// swaks puts an empty line below every message.
	intact(t, find(t, h.messages(t, ana), "en claro"), letter(from, ana, "en claro", thorny)+"\r\n")
	h.expect(t, ana, `
INBOX
  en claro () 1030 1e2b8016
  con TLS () 7 a451f0d1
  sin remitente () 8 a7a7f21a
  por 587 () 10 61fdab0f
  por 465 () 9 551b452f
  por LMTP () 8 c4e86594
`)
	h.expect(t, luis, `
INBOX
  por LMTP () 8 c4e86594
`)
}
