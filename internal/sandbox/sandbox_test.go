//go:build linux

package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// What is dropped never comes back, so every case runs in a child: this binary
// again, with the case's name and folder in its environment.
const (
	childVar  = "POSTA_SANDBOX_CASE"
	folderVar = "POSTA_SANDBOX_DIR"
)

func TestMain(m *testing.M) {
	name := os.Getenv(childVar)
	if name == "" {
		os.Exit(m.Run())
	}
	err := cases[name](os.Getenv(folderVar))
	switch {
	case errors.Is(err, errCannot):
		fmt.Println(err)
		os.Exit(3)
	case err != nil:
		fmt.Println(err)
		os.Exit(1)
	}
}

// errCannot is wrapped by cases that this kernel cannot run.
var errCannot = errors.New("this kernel cannot")

var cases = map[string]func(dir string) error{
	"confined": confined,
	"threads":  confinedThreads,
	"replaced": replacedFiles,
	"dropped":  droppedRoot,
	"whole":    wholeStart,
	"refused":  refusedRoot,
}

func run(t *testing.T, name string) {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} { // for another user to enter
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childVar+"="+name, folderVar+"="+dir)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 3 {
		t.Skipf("%s", out)
	}
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestConfined(t *testing.T)        { t.Parallel(); run(t, "confined") }
func TestConfinedThreads(t *testing.T) { t.Parallel(); run(t, "threads") }
func TestReplaced(t *testing.T)        { t.Parallel(); run(t, "replaced") }

func TestDrop(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		note, err := Drop("nobody")
		if err != nil || !strings.Contains(note, "not root") {
			t.Errorf("%q, %v", note, err)
		}
		if os.Getenv("POSTA_REQUIRE_PEERS") == "1" {
			t.Fatal("the rest needs root")
		}
		t.Skip("the rest needs root")
	}
	for _, name := range []string{"dropped", "whole", "refused"} {
		t.Run(name, func(t *testing.T) { t.Parallel(); run(t, name) })
	}
}

// want checks that an attempt ended as expected: nil, or an error number.
func want(errs *[]error, what string, err, expected error) {
	if !errors.Is(err, expected) {
		*errs = append(*errs, fmt.Errorf("%s: %v, want %v", what, err, expected))
	}
}

// files makes an own folder with two folders in it, and one outside with a file
// that everybody may read.
func files(dir string) (own, outside string, err error) {
	own, outside = filepath.Join(dir, "own"), filepath.Join(dir, "outside", "secret")
	for _, d := range []string{own, filepath.Join(own, "a"), filepath.Join(own, "b"), filepath.Dir(outside)} {
		err = errors.Join(err, os.Mkdir(d, 0o777), os.Chmod(d, 0o777))
	}
	err = errors.Join(err, os.WriteFile(outside, []byte("x"), 0o644), os.Symlink(outside, filepath.Join(own, "link")))
	if err == nil {
		err = open(outside)
	}
	return own, outside, err
}

// confine confines to a folder, or says why this kernel cannot.
func confine(p Paths) (Status, error) {
	s, err := Confine(p)
	if err == nil && !s.NoNewPrivs {
		err = errors.New("no_new_privs is not set")
	}
	if err == nil && !s.Confined {
		if s.Reason == "" || s.Probe() == nil {
			return s, errors.New("not confined, and nobody says why")
		}
		err = fmt.Errorf("%w: %s", errCannot, s.Reason)
	}
	return s, err
}

