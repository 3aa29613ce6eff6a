package scan

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/dkim"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/milter"
)

// The peers are Debian's opendkim (on libmilter), clamav-daemon and rspamd, each
// started by the test, offline, on loopback. Without them the tests are skipped;
// with POSTA_REQUIRE_PEERS=1 that is a failure.

// program is a peer that runs until the test ends or kills it.
type program struct {
	cmd  *exec.Cmd
	log  bytes.Buffer
	done chan struct{}
}

// start runs a peer in a process group of its own, and waits until ready says so.
func start(t *testing.T, ready func() error, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // it ends by our signal
	}()
	t.Cleanup(p.kill)
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := ready()
		if err == nil {
			return p
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended: %s", name, p.log.String())
		default:
		}
		if time.Since(began) > 60*time.Second {
			p.kill()
			t.Fatalf("%s does not answer: %v\n%s", name, err, p.log.String())
		}
	}
}

// kill ends the peer at once, with its children.
func (p *program) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// peer finds a program of others.
func peer(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	if os.Getenv("POSTA_REQUIRE_PEERS") == "1" {
		t.Fatal("POSTA_REQUIRE_PEERS=1, but " + name + " is not installed")
	}
	t.Skip(name + " is not installed")
	return ""
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// write puts a file into the folder and gives its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// listening is a test for readiness.
func listening(port string) func() error {
	return func() error {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err
	}
}

// key is a signing key, as files for opendkim and as a record.
type key struct{ dir, private, public, record string }

func newKey(t *testing.T) key {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	record := "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
	return key{
		dir: dir, record: record,
		private: write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}))),
		public:  write(t, dir, "keys", "sel._domainkey.example.net "+record+"\n"),
	}
}

