package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/miekg/dns"

	"posta/internal/postatest"
)

const bea = "bea@remota.test"

// postfix is Debian's Postfix for remota.test, in folders of its own: it keeps
// bea's mail in a Maildir and hands everything else to a smart host.
type postfix struct {
	dir, addr string
}

const postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = mx.remota.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtputf8_enable = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
alias_maps =
alias_database =
local_recipient_maps =
notify_classes =
virtual_mailbox_domains = remota.test
virtual_mailbox_maps = inline:{ %[2]s=bea/ }
virtual_mailbox_base = %[1]s/mail
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtpd_tls_chain_files = %[3]s, %[4]s
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
relayhost = [localhost]:%[5]s
smtp_tls_security_level = verify
smtp_tls_CAfile = %[6]s
smtp_tls_loglevel = 1
`

const postfixMaster = `%s inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
showq unix n - n - - showq
`

// startPostfix runs Postfix on a port until the test ends; what is not for
// remota.test goes to h, whose certificate it verifies. Further settings go before.
func startPostfix(t *testing.T, port string, h *house, further ...string) *postfix {
	t.Helper()
	program := postatest.Peer(t, "postfix")
	p := &postfix{dir: publicDir(t), addr: "127.0.0.1:" + port}
	for _, d := range []string{"etc", "spool", "data", "mail"} {
		if err := os.Mkdir(filepath.Join(p.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	giveAway(t, filepath.Join(p.dir, "mail"), "nobody")
	giveAway(t, filepath.Join(p.dir, "data"), "postfix")
	main := fmt.Sprintf(postfixMain, p.dir, bea, h.path("key.pem"), h.path("cert.pem"), h.port(t, "smtp"), h.ca)
	for _, line := range further {
		name, _, _ := strings.Cut(line, "=")
		main = regexp.MustCompile("(?m)^"+regexp.QuoteMeta(name)+"=.*$").ReplaceAllLiteralString(main, line)
		if !strings.Contains(main, line) {
			main += line + "\n"
		}
	}
	err := errors.Join(
		os.WriteFile(filepath.Join(p.dir, "etc/main.cf"), []byte(main), 0o644),
		os.WriteFile(filepath.Join(p.dir, "etc/master.cf"), fmt.Appendf(nil, postfixMaster, p.addr), 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, "-c", filepath.Join(p.dir, "etc"), "start-fg")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	c.WaitDelay = 10 * time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() {
		if out, err := exec.Command(program, "-c", filepath.Join(p.dir, "etc"), "stop").CombinedOutput(); err != nil {
			t.Errorf("postfix stop: %v\n%s", err, out)
		}
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Error("Postfix did not stop within 20 s")
			_ = c.Process.Kill()
		}
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			t.Logf("Postfix: %s\n%s", out.String(), log)
		}
	})
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			conn.Close()
			return p
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("Postfix ended: %v\n%s", err, out.String())
		default:
		}
		if time.Since(start) > 30*time.Second {
			t.Fatalf("Postfix does not answer: %v", err)
		}
	}
}

// await waits until bea has n messages and gives them by subject.
func (p *postfix) await(t *testing.T, n int) map[string]*stored {
	t.Helper()
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		files := maildir(t, filepath.Join(p.dir, "mail/bea"))
		if len(files) < n && time.Since(start) < 45*time.Second {
			continue
		}
		if len(files) != n {
			t.Fatalf("bea has %d messages, expected %d: %q", len(files), n, files)
		}
		out := map[string]*stored{}
		for subject, path := range files {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out[subject] = &stored{raw: bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))}
		}
		return out
	}
}

// TestPostfix lets Debian's Postfix write to us and us to it.
func TestPostfix(t *testing.T) {
	t.Parallel()
	postatest.Peer(t, "postfix")
	if _, err := os.Stat("/usr/lib/postfix/sbin/master"); err != nil {
		postatest.Missing(t, "Postfix is not Debian's")
	}
	if os.Getuid() != 0 {
		postatest.Missing(t, "Postfix starts as root only")
	}
	port := strconv.Itoa(postatest.FreePort(t))
	h := newHouse(t, "[queue]\nsmart_host = \"[127.0.0.1]:"+port+"\"\n", `remota.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"`)
	p := startPostfix(t, port, h)

	// It writes: to both in one transaction, and to somebody who is not there,
	// of whom it must tell bea.
	send := func(to []string, subject, body string) {
		t.Helper()
		h.send(t, p.addr, nil, bea, to, letter(bea, to[0], subject, body)) // it shows our certificate
	}
	send([]string{ana, luis}, "a los dos", thorny)
	send([]string{ana, "nadie@empresa.test"}, "a nadie", "dos\n")
	h.await(t, luis, 1)
	all := h.await(t, ana, 2)
	m := find(t, all, "a los dos")
	intact(t, m, letter(bea, ana, "a los dos", thorny))
	for field, want := range map[string]string{
		"Return-Path": "<" + bea + ">", "Received": "with ESMTPS", "Authentication-Results": "spf=pass smtp.mailfrom=" + bea,
	} {
		if got := m.header(field); !strings.Contains(got, want) {
			t.Errorf("%s: %s; expected %s", field, got, want)
		}
	}
	bounce := p.await(t, 1)["Undelivered Mail Returned to Sender"]
	if bounce == nil || !bytes.Contains(bounce.raw, []byte("Diagnostic-Code: smtp; 550 5.1.1 <nadie@empresa.test>")) {
		t.Errorf("Postfix tells bea: %v", bounce)
	}
	if log, err := os.ReadFile(filepath.Join(p.dir, "log")); err != nil || !bytes.Contains(log, []byte("Verified TLS connection established to localhost")) {
		t.Errorf("Postfix could not verify the certificate (%v)", err)
	}

	// We write: signed, under TLS, and one of two is not there.
	h.submit(t, ana, []string{bea, "nadie@remota.test"}, letter(ana, bea, "por el relevo", thorny))
	arrived := p.await(t, 2)["por el relevo"]
	h.arrivedWell(t, arrived, letter(ana, bea, "por el relevo", thorny))
	notice := h.await(t, ana, 3)[2]
	if got := notice.header("Return-Path"); got != "<>" {
		t.Errorf("the notice comes from %s", got)
	}
	for _, want := range []string{"Final-Recipient: rfc822; nadie@remota.test", "Status: 5.1.1", "Diagnostic-Code: smtp; 550 5.1.1 <nadie@remota.test>"} {
		if !bytes.Contains(notice.raw, []byte(want)) {
			t.Errorf("the notice lacks %q:\n%s", want, notice.raw)
		}
	}
	if out := h.posta(t, "", "--json", "queue", "ls"); strings.TrimSpace(out) != "[]" {
		t.Errorf("the queue is not empty: %s", out)
	}
	if n := len(h.messages(t, luis)); n != 1 {
		t.Errorf("luis has %d messages, expected 1", n)
	}
}