func confined(dir string) error {
	own, outside, err := files(dir)
	if err != nil {
		return err
	}
	s, err := confine(System().Plus(Paths{ReadWrite: []string{own}}))
	if err != nil {
		return err
	}
	var errs []error
	want(&errs, "probe", s.Probe(outside, "/proc/1/environ", "/nowhere"), nil)
	if !slices.Contains(s.Probes, "/etc/passwd") {
		errs = append(errs, fmt.Errorf("probes are %q", s.Probes))
	}
	want(&errs, "probe of an own file", s.Probe(own), ErrNotConfined)

	in := filepath.Join(own, "a", "file")
	want(&errs, "write inside", os.WriteFile(in, []byte("x"), 0o600), nil)
	want(&errs, "move between own folders", os.Rename(in, filepath.Join(own, "b", "file")), nil)
	want(&errs, "remove inside", os.Remove(filepath.Join(own, "b", "file")), nil)
	l, err := net.Listen("unix", filepath.Join(own, "sock"))
	want(&errs, "unix socket inside", err, nil)
	if err == nil {
		l.Close()
	}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	want(&errs, "/dev/null", err, nil)
	null.Close()
	want(&errs, "/proc/self/stat", open("/proc/self/stat"), nil)

	want(&errs, "read outside", open(outside), syscall.EACCES)
	want(&errs, "read outside through a link inside", open(filepath.Join(own, "link")), syscall.EACCES)
	want(&errs, "read outside through /proc/self/root", open("/proc/self/root"+outside), syscall.EACCES)
	want(&errs, "write outside", os.WriteFile(filepath.Join(dir, "new"), nil, 0o600), syscall.EACCES)
	want(&errs, "write what is read-only", os.WriteFile("/etc/hosts", nil, 0o600), syscall.EACCES)
	want(&errs, "remove outside", os.Remove(outside), syscall.EACCES)
	if err := os.Link(outside, filepath.Join(own, "hard")); !errors.Is(err, syscall.EXDEV) && !errors.Is(err, syscall.EACCES) {
		errs = append(errs, fmt.Errorf("link outside into own: %v", err))
	}
	want(&errs, "list outside", open(dir), syscall.EACCES)
	want(&errs, "execute", exec.Command("/bin/true").Run(), syscall.EACCES)
	return errors.Join(errs...)
}

// Threads that were there before, and those made later, are confined alike.
func confinedThreads(dir string) error {
	own, outside, err := files(dir)
	if err != nil {
		return err
	}
	const n = 8
	start, results := make(chan struct{}), make(chan error, n)
	ready := make(chan struct{}, n)
	for range n {
		go func() {
			runtime.LockOSThread()
			ready <- struct{}{}
			<-start
			results <- open(outside)
		}()
	}
	for range n {
		<-ready
	}
	if _, err := confine(Paths{ReadWrite: []string{own}}); err != nil {
		return err
	}
	close(start)
	var errs []error
	for range n {
		want(&errs, "another thread", <-results, syscall.EACCES)
	}
	return errors.Join(errs...)
}

// A certificate that is replaced by a rename is still read, behind a link, too; a
// file granted by itself is not.
func replacedFiles(dir string) error {
	live, archive, alone := filepath.Join(dir, "live"), filepath.Join(dir, "archive"), filepath.Join(dir, "alone")
	err := errors.Join(os.Mkdir(live, 0o755), os.Mkdir(archive, 0o755), os.Mkdir(alone, 0o755),
		os.WriteFile(archive+"/cert1.pem", []byte("1"), 0o644), os.WriteFile(alone+"/f", []byte("1"), 0o644),
		os.WriteFile(archive+"/cert2.pem", []byte("2"), 0o644), os.WriteFile(alone+"/g", []byte("2"), 0o644),
		os.Symlink("../archive/cert1.pem", live+"/cert.pem"))
	if err != nil {
		return err
	}
	// Somebody outside replaces the files when told.
	cmd := exec.Command("/bin/sh", "-c", `read go && ln -sf ../archive/cert2.pem live/cert.pem && mv alone/g alone/f && echo done && read stop`)
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Wait()
	defer in.Close()
	if _, err := confine(Paths{Replaced: []string{live + "/cert.pem"}, ReadOnly: []string{alone + "/f", "/nowhere"}}); err != nil {
		return err
	}
	var errs []error
	want(&errs, "a file granted by itself", open(alone+"/f"), nil)
	fmt.Fprintln(in, "go")
	if _, err := out.Read(make([]byte, 5)); err != nil {
		return err
	}
	text, err := os.ReadFile(live + "/cert.pem")
	want(&errs, "the new certificate", err, nil)
	if string(text) != "2" {
		errs = append(errs, fmt.Errorf("read %q", text))
	}
	want(&errs, "a replaced file granted by itself", open(alone+"/f"), syscall.EACCES)
	return errors.Join(errs...)
}