// openDKIM runs opendkim in mode "s" (sign) or "v" (verify).
func openDKIM(t *testing.T, k key, mode string) (*Milter, *program) {
	t.Helper()
	path, port := peer(t, "opendkim"), freePort(t)
	conf := write(t, t.TempDir(), "conf", fmt.Sprintf(`Mode %s
Socket inet:%s@127.0.0.1
Domain example.net
Selector sel
KeyFile %s
TestPublicKeys %s
Canonicalization simple/simple
RequireSafeKeys no
InternalHosts %s
AuthservID mx.example.org
AlwaysAddARHeader yes
Syslog no
TemporaryDirectory %s
`, mode, port, k.private, k.public, map[string]string{"s": "192.0.2.7", "v": "192.0.2.99"}[mode], k.dir))
	p := start(t, listening(port), path, "-f", "-x", conf)
	m, err := NewMilter("inet:"+port+"@127.0.0.1", milter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m, p
}

const eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

// clamAV runs clamd with a database of one signature of our own, that of the EICAR
// test string, and a stream limit of 1 MiB.
func clamAV(t *testing.T) (*ClamAV, *program) {
	t.Helper()
	path, port, dir := peer(t, "clamd"), freePort(t), t.TempDir()
	db := filepath.Join(dir, "db")
	if err := os.Mkdir(db, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, db, "own.ndb", "Posta.Test.Eicar:0:*:"+hex.EncodeToString([]byte(eicar))+"\n")
	conf := write(t, dir, "conf", fmt.Sprintf("DatabaseDirectory %s\nTCPSocket %s\nTCPAddr 127.0.0.1\nForeground yes\nStreamMaxLength 1M\nTemporaryDirectory %s\nMaxThreads 4\n", db, port, dir))
	p := start(t, listening(port), path, "-c", conf)
	c, err := NewClamAV("127.0.0.1:"+port, ClamAVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c, p
}

const rspamdConf = `options {
  url_tld = "%[1]s/tld"; disable_hyperscan = true; filters = ""; pidfile = "%[1]s/pid"; tempdir = "%[1]s";
  cache_file = "%[1]s/cache"; history_file = "%[1]s/history"; dynamic_conf = "%[1]s/dynamic";
  control_socket = "%[1]s/control mode=0600";
  dns { nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; }
}
logging { type = "console"; level = "error"; }
worker "normal" { bind_socket = "127.0.0.1:%[2]s"; count = 1; }
metric "default" { actions { reject = 15; add_header = 6; greylist = 4; } }
lua = "%[1]s/own.lua";
`

// rspamdLua: a symbol that weighs what X-Weight says, tells what it was told, and
// wants a field added and one removed.
const rspamdLua = `rspamd_config:register_symbol({ name = 'OWN_WEIGHT', score = 1, callback = function(task)
  local weight = task:get_header('X-Weight')
  if not weight then return false end
  task:set_milter_reply({ add_headers = { ['X-Own'] = { value = 'weighed', order = 0 } }, remove_headers = { ['X-Weight'] = 0 } })
  return true, tonumber(weight), { tostring(task:get_helo()), tostring(task:get_from_ip()), task:get_from('smtp')[1].addr, tostring(#task:get_recipients('smtp')) }
end })
`

// realRspamd runs rspamd with one rule of our own, and no DNS.
func realRspamd(t *testing.T) (*Rspamd, *program) {
	t.Helper()
	path, port, dir := peer(t, "rspamd"), freePort(t), t.TempDir()
	write(t, dir, "tld", "com\nnet\norg\n")
	write(t, dir, "own.lua", rspamdLua)
	conf := write(t, dir, "conf", fmt.Sprintf(rspamdConf, dir, port))
	r, err := NewRspamd("http://127.0.0.1:"+port, RspamdOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ready := func() error { _, err := r.Ping(t.Context()); return err }
	return r, start(t, ready, path, "-f", "-i", "-c", conf)
}

// signed is a message of example.net, in the shape of a real one.
const signed = "Received: by mx.example.net;\r\n\tMon, 30 Nov 2026 12:00:00 +0000\r\nFrom: Ana <ana@example.net>\r\n" +
	"To: bea@example.org\r\nSubject:  two  spaces\r\n and a fold\r\nDate: Mon, 30 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.net>\r\n\r\n"

// One opendkim signs, the next one verifies what the first one left: the bytes
// went through both exactly, in simple canonicalisation. Our own verifier agrees.
func TestOpenDKIMSignsAndVerifies(t *testing.T) {
	k := newKey(t)
	signer, _ := openDKIM(t, k, "s")
	verifier, _ := openDKIM(t, k, "v")
	r := runner(t, Member{Name: "sign", Scanner: signer}, Member{Name: "verify", Scanner: verifier})
	body := strings.Repeat("Hello  there \r\n\r\n.\r\n", 10_000) // several chunks
	for range 2 {                                                // the second over kept connections
		o := r.Run(t.Context(), facts(t), text(signed, body))
		if o.Action != mail.Accept || o.Results[0].Err != nil || o.Results[1].Err != nil {
			t.Fatal(o.Results)
		}
		h := message.Header(o.Message.Header)
		if got := h.Get("Authentication-Results"); !strings.Contains(got, "mx.example.org") || !strings.Contains(got, "dkim=pass") {
			t.Errorf("Authentication-Results: %q\n%s", got, o.Message.Header)
		}
		v := dkim.NewVerifier(o.Message.Header, dkim.VerifyOptions{Keys: nil, Lookup: k.lookup, Now: time.Now()})
		v.Start(t.Context())
		if _, err := io.Copy(v, o.Message.body()); err != nil {
			t.Fatal(err)
		}
		results := v.Finish(t.Context())
		v.Close()
		if len(results) != 1 || results[0].Status != dkim.Pass || results[0].SDID != "example.net" {
			t.Errorf("%+v\n%s", results, o.Message.Header)
		}
		if !strings.HasSuffix(whole(t, o.Message), signed+body) || o.BodyEdited {
			t.Error("what was signed is not what came")
		}
		o.Close()
	}
	for _, h := range r.Health(t.Context()) {
		if h.Err != nil || h.Version != "milter protocol 6" {
			t.Error(h)
		}
	}
}

func TestRealClamAV(t *testing.T) {
	c, _ := clamAV(t)
	r := runner(t, Member{Name: "virus", Scanner: c, OnTooLarge: Defer})
	for _, x := range []struct {
		body   string
		action mail.Action
		reason string
		cause  Cause
	}{
		{"Hello\r\n", mail.Accept, "", NoCause},
		{eicar, mail.Reject, "Posta.Test.Eicar.UNOFFICIAL", NoCause},
		{strings.Repeat("0123456789\r\n", 200_000), mail.Defer, "", TooLarge},
	} {
		o := r.Run(t.Context(), facts(t), text(signed, x.body))
		res := o.Results[0]
		if o.Action != x.action || res.Cause != x.cause || x.cause == NoCause && res.Reason != x.reason {
			t.Errorf("%v: %v", x.action, res)
		}
	}
	if h := r.Health(t.Context())[0]; h.Err != nil || !strings.HasPrefix(h.Version, "ClamAV ") {
		t.Error(h)
	}
}

func TestRealRspamd(t *testing.T) {
	s, _ := realRspamd(t)
	r := runner(t, Member{Name: "spam", Scanner: s, OnFailure: Defer})
	for _, x := range []struct {
		weight string
		action mail.Action
	}{{"1", mail.Accept}, {"5", mail.Accept}, {"7", mail.Junk}, {"16", mail.Reject}} {
		o := r.Run(t.Context(), facts(t), text("X-Weight: "+x.weight+"\r\n"+signed, "Hello\r\n"))
		res := o.Results[0]
		if o.Action != x.action || res.Err != nil || fmt.Sprintf("%.0f", res.Score) != x.weight || res.Required != 15 || res.Greylist != (x.weight == "5") {
			t.Errorf("weight %s: %+v", x.weight, res)
		}
		if len(res.Symbols) != 1 || strings.Join(res.Symbols[0].Options, " ") != "mx.example.net 192.0.2.7 ana@example.net 2" {
			t.Errorf("%+v", res.Symbols)
		}
		if o.Action < mail.Discard && whole(t, o.Message) != "X-Own: weighed\r\n"+signed+"Hello\r\n" {
			t.Errorf("%q", whole(t, o.Message))
		}
	}
	gtube := "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
	if o := r.Run(t.Context(), facts(t), text(signed, gtube)); o.Action != mail.Reject || o.Reply.String() != "554 5.7.1 Gtube pattern" {
		t.Error(o.Action, o.Reply)
	}
	if h := r.Health(t.Context())[0]; h.Err != nil || h.Version != "rspamd/3.4" {
		t.Log(h) // another version, perhaps
	}
}

// deadly is a body whose reading kills a peer when it is half through.
type deadly struct {
	body string
	kill func()
}

func (d *deadly) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(d.body)/2) {
		d.kill()
	}
	return strings.NewReader(d.body).ReadAt(p, off)
}

// Each real scanner is killed in the middle of a message: the message is put off
// or goes on as it was, as its member is set; those after it are asked; and it is
// asked again once it is back.
func TestKilledInTheMiddle(t *testing.T) {
	k := newKey(t)
	kinds := map[string]func(t *testing.T) (Scanner, *program){
		"opendkim": func(t *testing.T) (Scanner, *program) { return two(openDKIM(t, k, "s")) },
		"clamd":    func(t *testing.T) (Scanner, *program) { return two(clamAV(t)) },
		"rspamd":   func(t *testing.T) (Scanner, *program) { return two(realRspamd(t)) },
	}
	long := strings.Repeat("0123456789\r\n", 80_000) // more than the sockets buffer
	for name, run := range kinds {
		for _, set := range []Fallback{Defer, Pass} {
			t.Run(name+" "+set.String(), func(t *testing.T) {
				s, p := run(t)
				r := runner(t, Member{Scanner: s, OnFailure: set}, Member{Scanner: says(Report{Action: mail.Junk}, nil)})
				o := r.Run(t.Context(), facts(t), Message{Header: []byte(signed), Body: blob.From(&deadly{long, p.kill}, int64(len(long)))})
				defer o.Close()
				want, asked := mail.Defer, 1
				if set == Pass {
					want, asked = mail.Junk, 2
				}
				if o.Action != want || len(o.Results) != asked || o.Results[0].Cause != Down {
					t.Errorf("%v %v", o.Action, o.Results)
				}
				if o.HeaderEdited || o.BodyEdited || whole(t, o.Message) != signed+long {
					t.Error("the message was changed")
				}
				// And now that it is dead.
				if o := r.Run(t.Context(), facts(t), text(signed, "Hello\r\n")); o.Action != want || o.Results[0].Cause != Down {
					t.Errorf("%v %v", o.Action, o.Results)
				}
			})
		}
	}
}

// two makes a scanner of its type a Scanner.
func two[S Scanner](s S, p *program) (Scanner, *program) { return s, p }

// lookup gives our own verifier the key.
func (k key) lookup(_ context.Context, name string) ([]string, bool, error) {
	if name != "sel._domainkey.example.net" && name != "sel._domainkey.example.net." {
		return nil, false, nil
	}
	return []string{k.record}, true, nil
}
