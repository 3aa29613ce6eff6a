// Package peertest runs Debian's scanners for tests: opendkim (on libmilter),
// clamav-daemon and rspamd, offline, on loopback, each in a process group of its own.
// Without them a test is passed over; with POSTA_REQUIRE_PEERS=1 it fails.
package peertest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"posta/internal/postatest"
)

// Program is a scanner that runs until the test ends or kills it.
type Program struct {
	Port string // on 127.0.0.1, the same after a restart

	path  string
	args  []string
	ready func() error
	cmd   *exec.Cmd
	log   *bytes.Buffer
	done  chan struct{}
}

// patience is how long a program may take until it answers.
const patience = 60 * time.Second

// Start runs the program, again after Kill, and waits until it answers.
func (p *Program) Start(t testing.TB) {
	t.Helper()
	p.log, p.done = new(bytes.Buffer), make(chan struct{})
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, done := p.cmd, p.done
	go func() {
		defer close(done)
		_ = cmd.Wait() // it ends by our signal
	}()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := p.ready()
		if err == nil {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended: %s", p.path, p.log.String())
		default:
		}
		if time.Since(began) > patience {
			p.Kill()
			t.Fatalf("%s does not answer: %v\n%s", p.path, err, p.log.String())
		}
	}
}

// Kill ends the program at once, with its children, and waits until it is gone.
func (p *Program) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// Freeze stops the program where it is: connections are taken by the kernel, and
// nothing is answered.
func (p *Program) Freeze() { p.signal(syscall.SIGSTOP) }

func (p *Program) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) } // it may be gone

// launch starts a program and ends it with the test.
func launch(t testing.TB, p *Program) *Program {
	t.Helper()
	p.Start(t)
	t.Cleanup(func() { p.Kill() })
	return p
}

// find gives the path of a program of others.
func find(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	postatest.Missing(t, name+" is not installed")
	return ""
}

// write puts a file into a folder and gives its path.
func write(t testing.TB, dir, name, text string) string {
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

// DKIM is how an opendkim is set up.
type DKIM struct {
	Sign     bool   // mail of the domain from 192.0.2.7; else it verifies
	Domain   string // the selector is "sel"
	Key      string // PEM of the private key, for signing
	Record   string // the key's record
	ServerID string // authserv-id
}

// OpenDKIM runs opendkim. It adds Authentication-Results to whatever it verifies.
func OpenDKIM(t testing.TB, d DKIM) *Program {
	t.Helper()
	p := &Program{path: find(t, "opendkim"), Port: strconv.Itoa(postatest.FreePort(t))}
	dir := t.TempDir()
	mode, internal, key := "v", "192.0.2.99", ""
	if d.Sign {
		mode, internal = "s", "192.0.2.7"
		key = "KeyFile " + write(t, dir, "key.pem", d.Key) + "\n"
	}
	keys := write(t, dir, "keys", "sel._domainkey."+d.Domain+" "+d.Record+"\n")
	conf := write(t, dir, "conf", fmt.Sprintf(`Mode %s
Socket inet:%s@127.0.0.1
Domain %s
Selector sel
%sTestPublicKeys %s
Canonicalization simple/simple
RequireSafeKeys no
InternalHosts %s
AuthservID %s
AlwaysAddARHeader yes
Syslog no
TemporaryDirectory %s
`, mode, p.Port, d.Domain, key, keys, internal, d.ServerID, dir))
	p.args, p.ready = []string{"-f", "-x", conf}, listening(p.Port)
	return launch(t, p)
}

// ClamAV runs clamd with a database of one signature of our own, that of the text
// given, and a stream limit of 1 MiB.
func ClamAV(t testing.TB, signature string) *Program {
	t.Helper()
	p, dir := &Program{path: find(t, "clamd"), Port: strconv.Itoa(postatest.FreePort(t))}, t.TempDir()
	db := filepath.Join(dir, "db")
	if err := os.Mkdir(db, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, db, "own.ndb", "Posta.Test.Eicar:0:*:"+hex.EncodeToString([]byte(signature))+"\n")
	conf := write(t, dir, "conf", fmt.Sprintf("DatabaseDirectory %s\nTCPSocket %s\nTCPAddr 127.0.0.1\nForeground yes\nStreamMaxLength 1M\nTemporaryDirectory %s\nMaxThreads 4\n", db, p.Port, dir))
	p.args, p.ready = []string{"-c", conf}, listening(p.Port)
	return launch(t, p)
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

// Rspamd runs rspamd with one rule of our own, and no DNS.
func Rspamd(t testing.TB) *Program {
	t.Helper()
	p, dir := &Program{path: find(t, "rspamd"), Port: strconv.Itoa(postatest.FreePort(t))}, t.TempDir()
	write(t, dir, "tld", "com\nnet\norg\n")
	write(t, dir, "own.lua", rspamdLua)
	conf := write(t, dir, "conf", fmt.Sprintf(rspamdConf, dir, p.Port))
	p.args = []string{"-f", "-i", "-c", conf}
	p.ready = func() error {
		res, err := http.Get("http://127.0.0.1:" + p.Port + "/ping")
		if err == nil {
			res.Body.Close()
		}
		return err
	}
	return launch(t, p)
}
