package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/smtp"
	"net/textproto"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"posta/internal/dkim"
	"posta/internal/scan/peertest"
	"posta/internal/scan/scantest"
)

// scanners are the tables of Debian's three, in the order of a well-kept house.
const scanners = `
[[scanner]]
name = "opendkim"
type = "milter"
address = "inet:%[1]s@127.0.0.1"
on_failure = "%[4]s"
[[scanner]]
name = "clamav"
type = "clamav"
address = "127.0.0.1:%[2]s"
on_failure = "%[4]s"
[[scanner]]
name = "rspamd"
type = "rspamd"
address = "http://127.0.0.1:%[3]s"
on_failure = "%[4]s"
`

// Debian's opendkim, clamd and rspamd stand in front of the real program: what they
// say is done. Each is killed in the middle of a message: that is put off or taken
// without it, as it is configured, never lost, and never there twice.
func TestScanners(t *testing.T) {
	t.Parallel()
	for _, set := range []string{"defer", "pass"} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			programs := map[string]*peertest.Program{
				"opendkim": peertest.OpenDKIM(t, peertest.DKIM{
					Domain: "fuera.test", Record: "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), ServerID: "opendkim.empresa.test",
				}),
				"clamav": peertest.ClamAV(t, scantest.EICAR),
				"rspamd": peertest.Rspamd(t),
			}
			h := newHouse(t, fmt.Sprintf(scanners, programs["opendkim"].Port, programs["clamav"].Port, programs["rspamd"].Port, set))
			h.scanned(t, key)
			want := []string{"firmada", "puntos"}
			for _, name := range []string{"opendkim", "clamav", "rspamd"} {
				h.killed(t, name, programs[name], set == "defer")
				want = append(want, "sin "+name)
			}
			var got []string
			for _, m := range h.messages(t, ana) {
				got = append(got, m.header("Subject"))
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("ana has %q, want %q", got, want)
			}
		})
	}
}

// offer sends a letter from another server and gives the reply that decided.
func (h *house) offer(t *testing.T, text string) string {
	t.Helper()
	c, err := smtp.Dial(h.doors["smtp"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Hello("pc.fuera.test")
	if err == nil {
		err = c.Mail("bea@fuera.test")
	}
	if err == nil {
		err = c.Rcpt(ana)
	}
	if err == nil {
		w, e := c.Data()
		if err = e; err == nil {
			_, e = w.Write([]byte(text))
			err = errors.Join(e, w.Close())
		}
	}
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return fmt.Sprintf("%d %s", reply.Code, reply.Msg)
	}
	if err != nil {
		return err.Error()
	}
	return "250"
}

// scanned shows that each scanner's word counts.
func (h *house) scanned(t *testing.T, key *rsa.PrivateKey) {
	t.Helper()
	text := letter("bea@fuera.test", ana, "firmada", thorny)
	header, body := dkim.SplitMessage([]byte(text))
	hash := dkim.NewBodyHash(dkim.Relaxed)
	if _, err := hash.Write(body); err != nil {
		t.Fatal(err)
	}
	signature, err := dkim.Sign(header, hash.Sum(), []dkim.Key{{Domain: "fuera.test", Selector: "sel", Signer: key}}, dkim.SignOptions{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if got := h.offer(t, string(signature)+text); got != "250" {
		t.Fatal(got)
	}
	signed := find(t, h.messages(t, ana), "firmada")
	verified := string(signed.raw)
	if !strings.Contains(verified, "Authentication-Results: opendkim.empresa.test") || !strings.Contains(verified, "dkim=pass") || !strings.HasSuffix(verified, "\r\n\r\n"+string(body)) {
		t.Errorf("opendkim did not verify, or the body is another:\n%s", verified)
	}
	if got := h.offer(t, letter("bea@fuera.test", ana, "virus", scantest.EICAR+"\n")); !strings.Contains(got, "550 5.7.1 ") || !strings.Contains(got, "(Posta.Test.Eicar.UNOFFICIAL) [scan.virus] https://mail.empresa.test/why/") {
		t.Error(got)
	}
	if got := h.offer(t, "X-Weight: 16\r\n"+letter("bea@fuera.test", ana, "demasiado", "x\n")); !strings.Contains(got, "550 5.7.1 ") || !strings.Contains(got, "[scan.refused] ") {
		t.Error(got)
	}
	if got := h.offer(t, "X-Weight: 7\r\n"+letter("bea@fuera.test", ana, "puntos", "x\n")); got != "250" {
		t.Error(got)
	}
	if m := find(t, h.messages(t, ana), "puntos"); m.header("X-Own") != "weighed" || m.header("X-Weight") != "" {
		t.Errorf("rspamd's edits: %s in %s", m.raw, m.folder)
	}
	if out := h.posta(t, "", "trace", ana); !strings.Contains(out, "OWN_WEIGHT 7") || !strings.Contains(out, "clamav: reject Posta.Test.Eicar.UNOFFICIAL") {
		t.Errorf("the traces:\n%s", out)
	}
}

// killed kills a scanner while a message is with it, and starts it again.
func (h *house) killed(t *testing.T, name string, p *peertest.Program, deferred bool) {
	t.Helper()
	text := letter("bea@fuera.test", ana, "sin "+name, strings.Repeat("larga y larga\n", 1000))
	p.Freeze()
	reply := make(chan string, 1)
	go func() { reply <- h.offer(t, text) }()
	awaitConnection(t, p.Port)
	p.Kill()
	got := <-reply
	if out, status := h.try(t, "", "", "check", "self"); status != 1 || !strings.Contains(out, "scan.down") || !strings.Contains(out, name) {
		t.Errorf("check self, exit status %d:\n%s", status, out)
	}
	if m := h.metrics(t); !strings.Contains(m, `posta_scans_total{result="down",scanner="`+name+`"} 1`) {
		t.Errorf("the measures:\n%s", m)
	}
	p.Start(t)
	if !deferred {
		if got != "250" {
			t.Errorf("%s is dead: %s", name, got)
		}
		return
	}
	if !strings.Contains(got, "451 4.3.0 ") || !strings.Contains(got, "[scan.down] ") {
		t.Errorf("%s is dead: %s", name, got)
	}
	if got := h.offer(t, text); got != "250" {
		t.Errorf("%s is back: %s", name, got)
	}
}

// metrics reads what Prometheus would of scanners.
func (h *house) metrics(t *testing.T) string {
	t.Helper()
	resp, err := http.Get("http://" + h.doors["http"] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var scans []string
	for line := range strings.Lines(string(all)) {
		if strings.HasPrefix(line, "posta_scan") {
			scans = append(scans, line)
		}
	}
	return strings.Join(scans, "")
}

// awaitConnection waits until somebody is connected to a port of this machine.
func awaitConnection(t *testing.T, port string) {
	t.Helper()
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	to := fmt.Sprintf("0100007F:%04X", n)
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		table, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(table)) {
			if f := strings.Fields(line); len(f) > 3 && f[2] == to && f[3] == "01" {
				return
			}
		}
		if time.Since(began) > time.Minute {
			t.Error("the scanner was not asked")
			return
		}
	}
}
