package directory

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"posta/internal/addr"
	"posta/internal/rules"
)

// The files that sendmail and we read. Its users are those of the machine: root is one.
var sendmailFiles = []struct {
	name   string
	format rules.Format
	text   string
}{
	{"virtusertable", rules.VirtUser, "joe@foo.test\terror:nouser No such user\njax@foo.test\terror:5.7.0:550 gone\nold+*@foo.test\tnew+%2@example.com\n" +
		"mid++@foo.test\t%1-%2@example.com\nmid@foo.test\tplain@example.com\nsub+x@foo.test\texact@example.com\nsub@foo.test\tbase@example.com\n" +
		"boss@foo.test\troot@home.test\n@foo.test\t%1@example.com\n@bar.test\t%1%3@example.org\n"},
	{"aliases", rules.Aliases, "mailer-daemon: root\nteam: root, uno@example.com, uno@example.com, inner\ninner: dos@my.test, team\nhole: /dev/null\n"},
	{"mailertable", rules.MailerTable, "my.test\tsmtp:[hub.test]\n.my.test\tsmtp:sub.test\ndeep.a.my.test\tsmtp:deep.test\n.\tsmtp:all.test\n"},
}

// Debian's sendmail, asked for the same addresses under the same files, finds the same.
// It cannot be installed beside Postfix: its packages are unpacked into a folder, which
// POSTA_SENDMAIL names.
func TestAgainstSendmail(t *testing.T) {
	root := os.Getenv("POSTA_SENDMAIL")
	if root == "" || os.Getuid() != 0 {
		if os.Getenv("POSTA_REQUIRE_PEERS") == "1" {
			t.Fatal("POSTA_REQUIRE_PEERS=1, but POSTA_SENDMAIL names no folder with sendmail's packages unpacked, or this is not root")
		}
		t.Skip("POSTA_SENDMAIL names no folder with the packages sendmail-bin, sendmail-cf, m4 and their libraries unpacked, or this is not root (it gives sendmail a host name of its own)")
	}
	var all []rules.Change
	for _, f := range sendmailFiles {
		list, err := rules.Parse([]byte(f.text), rules.File{Format: f.format, Domain: "home.test"})
		if err != nil {
			t.Fatal(f.name, err)
		}
		for _, r := range list {
			all = append(all, r.Rule)
		}
	}
	v := ruledView(t, "").WithRules(all)
	addresses := []string{
		"joe@foo.test", "JAX@Foo.test", "old+x@foo.test", "old+@foo.test", "old@foo.test", "mid+a@foo.test", "mid+@foo.test", "mid@foo.test",
		"sub+x@foo.test", "sub+y@foo.test", "boss@foo.test", "any@foo.test", "any+d@foo.test", "any+d@bar.test", "any@bar.test",
		"Mailer-Daemon@home.test", "root@home.test", "x@my.test", "x@a.my.test", "x@deep.a.my.test", "x@notmy.test",
	}
	for i, line := range askSendmail(t, root, addresses) {
		if ours := inSendmailsWords(v, addresses[i]); ours != line {
			t.Errorf("%s: sendmail %q, we %q", addresses[i], line, ours)
		}
	}
}

// askSendmail verifies addresses (-bv), one at a time, since it sorts them by host.
func askSendmail(t *testing.T, root string, addresses []string) []string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil { // sendmail trusts no folder that others may write to
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(script string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), "unshare", append([]string{"-u", "sh", "-c", "hostname mx.home.test; " + script, "sh"}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "S="+root, "LD_LIBRARY_PATH="+root+"/usr/lib/x86_64-linux-gnu:"+root+"/lib/x86_64-linux-gnu")
		out, err := cmd.CombinedOutput()
		if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
			t.Fatal(err)
		}
		return string(out)
	}
	for _, f := range sendmailFiles {
		write(f.name, f.text)
	}
	write("cw", "home.test\nfoo.test\nbar.test\n")
	write("test.mc", strings.NewReplacer("@D@", dir).Replace("divert(0)dnl\nOSTYPE(`linux')dnl\ndefine(`confDOMAIN_NAME', `mx.home.test')dnl\n"+
		"define(`ALIAS_FILE', `@D@/aliases')dnl\ndefine(`QUEUE_DIR',`@D@')dnl\ndefine(`confHOST_STATUS_DIRECTORY',`')dnl\n"+
		"define(`confFORWARD_PATH',`')dnl\ndefine(`confCW_FILE',`@D@/cw')dnl\ndefine(`confDONT_BLAME_SENDMAIL',`TrustStickyBit')dnl\nFEATURE(`use_cw_file')dnl\nFEATURE(`nocanonify')dnl\n"+
		"FEATURE(`virtusertable',`hash @D@/virtusertable')dnl\nFEATURE(`mailertable',`hash @D@/mailertable')dnl\nMAILER(`local')dnl\nMAILER(`smtp')dnl\n"))
	out := run(`"$S"/usr/bin/m4 -D_CF_DIR_="$S"/usr/share/sendmail/cf/ "$S"/usr/share/sendmail/cf/m4/cf.m4 test.mc >test.cf &&
		for m in virtusertable mailertable; do "$S"/usr/libexec/sendmail/makemap -C test.cf hash $m <$m; done; "$S"/usr/libexec/sendmail/sendmail -C "$PWD"/test.cf -bi`)
	t.Log(out)
	var got []string
	for _, a := range addresses {
		got = append(got, sendmailsWords(run(`"$S"/usr/libexec/sendmail/sendmail -C "$PWD"/test.cf -bv "$1"`, a)))
	}
	return got
}

var delivers = regexp.MustCompile(`deliverable: mailer (\w+), (?:host ([^,]+), )?user (\S+)`)

// sendmailsWords is a line of its answer without what stands before the dots.
func sendmailsWords(line string) string {
	line = strings.TrimSpace(line)
	if m := delivers.FindStringSubmatch(line); m != nil {
		return strings.TrimSpace(strings.TrimSuffix(m[2], ".") + " " + m[3])
	}
	_, text, _ := strings.Cut(line, "... ")
	return text
}

// inSendmailsWords is what we find, told as it does: host and user, or the text of a
// refusal.
func inSendmailsWords(v *View, address string) string {
	a, err := addr.ParseAddress(address)
	if err != nil {
		return err.Error()
	}
	targets, err := v.Resolve(a)
	if r, ok := errors.AsType[*Refused](err); ok {
		return r.Reply.Text
	}
	if errors.Is(err, ErrNotLocal) {
		targets, err = []Target{{Remote: a}}, nil
	}
	if err != nil || len(targets) != 1 {
		return fmt.Sprint(targets, err)
	}
	t := targets[0]
	if t.Account != 0 {
		user, _, _ := strings.Cut(v.Account(t.Account).Login, "@")
		return user
	}
	w, _, _ := v.Way(addr.Address{}, 0, t.Remote)
	return w.Host + " " + t.Remote.String()
}
