package e2e

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"posta/internal/postatest"
)

// TestProbe looks at our own doors as any stranger may: nothing but what is named is
// held against them.
func TestProbe(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	local := func(door string) string { return "localhost:" + h.port(t, door) }
	for _, tc := range []struct {
		args   []string
		status int
		want   []string // in the output
		never  []string
	}{
		{[]string{"smtp", local("smtp"), "--domain", "empresa.test", "--relay", "--smuggling", ana}, 1, []string{
			"<< 220 mail.empresa.test", ">> EHLO probe.remota.test", "250 STARTTLS", "# encrypted: TLS 1.3", "TLS 1.1 is not accepted", "# weak suites are refused",
			">> RCPT TO:<postmaster@empresa.test>", "# an address that surely does not exist", "550 5.1.1", "[relay.denied]",
			"openssl s_client -connect 127.0.0.1:", "-starttls smtp", "telnet 127.0.0.1",
			"localhost (127.0.0.1:" + h.port(t, "smtp") + "): Greeting, EHLO and host have different names [smtp.name]", // localhost is not its name
			"1 to mend, 0 could not be verified",
		}, []string{"verify error", "accepted: it would relay", "one answer more", "executed under TLS"}},
		{[]string{"smtp", local("submissions"), "--tls", "--quick"}, 0, []string{"# encrypted: TLS 1.3", "AUTH PLAIN"}, []string{"verify error", "[auth.exchanger]", "[smtp.null]", "-starttls"}},
		{[]string{"imap", local("imap")}, 0, []string{">> a1 CAPABILITY", "LOGINDISABLED", "# no password is taken before TLS: good", "# STARTTLS with a command behind it", "0 to mend, 0 could"}, []string{"executed"}},
		{[]string{"imap", local("imaps"), "--tls"}, 0, []string{"AUTH=PLAIN", "0 to mend, 0 could"}, nil},
		{[]string{"pop3", local("pop3")}, 0, []string{">> CAPA", ">> STLS", "0 to mend, 0 could"}, []string{"executed"}},
		{[]string{"pop3", local("pop3s"), "--tls"}, 0, []string{"# encrypted: TLS 1.3", "0 to mend, 0 could"}, nil},
	} {
		args := append(append([]string{"probe"}, tc.args...), "--hello", "probe.remota.test", "--ca", h.ca)
		out, status := h.try(t, "", "", args...)
		if status != tc.status {
			t.Errorf("%s: status %d", args, status)
		}
		for _, w := range tc.want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: no %q", args, w)
			}
		}
		for _, w := range tc.never {
			if strings.Contains(out, w) {
				t.Errorf("%s: %q", args, w)
			}
		}
		if t.Failed() {
			t.Fatal(out)
		}
	}
	// Without its authority the same chain is not trusted, and OpenSSL's number says why.
	out, status := h.try(t, "", "", "probe", "imap", local("imaps"), "--tls", "--quick")
	if status != 1 || !strings.Contains(out, "verify error:num=") || !strings.Contains(out, "[cert.") {
		t.Errorf("status %d\n%s", status, out)
	}
	if out, status := h.try(t, "", "", "probe", "smtp", "127.0.0.1:"+strconv.Itoa(postatest.FreePort(t))); status != 1 || !strings.Contains(out, "[mx.closed]") {
		t.Errorf("a closed port: status %d\n%s", status, out)
	}
	if out, status := h.try(t, "", "", "probe", "smtp", "a b"); status != 2 || !strings.Contains(out, "is no host") {
		t.Errorf("no host: status %d\n%s", status, out)
	}
}

// TestProbePostfix looks at Debian's Postfix, as it is and with two faults.
func TestProbePostfix(t *testing.T) {
	t.Parallel()
	postatest.Peer(t, "postfix")
	if os.Getuid() != 0 {
		postatest.Missing(t, "Postfix starts as root only")
	}
	h := newHouse(t, "")
	port := strconv.Itoa(postatest.FreePort(t))
	startPostfix(t, port, h, "mynetworks = 192.0.2.0/24", "smtpd_tls_auth_only = yes", "smtpd_banner = $myhostname ESMTP Postfix 3.7.11", "smtpd_client_connection_count_limit = 0")
	out, status := h.try(t, "", "", "probe", "smtp", "localhost:"+port, "--domain", "remota.test", "--relay", "--hello", "probe.remota.test", "--ca", h.ca)
	for _, want := range []string{
		"<< 220 mx.remota.test ESMTP Postfix 3.7.11", "[smtp.version]", "[smtp.enumeration]", "TLS 1.3 is accepted: good", "454 4.7.1 <relay-test@example.com>: Relay access denied", // defer_unauth_destination, Postfix's default
		"[smtp.postmaster]", // this one has nobody but bea
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q", want)
		}
	}
	for _, never := range []string{"[relay.open]", "[tls.injection]", "verify error", "[tls.missing]"} {
		if strings.Contains(out, never) {
			t.Errorf("%q", never)
		}
	}
	if status != 1 || t.Failed() {
		t.Errorf("status %d\n%s", status, out)
	}
}