// TestPostfixAsSmartHost hands all that leaves to a Postfix that insists on TLS. As
// long as its certificate is vouched for by nobody whom we trust, mail waits.
func TestPostfixAsSmartHost(t *testing.T) {
	t.Parallel()
	postatest.Peer(t, "postfix")
	if _, err := os.Stat("/usr/lib/postfix/sbin/master"); err != nil {
		postatest.Missing(t, "Postfix is not Debian's")
	}
	if os.Getuid() != 0 {
		postatest.Missing(t, "Postfix starts as root only")
	}
	port := strconv.Itoa(postatest.FreePort(t))
	h := newHouse(t, "[queue]\nsmart_host = \"[127.0.0.1]:"+port+"\"\nsmart_host_tls = \"verified\"\nretry = [\"10m\"]\nhost_down = \"1s\"\n",
		`remota.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"`)
	p := startPostfix(t, port, h, "smtpd_tls_security_level = encrypt")
	h.submit(t, ana, []string{bea}, letter(ana, bea, "confidencial", thorny))
	h.awaitQueue(t, "4.7.5 TLS could not be established")

	h.stop(t)
	text, err := os.ReadFile(h.config)
	if err == nil {
		err = os.WriteFile(h.config, fmt.Appendf(text, "smart_host_ca = %q\n", h.ca), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.start(t)
	h.posta(t, "", "queue", "retry", "--domain", "remota.test")
	h.arrivedWell(t, p.await(t, 1)["confidencial"], letter(ana, bea, "confidencial", thorny))
	if out := h.posta(t, "", "trace", bea); !strings.Contains(out, "250 2.0.0") {
		t.Errorf("the trace tells of no delivery:\n%s", out)
	}
}

// awaitQueue waits until the queue shows a text.
func (h *house) awaitQueue(t *testing.T, want string) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		out := h.posta(t, "", "--json", "queue", "ls")
		if strings.Contains(out, want) {
			return
		}
		if time.Since(start) > 45*time.Second {
			t.Fatalf("the queue never shows %q:\n%s", want, out)
		}
	}
}

// arrivedWell checks what another server holds of ours: octets, TLS, both
// signatures, by a verifier that we did not write.
func (h *house) arrivedWell(t *testing.T, m *stored, sent string) {
	t.Helper()
	if m == nil {
		t.Fatal("it did not arrive")
	}
	intact(t, m, sent)
	if got := m.header("Received"); !strings.Contains(got, "(mail.empresa.test") && !strings.Contains(got, "from mail.empresa.test") || !strings.Contains(got, "with ESMTPS") || !strings.Contains(got, "using TLSv1.3") {
		t.Errorf("Received: %s", got)
	}
	results, err := dkim.VerifyWithOptions(bytes.NewReader(m.raw), &dkim.VerifyOptions{LookupTXT: h.dns.lookupTXT})
	if err != nil {
		t.Fatal(err)
	}
	var passed []string
	for _, r := range results {
		if r.Err != nil {
			t.Errorf("signature of %s: %v", r.Domain, r.Err)
			continue
		}
		passed = append(passed, r.Domain)
	}
	if !slices.Equal(passed, []string{"empresa.test", "empresa.test"}) {
		t.Errorf("good signatures of %q, expected two of empresa.test\n%s", passed, m.raw)
	}
}

// lookupTXT is the look-up of a verifier.
func (n *nameServer) lookupTXT(name string) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []string
	for _, rr := range n.records {
		if txt, ok := rr.(*dns.TXT); ok && dns.CanonicalName(txt.Hdr.Name) == dns.CanonicalName(name) {
			out = append(out, strings.Join(txt.Txt, ""))
		}
	}
	if out == nil {
		return nil, &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
	}
	return out, nil
}