func droppedRoot(dir string) error {
	secret := filepath.Join(dir, "root-only")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		return err
	}
	release, ready := make(chan struct{}), make(chan struct{})
	go func() { // a thread that is busy elsewhere
		runtime.LockOSThread()
		close(ready)
		<-release
	}()
	<-ready
	defer close(release)
	note, err := Drop("nobody")
	if err != nil {
		return err
	}
	var errs []error
	if !strings.Contains(note, "nobody") {
		errs = append(errs, fmt.Errorf("note %q", note))
	}
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) < 2 {
		return fmt.Errorf("%d threads, %v", len(tasks), err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		want(&errs, task, err, nil)
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			switch f[0] {
			case "Uid:", "Gid:":
				if slices.Contains(f[1:], "0") {
					errs = append(errs, fmt.Errorf("%s: %s", task, line))
				}
			case "Groups:":
				if slices.Contains(f[1:], "0") {
					errs = append(errs, fmt.Errorf("%s: %s", task, line))
				}
			case "CapPrm:", "CapEff:":
				if strings.Trim(f[1], "0") != "" {
					errs = append(errs, fmt.Errorf("%s: %s", task, line))
				}
			}
		}
	}
	want(&errs, "root's file", open(secret), syscall.EACCES)
	want(&errs, "root again", syscall.Setuid(0), syscall.EPERM)
	if note, err := Drop("daemon"); err != nil || !strings.Contains(note, "not root") {
		errs = append(errs, fmt.Errorf("a second Drop: %q, %v", note, err))
	}
	return errors.Join(errs...)
}

// wholeStart is the order of a start as root: folder, socket, user, confinement.
func wholeStart(dir string) error {
	data := filepath.Join(dir, "data")
	if err := errors.Join(Own("nobody", data), Own("nobody", data)); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := Drop("nobody"); err != nil {
		return err
	}
	if _, err := confine(System().Plus(Paths{ReadWrite: []string{data}})); err != nil {
		return err
	}
	var errs []error
	want(&errs, "own folder", os.WriteFile(filepath.Join(data, "f"), []byte("x"), 0o600), nil)
	want(&errs, "outside", open("/etc/passwd"), syscall.EACCES)
	c, err := net.Dial("tcp", l.Addr().String())
	want(&errs, "the socket", err, nil)
	if err == nil {
		c.Close()
	}
	return errors.Join(errs...)
}

// Nobody stays root by mistake, and no folder of somebody else's is given away.
func refusedRoot(dir string) error {
	var errs []error
	for _, name := range []string{"", "root"} {
		_, err := Drop(name)
		want(&errs, "drop to "+name, err, ErrRoot)
	}
	if _, err := Drop("no-such-user-here"); err == nil {
		errs = append(errs, errors.New("dropped to an unknown user"))
	}
	if err := Own("nobody", dir); err == nil || !strings.Contains(err.Error(), "chown") {
		errs = append(errs, fmt.Errorf("root's folder given away: %v", err))
	}
	if err := Own("no-such-user-here", filepath.Join(dir, "new")); err == nil {
		errs = append(errs, errors.New("made a folder for an unknown user"))
	}
	want(&errs, "what could not be given away", open(filepath.Join(dir, "new")), os.ErrNotExist)
	return errors.Join(errs...)
}

// What the kernel cannot is told, never taken for done.
func TestReasons(t *testing.T) {
	t.Parallel()
	for v, cannot := range []bool{true, true, false, false} {
		if got := reason(v) != ""; got != cannot {
			t.Errorf("version %d: %q", v, reason(v))
		}
	}
	if err := (Status{Reason: "old"}).Probe(); !errors.Is(err, ErrNotConfined) {
		t.Errorf("an unconfined process: %v", err)
	}
	if err := (Status{Confined: true}).Probe(); !errors.Is(err, ErrNotConfined) {
		t.Errorf("nothing tried: %v", err)
	}
	if err := (Status{Confined: true, Probes: []string{"/etc/passwd"}}).Probe(); !errors.Is(err, ErrNotConfined) {
		t.Errorf("a readable file: %v", err)
	}
}
