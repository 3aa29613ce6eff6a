package e2e

import (
	"bytes"
	"context"
	"errors"
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

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"posta/internal/postatest"
)

// otherServer is Dovecot with the one account "ana", whose mail is in a maildir.
type otherServer struct {
	port string
	dir  string
}

// dovecotConf serves IMAP with STARTTLS on loopback, without any right of its own.
const dovecotConf = `
base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = %[1]s/log
protocols = imap
listen = 127.0.0.1
default_internal_user = %[7]s
default_internal_group = %[8]s
default_login_user = %[6]s
first_valid_uid = 0
ssl = required
ssl_cert = <%[1]s/cert.pem
ssl_key = <%[1]s/key.pem
mail_location = maildir:%[4]s
service imap-login {
  chroot =
  inet_listener imap {
    port = %[5]s
  }
  inet_listener imaps {
    port = 0
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
passdb {
  driver = static
  args = password=de-mudanza
}
userdb {
  driver = static
  args = uid=%[2]s gid=%[3]s home=%[4]s
}
namespace inbox {
  inbox = yes
  mailbox Enviados {
    special_use = \Sent
  }
}
`

// startDovecot serves a maildir, which it makes if it is not there.
func startDovecot(t *testing.T, h *house, maildir string) *otherServer {
	t.Helper()
	program := postatest.Peer(t, "dovecot")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	// Root's Dovecot has users of its own to become, and mail belongs to somebody else;
	// anybody else's remains who it is.
	login, internal := me.Username, me.Username
	if os.Getuid() == 0 {
		login, internal = "dovenull", "dovecot"
		if me, err = user.Lookup(h.user); err != nil {
			t.Fatal(err)
		}
	}
	group := groupOf(t, me.Username)
	o := &otherServer{port: fmt.Sprint(postatest.FreePort(t)), dir: publicDir(t)}
	conf := filepath.Join(o.dir, "dovecot.conf")
	for _, name := range []string{"cert.pem", "key.pem"} {
		b, err := os.ReadFile(h.path(name))
		if err == nil {
			err = os.WriteFile(filepath.Join(o.dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(os.MkdirAll(filepath.Join(o.dir, "run"), 0o755), os.MkdirAll(maildir, 0o700),
		os.WriteFile(conf, fmt.Appendf(nil, dovecotConf, o.dir, me.Username, group, maildir, o.port, login, internal, groupOf(t, internal)), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		giveAway(t, maildir, h.user)
	}
	cmd := exec.Command(program, "-F", "-c", conf)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(o.dir, "log"))
			t.Logf("dovecot: %s\n%s", &said, log)
		}
	})
	for range 200 {
		c, err := net.Dial("tcp", "127.0.0.1:"+o.port)
		if err == nil {
			c.Close()
			return o
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("Dovecot does not listen")
	return nil
}

// groupOf is the name of a user's first group.
func groupOf(t *testing.T, name string) string {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return g.Name
}

// dial logs a client of the tests in.
func (o *otherServer) dial(t *testing.T, h *house) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialStartTLS("127.0.0.1:"+o.port, &imapclient.Options{TLSConfig: h.tls()})
	if err == nil {
		err = c.Login("ana", "de-mudanza").Wait()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// put stores a message there.
func (o *otherServer) put(t *testing.T, c *imapclient.Client, folder, subject string, at time.Time, flags ...imap.Flag) {
	t.Helper()
	text := letter(luis, ana, subject, thorny)
	a := c.Append(folder, int64(len(text)), &imap.AppendOptions{Flags: flags, Time: at})
	if _, err := a.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Wait(); err != nil {
		t.Fatal(err)
	}
}

// dates lists the INTERNALDATEs of a folder of ours.
func (h *house) dates(t *testing.T, user, folder string) (out []string) {
	t.Helper()
	c := h.imap(t, user)
	defer c.Close()
	if _, err := c.Select(folder, nil).Wait(); err != nil {
		t.Fatal(err)
	}
	all := imap.SeqSet{imap.SeqRange{Start: 1, Stop: 0}}
	got, err := c.Fetch(all, &imap.FetchOptions{InternalDate: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range got {
		out = append(out, m.InternalDate.UTC().Format("2006-01-02 15:04:05"))
	}
	return out
}

// TestMoveInFromDovecot: an account moves from Dovecot by IMAP, again for what came
// since, out as a maildir that Dovecot serves, and in again from that.
func TestMoveInFromDovecot(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	o := startDovecot(t, h, filepath.Join(publicDir(t), "old"))
	c := o.dial(t, h)
	for _, name := range []string{"Enviados", "Año 2025", "Proyectos", "Proyectos/Correo"} {
		if err := c.Create(strings.ReplaceAll(name, "/", "."), nil).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	day := func(d int) time.Time { return time.Date(2025, 3, d, 10, 0, 0, 0, time.UTC) }
	o.put(t, c, "INBOX", "uno", day(1), imap.FlagSeen)
	o.put(t, c, "INBOX", "dos", day(2), imap.FlagFlagged, imap.FlagAnswered, "$Work")
	o.put(t, c, "Enviados", "mío", day(3), imap.FlagSeen)
	o.put(t, c, "Año 2025", "viejo", day(4))
	o.put(t, c, "Proyectos.Correo", "plan", day(5), imap.FlagDraft, imap.FlagDeleted)

	in := []string{"import", "imap", "localhost:" + o.port, "--starttls", "--ca", h.ca, "--user", "ana", "--password-file", h.file(t, "secret", "de-mudanza\n"), "--to", ana}
	text := h.posta(t, "", in...)
	t.Log(text)
	moved := `
INBOX
  uno (\Seen) 1028 4913518d
  dos ($Work \Answered \Flagged) 1028 4913518d
Año 2025
  viejo () 1028 4913518d
Proyectos/Correo
  plan (\Deleted \Draft) 1028 4913518d
Sent
  mío (\Seen) 1028 4913518d
`
	h.expect(t, ana, moved)
	if got := strings.Join(h.dates(t, ana, "INBOX"), ", "); got != "2025-03-01 10:00:00, 2025-03-02 10:00:00" {
		t.Errorf("INTERNALDATE: %s", got)
	}

	// What came since is fetched, and nothing else.
	o.put(t, c, "INBOX", "tres", day(6))
	text = h.posta(t, "", in...)
	if !strings.Contains(text, "1 messages stored") || !strings.Contains(text, " 0 left out") {
		t.Errorf("the second time:\n%s", text)
	}
	moved = strings.Replace(moved, "Año 2025\n", "  tres () 1028 4913518d\nAño 2025\n", 1)
	h.expect(t, ana, moved)

	// A wrong password is told as that, and as no trouble of ours.
	bad := append([]string{}, in...)
	bad[9] = h.file(t, "wrong", "nope\n")
	if text, status := h.try(t, "", "", bad...); status != 1 || !strings.Contains(text, "refused the login") {
		t.Errorf("exit status %d: %s", status, text)
	}

	// Out, into the hands of Dovecot, and in again to luis.
	out := filepath.Join(publicDir(t), "out")
	h.posta(t, "", "export", "maildir", ana, out)
	o2 := startDovecot(t, h, out)
	h.posta(t, "", "import", "imap", "localhost:"+o2.port, "--starttls", "--ca", h.ca, "--user", "ana", "--password-file", h.path("secret"), "--to", luis)
	h.expect(t, luis, moved)
	h.posta(t, "", "import", "maildir", out, "--to", luis)
	h.expect(t, luis, moved)
	if got, want := strings.Join(h.dates(t, luis, "INBOX"), ", "), strings.Join(h.dates(t, ana, "INBOX"), ", "); got != want {
		t.Errorf("INTERNALDATE: %s, expected %s", got, want)
	}

	// mbox out and in: mutt's form keeps flags, too.
	box := filepath.Join(t.TempDir(), "mbox")
	h.posta(t, "", "export", "mbox", luis, box, "--only", "INBOX")
	h.posta(t, "", "import", "mbox", box, "--to", ana, "--into", "Copia")
	copied := ""
	for _, m := range h.messages(t, ana) {
		if m.folder == "Copia" {
			copied += m.line() + "\n"
		}
	}
	if want := "  uno (\\Seen) 1028 4913518d\n  dos ($Work \\Answered \\Flagged) 1028 4913518d\n  tres () 1028 4913518d\n"; copied != want {
		t.Errorf("in Copia:\n%s", copied)
	}
}

// TestMoveInKilled: the import of a maildir is killed at a random moment, several
// times, and repeated; each message is there once.
func TestMoveInKilled(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	dir := filepath.Join(t.TempDir(), "md")
	const n = 1500
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		text := letter(luis, ana, fmt.Sprintf("carta %d", i), thorny)
		if err := os.WriteFile(filepath.Join(dir, "cur", fmt.Sprintf("%d.%d.x:2,S", 1700000000+i, i)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for try := range 4 {
		ctx, cancel := context.WithCancel(t.Context())
		cmd := exec.CommandContext(ctx, h.bin, "--config", h.config, "import", "maildir", dir, "--to", ana)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(60+50*try) * time.Millisecond)
		cancel()
		cmd.Wait()
	}
	h.posta(t, "", "import", "maildir", dir, "--to", ana)
	seen := map[string]int{}
	for _, m := range h.messages(t, ana) {
		seen[m.header("Subject")]++
	}
	for i := range n {
		if s := fmt.Sprintf("carta %d", i); seen[s] != 1 {
			t.Errorf("%s is there %d times", s, seen[s])
		}
	}
}
