package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"posta/internal/postatest"
)

// storeConf is Dovecot as the store of tienda.test: LMTP by a socket and by TCP. Pat has
// room, Lena has none, and nobody else is there.
const storeConf = `
base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = %[1]s/log
protocols = lmtp
listen = 127.0.0.1
default_internal_user = %[2]s
default_internal_group = %[3]s
default_login_user = %[4]s
first_valid_uid = 0
ssl = no
mail_location = maildir:%[1]s/mail/%%n
mail_plugins = quota
quota_full_tempfail = no
plugin {
  quota = count:User quota
  quota_vsizes = yes
}
service lmtp {
  user = %[5]s
  unix_listener %[1]s/lmtp {
    mode = 0666
  }
  inet_listener lmtp {
    port = %[6]s
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
passdb {
  driver = passwd-file
  args = %[1]s/users
}
userdb {
  driver = passwd-file
  args = %[1]s/users
  default_fields = uid=%[5]s gid=%[7]s home=%[1]s/mail
}
`

// lmtpStore is a Dovecot that others deliver to.
type lmtpStore struct {
	dir, port string
	program   string
	cmd       *exec.Cmd
}

func newLMTPStore(t *testing.T, h *house) *lmtpStore {
	t.Helper()
	s := &lmtpStore{dir: publicDir(t), port: fmt.Sprint(postatest.FreePort(t)), program: postatest.Peer(t, "dovecot")}
	if _, err := os.Stat("/usr/lib/dovecot/lmtp"); err != nil {
		postatest.Missing(t, "dovecot-lmtpd is not installed")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	login, internal := me.Username, me.Username
	if os.Getuid() == 0 { // root's Dovecot has users of its own to become
		login, internal = "dovenull", "dovecot"
		if me, err = user.Lookup(h.user); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"run", "mail"} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := fmt.Appendf(nil, storeConf, s.dir, internal, groupOf(t, internal), login, me.Username, s.port, groupOf(t, me.Username))
	users := "pat@tienda.test:{plain}x::::::\nlena@tienda.test:{plain}x::::::userdb_quota_rule=*:bytes=10\n"
	for name, text := range map[string][]byte{"dovecot.conf": conf, "users": []byte(users)} {
		if err := os.WriteFile(filepath.Join(s.dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 {
		giveAway(t, filepath.Join(s.dir, "mail"), h.user)
	}
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			t.Logf("dovecot: %s", log)
		}
	})
	return s
}

func (s *lmtpStore) start(t *testing.T) {
	t.Helper()
	s.cmd = exec.Command(s.program, "-F", "-c", filepath.Join(s.dir, "dovecot.conf"))
	var said bytes.Buffer
	s.cmd.Stdout, s.cmd.Stderr = &said, &said
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if c, err := net.Dial("tcp", "127.0.0.1:"+s.port); err == nil {
			c.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("Dovecot does not listen: %s", &said)
}

func (s *lmtpStore) stop() {
	if s.cmd != nil {
		s.cmd.Process.Signal(syscall.SIGTERM)
		s.cmd.Wait()
		s.cmd = nil
	}
}

// mail waits for n messages of a user and gives them.
func (s *lmtpStore) mail(t *testing.T, name string, n int) (out []string) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		files, _ := filepath.Glob(filepath.Join(s.dir, "mail", name, "new", "*"))
		if len(files) >= n {
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, string(b))
			}
			return out
		}
		if time.Since(start) > 45*time.Second {
			t.Fatalf("%s has %d messages after 45 s, expected %d", name, len(files), n)
		}
	}
}

// Debian's Dovecot keeps the mail of a domain. Each of the recipients has his own answer
// though it is one message; while Dovecot is away mail waits.
func TestLMTPStore(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "[queue]\nretry = [\"10s\"]\nhost_down = \"1s\"\n")
	s := newLMTPStore(t, h)
	h.posta(t, "", "route", "set", "tienda.test", "lmtp:unix:"+filepath.Join(s.dir, "lmtp"))
	all := []string{"pat@tienda.test", "lena@tienda.test", "nadie@tienda.test"}

	h.submit(t, ana, all[:1], letter(ana, "pat@tienda.test", "primera", thorny))
	h.awaitQueue(t, "4.4.1") // nobody listens yet
	s.start(t)
	if m := s.mail(t, "pat", 1)[0]; !strings.Contains(m, "Subject: primera\n") || !strings.Contains(m, "Delivered-To: pat@tienda.test") {
		t.Errorf("Dovecot has\n%s", m)
	}

	h.submit(t, ana, all, letter(ana, "pat@tienda.test", "segunda", thorny))
	s.mail(t, "pat", 2)
	var said string
	for _, m := range h.await(t, ana, 1) {
		said += string(m.raw)
	}
	for _, want := range []string{"lena@tienda.test", "5.2.2", "nadie@tienda.test", "5.1.1"} {
		if !strings.Contains(said, want) {
			t.Errorf("the notice does not tell %q:\n%s", want, said)
		}
	}
	if strings.Contains(said, "Final-Recipient: rfc822; pat@") {
		t.Errorf("a notice tells of pat, who has the mail:\n%s", said)
	}

	h.posta(t, "", "route", "set", "tienda.test", "lmtp:[127.0.0.1]:"+s.port)
	h.submit(t, ana, all[:1], letter(ana, "pat@tienda.test", "tercera", thorny))
	s.mail(t, "pat", 3)
	if out := h.posta(t, "", "trace", "pat@tienda.test"); !strings.Contains(out, "unix:") || !strings.Contains(out, "[127.0.0.1]:"+s.port) {
		t.Errorf("the trace does not tell by which way:\n%s", out)
	}
}
